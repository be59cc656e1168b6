//! The statement that reads a page of a list. It is built from constants only; what callers give is bound.

use std::fmt::Write as _;

use sqlx::{Any, AnyPool, AssertSqlSafe, Row as _, any::AnyArguments, any::AnyRow, query::Query};

use super::{
    Search,
    sort::{ListQuery, SortColumn},
};

/// A value of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// An integer.
    Number(i64),
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// A `SELECT` with conditions that depend on the request.
#[derive(Debug)]
pub struct Select {
    columns: &'static str,
    from: String,
    values: Vec<Value>,
}

impl Select {
    /// `SELECT <columns> FROM <from>`, where `from` has a `WHERE` with at least one condition, such as `true`.
    pub fn new(columns: &'static str, from: &'static str) -> Self {
        Self {
            columns,
            from: from.to_owned(),
            values: Vec::new(),
        }
    }

    /// Another condition; every `?` in it stands for the value. Placeholders are numbered, since PostgreSQL has no `?`.
    pub fn and(&mut self, condition: &'static str, value: impl Into<Value>) {
        self.condition(condition, value.into());
    }

    /// As [`Select::and`] where there is a text; an empty one restricts nothing.
    pub fn and_given(&mut self, condition: &'static str, text: &str) {
        if !text.is_empty() {
            self.and(condition, text);
        }
    }

    /// Every word must be found in one of these columns, which are in lower case.
    pub fn and_found_in(&mut self, columns: &[&'static str], search: &Search) {
        let like = |column: &&str| format!(r"{column} LIKE ? ESCAPE '\'");
        let alternatives: Vec<String> = columns.iter().map(like).collect();
        let condition = format!("({})", alternatives.join(" OR "));
        for pattern in search.patterns() {
            self.condition(&condition, Value::Text(pattern));
        }
    }

    fn condition(&mut self, condition: &str, value: Value) {
        let place = self.bind(value);
        self.from.push_str(" AND ");
        self.from.push_str(&condition.replace('?', &place));
    }

    /// The placeholder of a further value.
    fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    /// The rows of a page, and the cursor of the next one, empty where this is the last.
    ///
    /// # Errors
    /// The database failed.
    pub async fn page(
        self,
        pool: &AnyPool,
        query: &ListQuery,
    ) -> sqlx::Result<(Vec<AnyRow>, String)> {
        let rows = self.statement(query).fetch_all(pool).await?;
        let mut keys = Vec::with_capacity(rows.len());
        for row in &rows {
            let value = match query.column {
                SortColumn::Text(_) => row.try_get(SORT_VALUE)?,
                SortColumn::Number(_) => row.try_get::<i64, _>(SORT_VALUE)?.to_string(),
            };
            keys.push((format!("{}\n{value}", query.order), row.try_get(SORT_ID)?));
        }
        let keyed = rows.into_iter().zip(keys).collect();
        let (keyed, next) = query
            .page
            .cut(keyed, |(_, key): &(_, (String, String))| key.clone());
        Ok((keyed.into_iter().map(|(row, _)| row).collect(), next))
    }

    fn statement(self, query: &ListQuery) -> Query<'static, Any, AnyArguments> {
        let (text, values) = self.build(query);
        let mut statement = sqlx::query(AssertSqlSafe(text));
        for value in values {
            statement = match value {
                Value::Text(text) => statement.bind(text),
                Value::Number(number) => statement.bind(number),
            };
        }
        statement
    }

    /// With what a row is sorted by, the order, where the page begins, and its length.
    fn build(mut self, query: &ListQuery) -> (String, Vec<Value>) {
        let (compare, direction) = match query.descending {
            true => ("<", "DESC"),
            false => (">", "ASC"),
        };
        let (column, id) = (query.column.name(), query.id);
        if let Some((value, last)) = &query.page.after {
            let value = match query.column {
                SortColumn::Text(_) => Value::from(value.as_str()),
                // Checked when the cursor was read.
                SortColumn::Number(_) => Value::Number(value.parse().unwrap_or_default()),
            };
            let (value, last) = (self.bind(value), self.bind(last.as_str().into()));
            // Writing to a String cannot fail.
            let _ = write!(
                self.from,
                " AND ({column}, {id}) {compare} ({value}, {last})"
            );
        }
        let limit = self.bind(query.page.fetch().into());
        let text = format!(
            "SELECT {}, {column} AS {SORT_VALUE}, {id} AS {SORT_ID} FROM {} \
             ORDER BY {column} {direction}, {id} {direction} LIMIT {limit}",
            self.columns, self.from
        );
        (text, self.values)
    }
}

const SORT_VALUE: &str = "sort_value";
const SORT_ID: &str = "sort_id";

#[cfg(test)]
mod tests {
    use portico_proto::catalog::v1::ListPlansRequest;

    use super::*;
    use crate::lists::SortColumns;

    const SORT: SortColumns = SortColumns {
        columns: &[
            ("name", SortColumn::Text("t.name")),
            ("size", SortColumn::Number("t.size")),
        ],
        default: "name",
        id: "t.id",
    };

    fn query(limit: u32, after: &str, sort: &str) -> ListQuery {
        let request = ListPlansRequest {
            limit,
            after: after.to_owned(),
            sort: sort.to_owned(),
            ..ListPlansRequest::default()
        };
        ListQuery::parse(&SORT, &request).unwrap()
    }

    fn text(number: &str) -> Value {
        Value::from(number)
    }

    #[test]
    fn values_are_bound_and_numbered() {
        let page = query(2, "", "-name");
        let mut select = Select::new("t.a", "things t WHERE true");
        select.and("(t.b = ? OR t.c = ?)", 7);
        select.and_given("t.d = ?", "x");
        select.and_given("t.e = ?", "");
        select.and_found_in(&["t.f", "t.g"], &Search::parse("one TWO").unwrap());
        let (statement, values) = select.build(&page);
        assert_eq!(
            statement,
            "SELECT t.a, t.name AS sort_value, t.id AS sort_id FROM things t WHERE true \
             AND (t.b = $1 OR t.c = $1) AND t.d = $2 \
             AND (t.f LIKE $3 ESCAPE '\\' OR t.g LIKE $3 ESCAPE '\\') \
             AND (t.f LIKE $4 ESCAPE '\\' OR t.g LIKE $4 ESCAPE '\\') \
             ORDER BY t.name DESC, t.id DESC LIMIT $5"
        );
        let expected = [7.into(), text("x"), text("%one%"), text("%two%"), 3.into()];
        assert_eq!(values, expected);
    }

    #[test]
    fn a_page_begins_after_the_last_row_of_the_one_before() {
        let first = query(1, "", "size").page;
        let (_, next) = first.cut(vec![1, 2], |_| ("size\n12".to_owned(), "b".to_owned()));
        let second = query(1, &next, "size");
        let (statement, values) = Select::new("t.a", "things t WHERE true").build(&second);
        assert!(
            statement
                .contains("AND (t.size, t.id) > ($1, $2) ORDER BY t.size ASC, t.id ASC LIMIT $3"),
            "{statement}"
        );
        assert_eq!(values, [12.into(), text("b"), 2.into()]);
    }

    /// Pages of three, in both orders, are the whole list.
    #[tokio::test]
    async fn pages_are_the_whole_list() {
        sqlx::any::install_default_drivers();
        let options = sqlx::any::AnyPoolOptions::new().max_connections(1);
        let pool = options.connect("sqlite::memory:").await.unwrap();
        sqlx::query("CREATE TABLE things (id TEXT, name TEXT, size INTEGER)")
            .execute(&pool)
            .await
            .unwrap();
        for n in 0..10_i64 {
            sqlx::query("INSERT INTO things VALUES ($1, $2, $3)")
                .bind(format!("id-{n}"))
                .bind(format!("name {}", n % 2))
                .bind(n % 3)
                .execute(&pool)
                .await
                .unwrap();
        }
        for sort in ["name", "-name", "size", "-size"] {
            let (mut found, mut after) = (Vec::new(), String::new());
            loop {
                let select = Select::new("t.id", "things t WHERE true");
                let page = query(3, &after, sort);
                let (rows, next) = select.page(&pool, &page).await.unwrap();
                found.extend(rows.iter().map(|row| row.get::<String, _>(0)));
                after = next;
                if after.is_empty() {
                    break;
                }
            }
            assert_eq!(found.len(), 10, "{sort}");
            let first = match sort {
                "name" | "size" => "id-0",
                _ => found.iter().max().unwrap(),
            };
            if sort != "-size" {
                assert_eq!(found[0], first, "{sort}");
            }
            found.sort();
            found.dedup();
            assert_eq!(found.len(), 10, "{sort}");
        }
    }
}
