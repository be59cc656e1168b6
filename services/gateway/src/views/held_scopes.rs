//! The table `scope_claims`: which OAuth clients may hold a scope, and for which product or plan. Of several products
//! that want a scope at one identity provider, the one whose first claim is the oldest has it, as long as it has a
//! claim at all; the others wait.

use std::collections::BTreeMap;

use portico_eventstore::rows::id;
use portico_eventstore::sqlx::{self, AnyConnection, AnyPool, Row as _};
use portico_eventstore::{ProjectionError, RecordedEvent};
use portico_runtime::Page;
use uuid::Uuid;

use crate::entitlement::{Claim, Entitlement};

/// Brings the rows of one request to its claims.
pub(super) async fn write(
    tx: &mut AnyConnection,
    at: &RecordedEvent,
    entitlement: &Entitlement,
) -> Result<(), ProjectionError> {
    let Some(provider) = entitlement.identity_provider_id() else {
        return Ok(());
    };
    let mut rows = Vec::new();
    for claim in &entitlement.claims {
        // Before the old rows go, for they say since when.
        rows.push((claim, since(tx, at, provider, claim).await?));
    }
    let request = at.stream_id().to_string();
    sqlx::query("DELETE FROM scope_claims WHERE request_id = $1")
        .bind(request.clone())
        .execute(&mut *tx)
        .await?;
    for (claim, since) in rows {
        sqlx::query(
            "INSERT INTO scope_claims (request_id, application_id, identity_provider_id, scope, holder_id, \
             holder_name, wanted, since) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(request.clone())
        .bind(entitlement.application_id().to_string())
        .bind(provider.to_string())
        .bind(claim.of.scope.clone())
        .bind(claim.of.holder_id.clone())
        .bind(claim.holder_name.clone())
        .bind(i64::from(claim.unwanted_since.is_none()))
        .bind(since)
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

async fn since(
    tx: &mut AnyConnection,
    at: &RecordedEvent,
    provider: Uuid,
    claim: &Claim,
) -> Result<i64, ProjectionError> {
    let row = sqlx::query(
        "SELECT MIN(since) FROM scope_claims WHERE identity_provider_id = $1 AND scope = $2 AND holder_id = $3",
    )
    .bind(provider.to_string())
    .bind(claim.of.scope.clone())
    .bind(claim.of.holder_id.clone())
    .fetch_one(tx)
    .await?;
    Ok(row.try_get::<Option<i64>, _>(0)?.unwrap_or(at.position))
}

/// The product or plan that has a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HolderOf {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// By identity provider and scope.
pub(crate) type Holders = BTreeMap<(Uuid, String), HolderOf>;

pub(crate) async fn holders(pool: &AnyPool) -> Result<Holders, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT identity_provider_id, scope, holder_id, MAX(holder_name), MIN(since) AS first FROM scope_claims \
         GROUP BY identity_provider_id, scope, holder_id ORDER BY first, holder_id",
    )
    .fetch_all(pool)
    .await?;
    let mut holders = Holders::new();
    for row in &rows {
        let holder = HolderOf {
            id: row.try_get(2)?,
            name: row.try_get(3)?,
        };
        holders.entry((id(row)?, row.try_get(1)?)).or_insert(holder);
    }
    Ok(holders)
}

/// A product or plan that waits for a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeldScope {
    pub(crate) identity_provider_id: Uuid,
    pub(crate) scope: String,
    pub(crate) waiting: HolderOf,
    pub(crate) holder: HolderOf,
    /// With a client that may hold it for the holder.
    pub(crate) application_ids: Vec<String>,
}

/// Those that wait, and the cursor of the next page.
pub(crate) async fn list(
    pool: &AnyPool,
    page: &Page,
) -> Result<(Vec<HeldScope>, String), sqlx::Error> {
    let holders = holders(pool).await?;
    let rows = sqlx::query(
        "SELECT identity_provider_id, scope, holder_id, MAX(holder_name) FROM scope_claims WHERE wanted = 1 \
         GROUP BY identity_provider_id, scope, holder_id",
    )
    .fetch_all(pool)
    .await?;
    let mut waiting = Vec::new();
    for row in &rows {
        let (provider, scope): (Uuid, String) = (id(row)?, row.try_get(1)?);
        let one = HolderOf {
            id: row.try_get(2)?,
            name: row.try_get(3)?,
        };
        let holder = holders.get(&(provider, scope.clone()));
        let holder = holder.filter(|holder| holder.id != one.id).cloned();
        if let Some(holder) = holder {
            waiting.push(HeldScope {
                identity_provider_id: provider,
                scope,
                waiting: one,
                holder,
                application_ids: Vec::new(),
            });
        }
    }
    let (mut waiting, next) = cut(waiting, page);
    for one in &mut waiting {
        let claims = claims_of(pool, one.identity_provider_id, &one.scope, &one.holder.id).await?;
        one.application_ids = claims
            .into_iter()
            .map(|(_, application)| application)
            .collect();
        one.application_ids.sort();
        one.application_ids.dedup();
    }
    Ok((waiting, next))
}

/// One page. Sorted here and not by the database, whose collation may order text otherwise than the cursor is
/// compared.
fn cut(mut waiting: Vec<HeldScope>, page: &Page) -> (Vec<HeldScope>, String) {
    let key = |one: &HeldScope| {
        let provider = one.identity_provider_id;
        let text = format!("{provider} {} {}", one.scope, one.waiting.id);
        (String::new(), text)
    };
    let (_, after) = page.after.clone().unwrap_or_default();
    waiting.retain(|one| key(one).1 > after);
    waiting.sort_by_cached_key(key);
    waiting.truncate(page.limit + 1);
    page.cut(waiting, key)
}

/// Requests, and their applications, whose clients may hold a scope for a product or plan.
pub(crate) async fn claims_of(
    pool: &AnyPool,
    provider: Uuid,
    scope: &str,
    holder: &str,
) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT request_id, application_id FROM scope_claims WHERE identity_provider_id = $1 AND scope = $2 \
         AND holder_id = $3 ORDER BY request_id",
    )
    .bind(provider.to_string())
    .bind(scope.to_owned())
    .bind(holder.to_owned())
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| Ok((id(row)?, row.try_get(1)?)))
        .collect()
}

/// How many products and plans wait for a scope.
pub(crate) async fn count(pool: &AnyPool) -> Result<i64, sqlx::Error> {
    let row = sqlx::query(
        "SELECT COUNT(*) FROM (SELECT DISTINCT w.identity_provider_id, w.scope, w.holder_id FROM scope_claims w \
         JOIN scope_claims h ON h.identity_provider_id = w.identity_provider_id AND h.scope = w.scope \
         AND h.holder_id <> w.holder_id AND (h.since < w.since OR (h.since = w.since AND h.holder_id < w.holder_id)) \
         WHERE w.wanted = 1) AS waiting",
    )
    .fetch_one(pool)
    .await?;
    row.try_get(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database may order lower and upper case otherwise than the cursor is compared.
    #[test]
    fn every_page_begins_where_the_one_before_ended() {
        let holder = |id: &str| HolderOf {
            id: id.into(),
            name: String::new(),
        };
        let one = |scope: &&str| HeldScope {
            identity_provider_id: Uuid::nil(),
            scope: (*scope).to_owned(),
            waiting: holder("ship"),
            holder: holder("pay"),
            application_ids: Vec::new(),
        };
        let waiting: Vec<HeldScope> = ["a", "B", "c", "D"].iter().map(one).collect();
        let (mut scopes, mut after) = (Vec::new(), String::new());
        loop {
            let page = Page::parse(1, &after).unwrap();
            let (cut, next) = cut(waiting.clone(), &page);
            scopes.extend(cut.into_iter().map(|one| one.scope));
            if next.is_empty() {
                break;
            }
            after = next;
        }
        assert_eq!(scopes, ["B", "D", "a", "c"]);
    }
}
