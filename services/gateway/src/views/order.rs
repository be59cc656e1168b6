//! The order of a list that has names, and where a page of it begins.

use portico_proto::Error;

/// By name or by time, either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    by_name: bool,
    descending: bool,
}

impl Order {
    /// Reads `sort`.
    pub(crate) fn parse(sort: &str) -> Result<Self, Error> {
        let (by_name, descending) = match sort {
            "" | "name" => (true, false),
            "-name" => (true, true),
            "created_at" => (false, false),
            "-created_at" => (false, true),
            _ => {
                return Err(Error::field(
                    "sort",
                    "sort_invalid",
                    "`sort` must be name, -name, created_at or -created_at.",
                ));
            }
        };
        Ok(Self {
            by_name,
            descending,
        })
    }

    /// The condition of a page that begins after a row, whose sort value and id are the first two values, and its
    /// order. Both are empty for the first page.
    pub(super) fn of(self, alias: &str) -> (String, String) {
        let column = if self.by_name {
            "name_key"
        } else {
            "created_at"
        };
        let (compare, direction) = if self.descending {
            ("<", "DESC")
        } else {
            (">", "ASC")
        };
        (
            format!("($2 = '' OR ({alias}.{column}, {alias}.id) {compare} ($1, $2))"),
            format!("{alias}.{column} {direction}, {alias}.id {direction}"),
        )
    }

    /// What a row is sorted by.
    pub(super) fn value(self, name: &str, created_at: &str) -> String {
        if self.by_name {
            name.to_lowercase()
        } else {
            created_at.to_owned()
        }
    }
}
