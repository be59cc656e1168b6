//! `sort`: by a column up or down, then by id.

use portico_proto::{Error, rest::ListRequest};

use super::page::{Page, foreign_cursor, wrong_cursor};

/// What a list can be sorted by.
#[derive(Debug)]
pub struct SortColumns {
    /// The words of `sort`, and their columns. With `-` before it a word sorts downwards.
    pub columns: &'static [(&'static str, SortColumn)],
    /// Where the caller does not say: a word, maybe with `-`.
    pub default: &'static str,
    /// The column that tells rows of the same value apart.
    pub id: &'static str,
}

/// A column that a list can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortColumn {
    /// Column of texts, compared by their bytes.
    Text(&'static str),
    /// Column of integers.
    Number(&'static str),
}

impl SortColumn {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text(name) | Self::Number(name) => name,
        }
    }
}

/// Which page of a list, in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    pub(super) page: Page,
    /// The word of `sort`, with its `-`; a cursor names it.
    pub(super) order: String,
    pub(super) column: SortColumn,
    pub(super) id: &'static str,
    pub(super) descending: bool,
}

impl ListQuery {
    /// Reads `limit` (0: the default), `after` and `sort` (both may be empty) of a request.
    ///
    /// # Errors
    /// One of them is wrong, or the cursor is one of another order, with other filters or of another list.
    pub fn parse<R: ListRequest>(columns: &SortColumns, request: &R) -> Result<Self, Error> {
        let mut page = Page::parse(request)?;
        let text = match request.sort() {
            "" => columns.default,
            sort => sort,
        };
        let (word, descending) = match text.strip_prefix('-') {
            Some(word) => (word, true),
            None => (text, false),
        };
        let found = columns.columns.iter().find(|(known, _)| *known == word);
        let Some((_, column)) = found else {
            return Err(Error::field("sort", "sort_invalid", columns.allowed()));
        };
        if let Some((value, _)) = &mut page.after {
            // In another order the rows after this one are others.
            *value = match value.split_once('\n') {
                Some((order, value)) if order == text => value.to_owned(),
                Some(_) => return Err(foreign_cursor()),
                None => return Err(wrong_cursor()),
            };
        }
        let query = Self {
            page,
            order: text.to_owned(),
            column: *column,
            id: columns.id,
            descending,
        };
        match (&query.page.after, column) {
            (Some((value, _)), SortColumn::Number(_)) if value.parse::<i64>().is_err() => {
                Err(wrong_cursor())
            }
            _ => Ok(query),
        }
    }
}

impl SortColumns {
    /// By name or by age, in a table with the columns `id`, `name_key`, a name in lower case, and `created_at`.
    pub const BY_NAME: Self = Self {
        columns: &[
            ("name", SortColumn::Text("name_key")),
            ("created_at", SortColumn::Text("created_at")),
        ],
        default: "name",
        id: "id",
    };

    /// What `sort` must be.
    fn allowed(&self) -> String {
        let both = |(word, _): &(&str, SortColumn)| [(*word).to_owned(), format!("-{word}")];
        let words: Vec<String> = self.columns.iter().flat_map(both).collect();
        match words.split_last() {
            Some((last, others)) => format!("`sort` must be {} or {last}.", others.join(", ")),
            None => "`sort` must be left out.".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use portico_proto::catalog::v1::ListPlansRequest;

    use super::*;

    const SORT: SortColumns = SortColumns {
        columns: &[
            ("name", SortColumn::Text("name_key")),
            ("created_at", SortColumn::Number("created_ms")),
        ],
        default: "-created_at",
        id: "id",
    };

    fn parse(limit: u32, after: &str, sort: &str) -> Result<ListQuery, Error> {
        let request = ListPlansRequest {
            limit,
            after: after.to_owned(),
            sort: sort.to_owned(),
            ..ListPlansRequest::default()
        };
        ListQuery::parse(&SORT, &request)
    }

    #[test]
    fn a_word_is_a_column_and_a_direction() {
        let sorted = |sort: &str| {
            let query = parse(0, "", sort).unwrap();
            (query.column.name(), query.descending)
        };
        assert_eq!(sorted(""), ("created_ms", true));
        assert_eq!(sorted("name"), ("name_key", false));
        assert_eq!(sorted("-name"), ("name_key", true));
        assert_eq!(sorted("created_at"), ("created_ms", false));
    }

    #[test]
    fn wrong_words_are_answered_with_the_right_ones() {
        for wrong in ["id", "--name", "-", "name_key"] {
            let error = parse(0, "", wrong).unwrap_err();
            assert_eq!(error.fields[0].code, "sort_invalid");
            assert_eq!(
                error.fields[0].message,
                "`sort` must be name, -name, created_at or -created_at."
            );
        }
    }

    #[test]
    fn a_cursor_of_another_order_is_refused() {
        let page = Page::parse(&ListPlansRequest {
            limit: 1,
            ..ListPlansRequest::default()
        })
        .unwrap();
        let cursor = |value: &str| {
            let (_, next) = page.cut(vec![1, 2], |_| (value.to_owned(), "7".to_owned()));
            next
        };
        let next = cursor("name\nshop\nfloor");
        let query = parse(1, &next, "name").unwrap();
        assert_eq!(query.page.after, Some(("shop\nfloor".into(), "7".into())));
        // The default, said or not.
        let newest = cursor("-created_at\n5");
        for sort in ["", "-created_at"] {
            assert!(parse(1, &newest, sort).is_ok());
        }
        let another = "cursor_of_another_list";
        let wrong = [
            (next.clone(), "-name", another),
            (next, "created_at", another),
            (cursor("created_at\nshop"), "created_at", "cursor_invalid"),
            (cursor("7"), "created_at", "cursor_invalid"),
        ];
        for (next, sort, code) in wrong {
            let error = parse(1, &next, sort).unwrap_err();
            assert_eq!(error.fields[0].code, code, "{sort}");
        }
    }
}
