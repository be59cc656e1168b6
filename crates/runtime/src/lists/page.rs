//! A page of a list: its length, and the cursor where it begins. A cursor holds the sort value and the id of the row
//! before, and is opaque to callers.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use portico_proto::Error;

/// Rows of a page where the caller does not say.
pub const DEFAULT_LIMIT: u32 = 20;
/// The most rows of a page.
pub const MAX_LIMIT: u32 = 100;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// 1 to [`MAX_LIMIT`].
    pub limit: usize,
    /// Sort value and id after which the page begins; `None`: at the beginning.
    pub after: Option<(String, String)>,
}

impl Page {
    /// Reads `limit` (0: the default) and `after` (empty: the first page).
    pub fn parse(limit: u32, after: &str) -> Result<Self, Error> {
        if limit > MAX_LIMIT {
            return Err(Error::field(
                "limit",
                "limit_invalid",
                format!("`limit` must be 1 to {MAX_LIMIT}."),
            ));
        }
        let limit = if limit == 0 { DEFAULT_LIMIT } else { limit } as usize;
        if after.is_empty() {
            return Ok(Self { limit, after: None });
        }
        let bytes = URL_SAFE_NO_PAD.decode(after).map_err(|_| wrong_cursor())?;
        let text = String::from_utf8(bytes).map_err(|_| wrong_cursor())?;
        // No sort value has it, and PostgreSQL cannot be asked about it.
        if text.contains('\0') {
            return Err(wrong_cursor());
        }
        let (id, value) = text.split_once('\n').ok_or_else(wrong_cursor)?;
        Ok(Self {
            limit,
            after: Some((value.to_owned(), id.to_owned())),
        })
    }

    /// Rows to ask the database for: one more than the page has, to know whether there is a next one.
    pub fn fetch(&self) -> i64 {
        self.limit as i64 + 1
    }

    /// Cuts the fetched rows to the page and makes the cursor of the next one, empty where this is the last.
    /// `key` gives a row's sort value and id.
    pub fn cut<T>(
        &self,
        mut rows: Vec<T>,
        key: impl Fn(&T) -> (String, String),
    ) -> (Vec<T>, String) {
        if rows.len() <= self.limit {
            return (rows, String::new());
        }
        rows.truncate(self.limit);
        let next = rows.last().map(|row| {
            let (value, id) = key(row);
            URL_SAFE_NO_PAD.encode(format!("{id}\n{value}"))
        });
        (rows, next.unwrap_or_default())
    }
}

/// The cursor is not one of this list.
pub(super) fn wrong_cursor() -> Error {
    Error::field(
        "after",
        "cursor_invalid",
        "`after` must be the `next` of the page before.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_leads_to_the_next_page() {
        let page = Page::parse(2, "").unwrap();
        let (rows, next) = page.cut(vec!["a", "b", "c"], |r| {
            (format!("name {r}"), (*r).to_owned())
        });
        assert_eq!(rows, ["a", "b"]);
        let second = Page::parse(2, &next).unwrap();
        assert_eq!(second.after, Some(("name b".to_owned(), "b".to_owned())));
        let (rows, next) = second.cut(vec!["c"], |r| (String::new(), (*r).to_owned()));
        assert_eq!((rows, next.as_str()), (vec!["c"], ""));
    }

    #[test]
    fn wrong_pages_are_named() {
        assert_eq!(Page::parse(101, "").unwrap_err().fields[0].field, "limit");
        assert_eq!(
            Page::parse(1, "nonsense").unwrap_err().fields[0].field,
            "after"
        );
        let null = URL_SAFE_NO_PAD.encode("id\nna\0me");
        assert_eq!(Page::parse(1, &null).unwrap_err().fields[0].field, "after");
    }
}
