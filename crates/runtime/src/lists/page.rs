//! A page of a list: its length, and the cursor where it begins. A cursor holds which list it is of, and the sort value
//! and the id of the row before; it is opaque to callers.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use portico_proto::{Error, rest::ListRequest};
use sha2::{Digest as _, Sha256};

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
    /// Tells this list apart from others, and from itself with other filters.
    list: String,
}

impl Page {
    /// Reads `limit` (0: the default) and `after` (empty: the first page).
    ///
    /// # Errors
    /// `limit_invalid`, `cursor_invalid`, or `cursor_of_another_list`: the cursor comes from another list, or from this
    /// one with other filters, where its row means nothing.
    pub fn parse<R: ListRequest>(request: &R) -> Result<Self, Error> {
        let limit = Self::rows(request.limit())?;
        let list = list::<R>(request);
        if request.after().is_empty() {
            let after = None;
            return Ok(Self { limit, after, list });
        }
        let (of, after) = read(request.after()).ok_or_else(wrong_cursor)?;
        if of != list {
            return Err(foreign_cursor());
        }
        let after = Some(after);
        Ok(Self { limit, after, list })
    }

    /// The rows that `limit` means; 0: the default.
    ///
    /// # Errors
    /// `limit_invalid`.
    pub fn rows(limit: u32) -> Result<usize, Error> {
        match limit {
            0 => Ok(DEFAULT_LIMIT as usize),
            1..=MAX_LIMIT => Ok(limit as usize),
            _ => Err(wrong_limit()),
        }
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
            URL_SAFE_NO_PAD.encode(format!("{}\n{id}\n{value}", self.list))
        });
        (rows, next.unwrap_or_default())
    }
}

/// The name and the filters of a list in a few letters, the same in every process.
fn list<R: ListRequest>(request: &R) -> String {
    let mut digest = Sha256::new();
    digest.update(R::shape().name);
    digest.update([0]);
    digest.update(request.filters());
    URL_SAFE_NO_PAD.encode(&digest.finalize()[..6])
}

/// The list of a cursor, and what its row is sorted by.
fn read(cursor: &str) -> Option<(String, (String, String))> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (list, row) = text.split_once('\n')?;
    let (id, value) = row.split_once('\n')?;
    // No row has a zero byte, and PostgreSQL takes none.
    (!text.contains('\0')).then(|| (list.to_owned(), (value.to_owned(), id.to_owned())))
}

/// `limit` is out of its bounds.
fn wrong_limit() -> Error {
    let right = format!("`limit` must be 1 to {MAX_LIMIT}.");
    Error::field("limit", "limit_invalid", right)
}

/// The cursor cannot be read.
pub(super) fn wrong_cursor() -> Error {
    let right = "`after` must be the `next` of the page before.";
    Error::field("after", "cursor_invalid", right)
}

/// The cursor is one of another order, with other filters, or of another list.
pub(super) fn foreign_cursor() -> Error {
    Error::field(
        "after",
        "cursor_of_another_list",
        "`after` is the `next` of another list: repeat the query with the same filters and the same `sort`, or begin \
         anew without `after`.",
    )
}

#[cfg(test)]
mod tests {
    use portico_proto::catalog::v1::{ListPlansRequest, ListProductsRequest};

    use super::*;

    fn plans(limit: u32, after: &str) -> ListPlansRequest {
        ListPlansRequest {
            limit,
            after: after.to_owned(),
            ..ListPlansRequest::default()
        }
    }

    fn code(request: &impl ListRequest) -> String {
        Page::parse(request).unwrap_err().fields[0].code.clone()
    }

    #[test]
    fn the_cursor_leads_to_the_next_page() {
        let page = Page::parse(&plans(2, "")).unwrap();
        let (rows, next) = page.cut(vec!["a", "b", "c"], |r| {
            (format!("name {r}"), (*r).to_owned())
        });
        assert_eq!(rows, ["a", "b"]);
        let second = Page::parse(&plans(1, &next)).unwrap();
        assert_eq!(second.after, Some(("name b".to_owned(), "b".to_owned())));
        let (rows, next) = second.cut(vec!["c"], |r| (String::new(), (*r).to_owned()));
        assert_eq!((rows, next.as_str()), (vec!["c"], ""));
    }

    #[test]
    fn a_cursor_belongs_to_its_list_and_its_filters() {
        let page = Page::parse(&plans(1, "")).unwrap();
        let (_, next) = page.cut(vec![1, 2], |row| (String::new(), row.to_string()));
        let searched = ListPlansRequest {
            q: "gold".to_owned(),
            ..plans(1, &next)
        };
        assert_eq!(code(&searched), "cursor_of_another_list");
        let products = ListProductsRequest {
            after: next.clone(),
            ..ListProductsRequest::default()
        };
        assert_eq!(code(&products), "cursor_of_another_list");
        assert!(Page::parse(&plans(100, &next)).is_ok(), "of any length");
    }

    #[test]
    fn wrong_pages_are_named() {
        assert_eq!(code(&plans(101, "")), "limit_invalid");
        let zero = URL_SAFE_NO_PAD.encode("list\nid\n\0");
        // As another version may have made them.
        let others =
            ["id\nvalue", r#"{"list":"x","id":"y"}"#, "v2"].map(|it| URL_SAFE_NO_PAD.encode(it));
        let others = others.iter().map(String::as_str);
        let wrong = ["nonsense", "Ä", "YQ", "YQ==", zero.as_str()].into_iter();
        for cursor in wrong.chain(others) {
            assert_eq!(code(&plans(1, cursor)), "cursor_invalid", "{cursor}");
        }
    }
}
