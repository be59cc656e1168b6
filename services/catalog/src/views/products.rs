//! The table `products` and what belongs to it.

use std::collections::BTreeMap;

use portico_eventstore::{Cell, Change, ProjectionError, Row, Table, cells, rows};
use portico_proto::{catalog::v1, rest::Enumeration as _};
use portico_runtime::lists::{ListQuery, Search, Select};
use sqlx::{AnyConnection, AnyPool, Row as _};
use uuid::Uuid;

use super::{Audience, RowChange, scopes::Claim};
use crate::{
    product::{Details, Event, Product, Status},
    wire,
};

const TABLE: Table = Table {
    name: "products",
    key: "id",
    columns: "id status visibility name_key search_text details documentation version created_at updated_at",
    once: "created_at",
};

/// Where nothing is said of the status.
const DETAILS: Table = Table {
    once: "status created_at",
    ..TABLE
};

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

type ProductChange = RowChange<Details>;

/// Writes the rows, and gives the scopes that products have then.
pub(super) async fn apply(
    tx: &mut AnyConnection,
    change: &Change<'_>,
) -> Result<Vec<Claim>, ProjectionError> {
    let products = changes(change)?;
    let (mut rows, mut details, mut claims) = (Vec::new(), Vec::new(), Vec::new());
    for (&id, product) in &products {
        claims.extend(product.scopes(|details| &details.scopes).map(|scopes| {
            Claim {
                kind: "product",
                id,
                is_new: product.is_new,
                name: product
                    .details
                    .as_ref()
                    .map_or_else(String::new, |details| details.name.clone()),
                scopes,
            }
        }));
        match &product.details {
            None => product.write_status(tx, &TABLE, id).await?,
            Some(changed) if product.status.is_none() => {
                details.push(row_of(id, product, changed)?);
            }
            Some(changed) => rows.push(row_of(id, product, changed)?),
        }
    }
    TABLE.write(tx, rows).await?;
    DETAILS.write(tx, details).await?;
    write_lists(tx, &products).await?;
    Ok(claims)
}

fn changes(change: &Change<'_>) -> Result<BTreeMap<Uuid, ProductChange>, ProjectionError> {
    let mut products: BTreeMap<Uuid, ProductChange> = BTreeMap::new();
    for (event, private) in change.decoded::<Product>()? {
        let (details, status, at) = match private {
            Event::Created { details, at } => (Some(details), Some(Status::Draft), at),
            Event::Changed { details, at } => (Some(details), None, at),
            Event::Published { at } => (None, Some(Status::Published), at),
            Event::Unpublished { at } => (None, Some(Status::Draft), at),
            Event::Deleted { at } => (None, Some(Status::Deleted), at),
        };
        let product = products.entry(event.stream_id()).or_default();
        product.follow(event, details, status.map(Status::as_str), at);
    }
    Ok(products)
}

fn row_of(
    id: Uuid,
    product: &ProductChange,
    details: &Details,
) -> Result<Vec<Cell>, ProjectionError> {
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
        id,
        product.status.unwrap_or_default(),
        details.visibility.as_str(),
        details.name.to_lowercase(),
        search_text.to_lowercase(),
        serde_json::to_string(&stored)?,
        details.documentation.clone(),
        product.version,
        wire::time(product.created_at),
        wire::time(product.updated_at),
    ])
}

/// Makes these the only tags and client types of products.
async fn write_lists(
    tx: &mut AnyConnection,
    products: &BTreeMap<Uuid, ProductChange>,
) -> sqlx::Result<()> {
    let (mut tags, mut client_types) = (Vec::new(), Vec::new());
    let changed = products
        .iter()
        .filter(|(_, product)| product.details.is_some());
    for (&id, details) in changed
        .clone()
        .flat_map(|(id, product)| Some(id).zip(product.details.as_ref()))
    {
        tags.extend(details.tags.iter().map(|tag| cells![id, tag.clone()]));
        client_types.extend(details.client_type_ids.iter().map(|one| cells![id, *one]));
    }
    let known = changed
        .filter(|(_, product)| !product.is_new)
        .map(|(id, _)| *id);
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
