//! The table `products` and what belongs to it.

use std::collections::BTreeSet;

use portico_eventstore::{
    Cell, Change, ProjectionError, Row, StreamChange, Table, Tx, cells, rows,
};
use portico_proto::catalog::v1;
use portico_runtime::lists::{ListQuery, Search, Select};
use sqlx::{AnyPool, AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::{Audience, scopes::Claim, time};
use crate::{
    product::{Details, Product, Status},
    wire,
};

const TABLE: Table = Table {
    name: "products",
    key: "id",
    columns: "id status visibility name_key search_text details documentation version created_at updated_at",
    once: "created_at",
};

/// What [`read`] reads; the documentation, which lists do not show, follows where it is wanted.
const COLUMNS: &str = "id, status, details, created_at, updated_at, version";

const TAGS: Table = Table {
    name: "product_tags",
    key: "product_id tag",
    columns: "product_id tag",
    once: "",
};

const CLIENT_TYPES: Table = Table {
    name: "product_client_types",
    key: "product_id client_type_id",
    columns: "product_id client_type_id",
    once: "",
};

type ProductChange<'a> = StreamChange<'a, Product>;

/// Writes the rows, and gives the scopes that products have then.
pub(super) async fn apply(tx: &mut Tx, change: &Change<'_>) -> Result<Vec<Claim>, ProjectionError> {
    let columns = "status, details, created_at, updated_at, version, documentation";
    let products = change
        .streams_from::<Product>(tx, &TABLE, columns, read_whole)
        .await?;
    let rows: Result<Vec<_>, _> = products.iter().map(row_of).collect();
    TABLE.write(tx, rows?).await?;
    write_lists(tx, &products).await?;
    Ok(products.iter().filter_map(claim).collect())
}

/// `None` where the product keeps its scopes.
fn claim(product: &ProductChange<'_>) -> Option<Claim> {
    let after = &product.after;
    let is_deleted = after.status == Some(Status::Deleted);
    (is_deleted || has_other_details(product)).then(|| Claim {
        kind: "product",
        id: product.id,
        is_new: product.is_new(),
        name: after.details.name.clone(),
        scopes: match is_deleted {
            true => BTreeSet::new(),
            false => after.details.scopes.clone(),
        },
    })
}

fn has_other_details(product: &ProductChange<'_>) -> bool {
    product.before.details != product.after.details
}

fn row_of(product: &ProductChange<'_>) -> Result<Vec<Cell>, ProjectionError> {
    let Product {
        status,
        details,
        created_at,
        updated_at,
    } = &product.after;
    // Lists never show the documentation, so it has a column of its own.
    let stored = Details {
        documentation: String::new(),
        ..details.clone()
    };
    let tags: Vec<&str> = details.tags.iter().map(String::as_str).collect();
    let search_text = format!(
        "{}\n{}\n{}",
        details.name,
        details.description,
        tags.join("\n")
    );
    Ok(cells![
        product.id,
        status.map(Status::as_str).unwrap_or_default(),
        details.visibility.as_str(),
        details.name.to_lowercase(),
        search_text.to_lowercase(),
        serde_json::to_string(&stored)?,
        details.documentation.clone(),
        product.last.version,
        time(*created_at),
        time(*updated_at),
    ])
}

/// Makes these the only tags and client types of products.
async fn write_lists(tx: &mut Tx, products: &[ProductChange<'_>]) -> sqlx::Result<()> {
    let changed = products.iter().filter(|product| has_other_details(product));
    let (mut tags, mut client_types) = (Vec::new(), Vec::new());
    for product in changed.clone() {
        let (id, details) = (product.id, &product.after.details);
        tags.extend(details.tags.iter().map(|tag| cells![id, tag.clone()]));
        client_types.extend(details.client_type_ids.iter().map(|one| cells![id, *one]));
    }
    let known = changed.filter(|product| !product.is_new());
    let known = known.map(|product| product.id);
    for (table, rows) in [(TAGS, tags), (CLIENT_TYPES, client_types)] {
        table.delete(tx, known.clone()).await?;
        table.write(tx, rows).await?;
    }
    Ok(())
}

/// One product with its documentation, as far as the audience may see it.
pub(crate) async fn get(
    pool: &AnyPool,
    audience: Audience,
    id: Uuid,
) -> sqlx::Result<Option<v1::Product>> {
    let products = audience.products();
    let sql = format!("SELECT {COLUMNS}, documentation FROM {products} AND id = $1");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id.to_string())
        .fetch_optional(pool)
        .await?;
    row.map(|row| message(&row, audience, &read_whole(&row)?))
        .transpose()
}

/// Conditions of a list; an empty string is no condition.
pub(crate) struct Filter {
    pub(crate) search: Search,
    pub(crate) tag: String,
    pub(crate) status: &'static str,
    pub(crate) client_type_id: String,
}

/// A page of products, and the cursor of the next.
pub(crate) async fn list(
    pool: &AnyPool,
    audience: Audience,
    filter: &Filter,
    query: &ListQuery,
) -> sqlx::Result<(Vec<v1::Product>, String)> {
    let mut select = Select::new(COLUMNS, audience.products());
    select.and_given("status = ?", filter.status);
    select.and_given(
        "id IN (SELECT product_id FROM product_tags WHERE tag = ?)",
        &filter.tag,
    );
    select.and_given(
        "id IN (SELECT product_id FROM product_client_types WHERE client_type_id = ?)",
        &filter.client_type_id,
    );
    select.and_found_in(&["search_text"], &filter.search);
    let (rows, next) = select.page(pool, query).await?;
    let products = rows.iter().map(|row| message(row, audience, &read(row)?));
    let products = products.collect::<Result<_, _>>()?;
    Ok((products, next))
}

/// Without the documentation.
fn read(row: &Row) -> sqlx::Result<Product> {
    Ok(Product {
        status: row.try_get::<&str, _>(1)?.parse().ok(),
        details: rows::json(row.try_get(2)?)?,
        created_at: rows::parsed(row.try_get(3)?)?,
        updated_at: rows::parsed(row.try_get(4)?)?,
    })
}

fn read_whole(row: &Row) -> sqlx::Result<Product> {
    let mut product = read(row)?;
    product.details.documentation = row.try_get(6)?;
    Ok(product)
}

/// Without what the audience may not see.
fn message(row: &Row, audience: Audience, product: &Product) -> sqlx::Result<v1::Product> {
    let mut product = wire::product(rows::id(row)?, row.try_get(5)?, product);
    if !audience.sees_mappings() {
        product.mapping = None;
        product.apis.iter_mut().for_each(|api| api.mapping = None);
    }
    Ok(product)
}
