//! The table `products` and what belongs to it.

use jiff::Timestamp;
use portico_eventstore::{ProjectionError, RecordedEvent, Row, rows};
use portico_proto::{catalog::v1, rest::Enumeration as _};
use portico_runtime::lists::{ListQuery, Search, Select};
use sqlx::{AnyConnection, AnyPool, Row as _};
use uuid::Uuid;

use super::{
    Audience,
    scopes::{self, Owner},
};
use crate::{
    product::{Details, Event, Status},
    wire,
};

pub(super) async fn apply(
    tx: &mut AnyConnection,
    event: &RecordedEvent,
    private: &Event,
) -> Result<(), ProjectionError> {
    match private {
        Event::Created { details, at } | Event::Changed { details, at } => {
            write(tx, event, details, *at).await
        }
        Event::Published { at } => set_status(tx, event, Status::Published, *at).await,
        Event::Unpublished { at } => set_status(tx, event, Status::Draft, *at).await,
        Event::Deleted { at } => {
            scopes::release(tx, event.stream_id()).await?;
            set_status(tx, event, Status::Deleted, *at).await
        }
    }
}

/// Inserts a new product as a draft; an update leaves the status alone.
async fn write(
    tx: &mut AnyConnection,
    event: &RecordedEvent,
    details: &Details,
    at: Timestamp,
) -> Result<(), ProjectionError> {
    let id = event.stream_id();
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
    sqlx::query(
        "INSERT INTO products (id, status, visibility, name_key, search_text, details, documentation, version, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) \
         ON CONFLICT (id) DO UPDATE SET visibility = excluded.visibility, name_key = excluded.name_key, \
         search_text = excluded.search_text, details = excluded.details, \
         documentation = excluded.documentation, version = excluded.version, updated_at = excluded.updated_at",
    )
    .bind(id.to_string())
    .bind(Status::Draft.as_str())
    .bind(details.visibility.as_str())
    .bind(details.name.to_lowercase())
    .bind(search_text.to_lowercase())
    .bind(serde_json::to_string(&stored)?)
    .bind(details.documentation.clone())
    .bind(event.version)
    .bind(wire::time(at))
    .execute(&mut *tx)
    .await?;
    write_lists(tx, id, details).await?;
    let owner = Owner {
        kind: "product",
        id,
        name: &details.name,
    };
    scopes::claim(tx, &owner, &details.scopes).await
}

async fn write_lists(tx: &mut AnyConnection, id: Uuid, details: &Details) -> sqlx::Result<()> {
    let tags = [
        "DELETE FROM product_tags WHERE product_id = $1",
        "INSERT INTO product_tags (product_id, tag) VALUES ($1, $2)",
    ];
    replace(tx, id, tags, details.tags.iter().cloned()).await?;
    let client_types = [
        "DELETE FROM product_client_types WHERE product_id = $1",
        "INSERT INTO product_client_types (product_id, client_type_id) VALUES ($1, $2)",
    ];
    let ids = details.client_type_ids.iter().map(Uuid::to_string);
    replace(tx, id, client_types, ids).await
}

/// Makes these the only rows of a product.
async fn replace(
    tx: &mut AnyConnection,
    id: Uuid,
    [delete, insert]: [&'static str; 2],
    values: impl Iterator<Item = String>,
) -> sqlx::Result<()> {
    let id = id.to_string();
    let delete = sqlx::query(delete).bind(id.clone());
    delete.execute(&mut *tx).await?;
    for value in values {
        let insert = sqlx::query(insert).bind(id.clone()).bind(value);
        insert.execute(&mut *tx).await?;
    }
    Ok(())
}

async fn set_status(
    tx: &mut AnyConnection,
    event: &RecordedEvent,
    status: Status,
    at: Timestamp,
) -> Result<(), ProjectionError> {
    sqlx::query("UPDATE products SET status = $1, version = $2, updated_at = $3 WHERE id = $4")
        .bind(status.as_str())
        .bind(event.version)
        .bind(wire::time(at))
        .bind(event.stream_id().to_string())
        .execute(tx)
        .await?;
    Ok(())
}

/// One product with its documentation, as far as the audience may see it.
pub(crate) async fn get(
    pool: &AnyPool,
    audience: Audience,
    id: Uuid,
) -> sqlx::Result<Option<v1::Product>> {
    let row = sqlx::query(
        "SELECT id, status, details, version, created_at, updated_at, documentation FROM products WHERE id = $1",
    )
    .bind(id.to_string())
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let mut product = message(&row, audience)?;
    product.documentation = row.try_get(6)?;
    Ok(Some(product).filter(|p| audience.sees(p.status(), p.visibility())))
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
    let mut select = Select::new(
        "id, status, details, version, created_at, updated_at",
        "products WHERE true",
    );
    match audience {
        Audience::Admin | Audience::Service => select.and("status <> ?", "deleted"),
        Audience::SignedIn => select.and("status = ?", "published"),
        Audience::Visitor => {
            select.and("status = ?", "published");
            select.and("visibility = ?", "public");
        }
    }
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
    let products = rows.iter().map(|row| message(row, audience));
    let products = products.collect::<Result<_, _>>()?;
    Ok((products, next))
}

/// Without what the audience may not see.
fn message(row: &Row, audience: Audience) -> sqlx::Result<v1::Product> {
    let status: String = row.try_get(1)?;
    let details: Details = rows::json(row.try_get(2)?)?;
    let status = v1::ProductStatus::from_word(&status).unwrap_or_default();
    let time = |column: usize| rows::parsed(row.try_get(column)?);
    let times = (time(4)?, time(5)?);
    let version = row.try_get(3)?;
    let mut product = wire::product_message(rows::id(row)?, version, &details, status, times);
    if !audience.sees_mappings() {
        product.mapping = None;
        product.apis.iter_mut().for_each(|api| api.mapping = None);
    }
    Ok(product)
}
