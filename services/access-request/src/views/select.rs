//! A `SELECT` with conditions that depend on the request. Placeholders are numbered by hand, since `?` is not
//! PostgreSQL's.

use portico_eventstore::{Row, sqlx};
use portico_runtime::Page;
use sqlx::{AnyPool, AssertSqlSafe};

/// A value of a condition.
#[derive(Debug, Clone)]
pub(crate) enum Arg {
    Text(String),
    Int(i64),
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Built from constants only; what people enter is bound.
pub(crate) struct Select {
    sql: String,
    args: Vec<Arg>,
}

/// How a list is sorted: by a column, then by id.
pub(crate) struct Sort {
    pub(crate) column: &'static str,
    pub(crate) descending: bool,
    pub(crate) number: bool,
}

impl Select {
    /// From `SELECT ... FROM ... WHERE <condition>` on.
    pub(crate) fn new(sql: &'static str) -> Self {
        Self {
            sql: sql.to_owned(),
            args: Vec::new(),
        }
    }

    /// Adds `AND <condition>`; each `?` in it is the next value.
    pub(crate) fn and(&mut self, condition: &'static str, values: Vec<Arg>) {
        self.sql.push_str(" AND ");
        let mut values = values.into_iter();
        for c in condition.chars() {
            match c {
                '?' => {
                    self.args.extend(values.next());
                    self.sql.push_str(&format!("${}", self.args.len()));
                }
                c => self.sql.push(c),
            }
        }
    }

    /// Adds a condition where there is a text.
    pub(crate) fn and_text(&mut self, condition: &'static str, text: &str) {
        if !text.is_empty() {
            self.and(condition, vec![Arg::Text(text.to_owned())]);
        }
    }

    /// The rows of a page, and one more where there is a next page.
    pub(crate) async fn page(
        mut self,
        pool: &AnyPool,
        page: &Page,
        sort: &Sort,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let (compare, direction) = if sort.descending {
            ("<", "DESC")
        } else {
            (">", "ASC")
        };
        if let Some((value, id)) = &page.after {
            // A cursor of another sort order has another kind of value; then the list begins anew.
            let value = if sort.number {
                value.parse().ok().map(Arg::Int)
            } else {
                Some(Arg::Text(value.clone()))
            };
            if let Some(value) = value {
                let at = self.args.len();
                self.args.extend([value, Arg::Text(id.clone())]);
                let condition = format!(
                    " AND ({}, id) {compare} (${}, ${})",
                    sort.column,
                    at + 1,
                    at + 2
                );
                self.sql.push_str(&condition);
            }
        }
        self.args.push(Arg::Int(page.fetch()));
        let end = format!(
            " ORDER BY {} {direction}, id {direction} LIMIT ${}",
            sort.column,
            self.args.len()
        );
        self.sql.push_str(&end);
        let mut query = sqlx::query(AssertSqlSafe(self.sql));
        for arg in self.args {
            query = match arg {
                Arg::Text(text) => query.bind(text),
                Arg::Int(number) => query.bind(number),
            };
        }
        query.fetch_all(pool).await
    }
}

/// A pattern for `LIKE ? ESCAPE '\'` on a lower-case column, that finds the text anywhere; empty for no text.
pub(crate) fn pattern(text: &str) -> String {
    let text = text.trim().to_lowercase();
    if text.is_empty() {
        return String::new();
    }
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered() {
        let mut select = Select::new("SELECT 1 FROM t WHERE 1 = 1");
        select.and_text("a = ?", "x");
        select.and_text("b = ?", "");
        select.and("(c = ? OR d = ?)", vec![Arg::Int(1), Arg::Int(2)]);
        assert_eq!(
            select.sql,
            "SELECT 1 FROM t WHERE 1 = 1 AND a = $1 AND (c = $2 OR d = $3)"
        );
        assert_eq!(select.args.len(), 3);
    }

    #[test]
    fn patterns_are_texts_not_wildcards() {
        assert_eq!(pattern(" "), "");
        assert_eq!(pattern("50%_A\\"), "%50\\%\\_a\\\\%");
    }
}
