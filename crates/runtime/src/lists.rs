//! Lists of the API: `limit` and `after` ([`Page`]), `sort` ([`SortColumns`]), `q` ([`Search`]), and the statement that
//! reads a page ([`Select`]).
//!
//! ```
//! use portico_proto::catalog::v1::ListPlansRequest;
//! use portico_runtime::lists::{ListQuery, Search, Select, SortColumn, SortColumns};
//!
//! const SORT: SortColumns = SortColumns {
//!     columns: &[
//!         ("name", SortColumn::Text("name_key")),
//!         ("created_at", SortColumn::Text("created_at")),
//!     ],
//!     default: "name",
//!     id: "id",
//! };
//!
//! # fn main() -> Result<(), portico_proto::Error> {
//! let request = ListPlansRequest { limit: 20, sort: "-created_at".into(), ..ListPlansRequest::default() };
//! let query = ListQuery::parse(&SORT, &request)?;
//! let search = Search::parse("payments")?;
//! let mut select = Select::new("id, name", "plans WHERE true");
//! select.and("status = ?", "active");
//! select.and_found_in(&["search_text"], &search);
//! // select.page(pool, &query).await gives the rows, and the cursor of the next page.
//! # let _ = query;
//! # Ok(())
//! # }
//! ```

mod page;
mod search;
mod select;
mod sort;

pub use page::{DEFAULT_LIMIT, MAX_LIMIT, Page};
pub use search::Search;
pub use select::{Select, Value};
pub use sort::{ListQuery, SortColumn, SortColumns};
