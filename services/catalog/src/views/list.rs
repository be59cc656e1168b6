//! Statements of lists, put together from constants; what callers give is bound.

use portico_proto::{
    Error,
    time::{self, Timestamp},
};
use portico_runtime::Page;
use sqlx::{Any, AssertSqlSafe, query::Query};

use crate::wire;

/// The most characters that are searched for.
const LONGEST: usize = 200;

/// Search words in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Words(Vec<String>);

impl Words {
    /// Reads `q`.
    pub(crate) fn parse(q: &str) -> Result<Self, Error> {
        if q.chars().count() > LONGEST || q.contains(char::is_control) {
            return Err(Error::field(
                "q",
                "q_invalid",
                format!("`q` must have at most {LONGEST} characters, without control characters."),
            ));
        }
        Ok(Self(
            q.to_lowercase()
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
        ))
    }
}

/// Order and page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) page: Page,
    /// A column, from the constants below.
    column: &'static str,
    descending: bool,
}

impl Listing {
    /// Reads `limit`, `after` and `sort`.
    pub(crate) fn parse(limit: u32, after: &str, sort: &str) -> Result<Self, Error> {
        let (column, descending) = match sort {
            "" | "name" => ("name_key", false),
            "-name" => ("name_key", true),
            "created_at" => ("created_at", false),
            "-created_at" => ("created_at", true),
            _ => {
                return Err(Error::field(
                    "sort",
                    "sort_invalid",
                    "`sort` must be name, -name, created_at or -created_at.",
                ));
            }
        };
        Ok(Self {
            page: Page::parse(limit, after)?,
            column,
            descending,
        })
    }

    /// Where a row stands in this order, for the cursor: as its column has it.
    pub(super) fn key(&self, name: &str, created_at: Option<&Timestamp>) -> String {
        match self.column {
            "created_at" => created_at
                .and_then(time::from_proto)
                .map_or_else(String::new, wire::time),
            _ => name.to_lowercase(),
        }
    }
}

/// A statement under construction.
pub(crate) struct Statement {
    text: String,
    values: Vec<String>,
}

impl Statement {
    /// `head` is `SELECT ... FROM ... WHERE true`.
    pub(crate) fn new(head: &'static str) -> Self {
        Self {
            text: head.to_owned(),
            values: Vec::new(),
        }
    }

    /// Another condition; `?` stands for the value.
    pub(crate) fn and(&mut self, condition: &'static str, value: impl Into<String>) {
        // PostgreSQL has no text with a zero byte, and an error of ours is no answer to one.
        self.values.push(value.into().replace('\0', ""));
        let place = format!("${}", self.values.len());
        self.text.push_str(" AND ");
        self.text.push_str(&condition.replacen('?', &place, 1));
    }

    /// Every word must stand in `search_text`.
    pub(crate) fn and_words(&mut self, words: &Words) {
        for word in &words.0 {
            let mut pattern = String::from("%");
            for character in word.chars() {
                if matches!(character, '%' | '_' | '\\') {
                    pattern.push('\\');
                }
                pattern.push(character);
            }
            pattern.push('%');
            self.and(r"search_text LIKE ? ESCAPE '\'", pattern);
        }
    }

    /// Order, beginning and length.
    pub(crate) fn page(&mut self, listing: &Listing) {
        let (compare, order) = if listing.descending {
            ("<", "DESC")
        } else {
            (">", "ASC")
        };
        let column = listing.column;
        if let Some((value, id)) = &listing.page.after {
            let n = self.values.len();
            self.values.push(value.replace('\0', ""));
            self.values.push(id.replace('\0', ""));
            self.text.push_str(&format!(
                " AND ({column}, id) {compare} (${}, ${})",
                n + 1,
                n + 2
            ));
        }
        self.text.push_str(&format!(
            " ORDER BY {column} {order}, id {order} LIMIT ${}",
            self.values.len() + 1
        ));
    }

    /// Ready to be run.
    pub(crate) fn query(self, fetch: i64) -> Query<'static, Any, sqlx::any::AnyArguments> {
        let mut query = sqlx::query(AssertSqlSafe(self.text));
        for value in self.values {
            query = query.bind(value);
        }
        query.bind(fetch)
    }
}
