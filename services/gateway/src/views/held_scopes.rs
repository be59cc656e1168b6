//! The table `scope_claims`: which OAuth clients may hold a scope, and for which product or plan. Of several products
//! that want a scope at one identity provider, the one whose first claim is the oldest has it, as long as it has a
//! claim at all; the others wait.

use std::collections::{BTreeMap, BTreeSet};

use portico_eventstore::rows::{id, parsed, places};
use portico_eventstore::sqlx::{self, AnyPool, Row as _};
use portico_eventstore::{
    Aggregate as _, Cell, ProjectionError, RecordedEvent, Row, Table, Tx, cells,
};
use portico_runtime::Page;
use uuid::Uuid;

use super::entitlements::EntitlementChange;
use crate::entitlement::{Claim, Entitlement};

const TABLE: Table = Table {
    name: "scope_claims",
    key: "request_id scope holder_id",
    columns: "request_id application_id identity_provider_id scope holder_id holder_name wanted since",
    once: "",
};

/// A scope at an identity provider, and the product or plan that has a claim to it.
type Holding = (Uuid, String, String);

/// Since when there are claims. The oldest claim of a holder decides, so claims depend on those of other requests and are
/// followed in the order of the log.
#[derive(Default)]
struct Claims {
    since: BTreeMap<Holding, BTreeSet<(i64, Option<Uuid>)>>,
    /// Of the requests that are followed.
    own: BTreeMap<Uuid, Vec<(Holding, i64)>>,
}

impl Claims {
    /// Those of these requests, which it takes out of the table; of others, the oldest of each holding.
    async fn take(
        tx: &mut Tx,
        requests: &BTreeSet<Uuid>,
        holdings: BTreeSet<Holding>,
    ) -> Result<Self, ProjectionError> {
        let mut claims = Self::default();
        let columns = "request_id, identity_provider_id, scope, holder_id, since";
        let own = requests.iter().copied();
        for row in TABLE.read(tx, columns, own.clone()).await? {
            let holding = (parsed(row.try_get(1)?)?, row.try_get(2)?, row.try_get(3)?);
            claims.add(holding, row.try_get(4)?, Some(id(&row)?));
        }
        TABLE.delete(tx, own).await?;
        let holdings: Vec<Holding> = holdings.into_iter().collect();
        for chunk in holdings.chunks(HOLDINGS) {
            for row in oldest(tx, chunk).await? {
                if let Some(since) = row.try_get(3)? {
                    let holding = (id(&row)?, row.try_get(1)?, row.try_get(2)?);
                    claims.add(holding, since, None);
                }
            }
        }
        Ok(claims)
    }

    fn add(&mut self, holding: Holding, since: i64, request: Option<Uuid>) {
        if let Some(request) = request {
            let own = self.own.entry(request).or_default();
            own.push((holding.clone(), since));
        }
        let claims = self.since.entry(holding).or_default();
        claims.insert((since, request));
    }

    /// Brings those of a request to what its state says after an event. Gives since when each is.
    fn follow(&mut self, at: &RecordedEvent, request: Uuid, holdings: &[Holding]) -> Vec<i64> {
        let since = |holding| {
            let oldest = self.since.get(holding).and_then(BTreeSet::first);
            oldest.map_or(at.position, |(since, _)| *since)
        };
        // Before the old ones go, for they say since when.
        let since: Vec<i64> = holdings.iter().map(since).collect();
        for (holding, since) in self.own.remove(&request).unwrap_or_default() {
            if let Some(claims) = self.since.get_mut(&holding) {
                claims.remove(&(since, Some(request)));
            }
        }
        for (holding, since) in holdings.iter().zip(&since) {
            self.add(holding.clone(), *since, Some(request));
        }
        since
    }
}

/// Holdings that are asked for in one statement, at most.
const HOLDINGS: usize = 1000;

async fn oldest(tx: &mut Tx, holdings: &[Holding]) -> Result<Vec<Row>, sqlx::Error> {
    let sql = format!(
        "SELECT k.column1, k.column2, k.column3, (SELECT MIN(since) FROM scope_claims \
         WHERE identity_provider_id = k.column1 AND scope = k.column2 AND holder_id = k.column3) \
         FROM (VALUES {}) AS k",
        places(holdings.len(), 3)
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(holdings.len() == 1);
    let bound = holdings
        .iter()
        .fold(query, |query, (provider, scope, holder)| {
            let query = query.bind(provider.to_string());
            query.bind(scope.clone()).bind(holder.clone())
        });
    bound.fetch_all(tx.connection()?).await
}

/// A request after an event that changed its claims.
struct Step<'a> {
    at: &'a RecordedEvent,
    change: &'a EntitlementChange<'a>,
    state: Entitlement,
    holdings: Vec<Holding>,
}

fn steps<'a>(entitlements: &'a [EntitlementChange<'a>]) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    for change in entitlements {
        let mut state = change.before.clone();
        for (at, event) in &change.events {
            let before = state.claims.clone();
            state.evolve(event);
            let Some(provider) = state.identity_provider_id() else {
                continue;
            };
            if state.claims != before {
                let holding = |claim: &Claim| {
                    let of = claim.of.clone();
                    (provider, of.scope, of.holder_id)
                };
                let holdings = state.claims.iter().map(holding).collect();
                let state = state.clone();
                steps.push(Step {
                    at,
                    change,
                    state,
                    holdings,
                });
            }
        }
    }
    steps.sort_by_key(|step| step.at.position);
    steps
}

/// Brings the rows of requests to their claims.
pub(super) async fn follow(
    tx: &mut Tx,
    entitlements: &[EntitlementChange<'_>],
) -> Result<(), ProjectionError> {
    let steps = steps(entitlements);
    match steps.as_slice() {
        [] => Ok(()),
        [step] => Ok(follow_one(tx, step).await?),
        _ => follow_many(tx, &steps).await,
    }
}

/// In an append: nothing is asked.
async fn follow_one(tx: &mut Tx, step: &Step<'_>) -> Result<(), sqlx::Error> {
    // Before the old rows go, for they say since when.
    const WRITE: &str = "INSERT INTO scope_claims (request_id, application_id, identity_provider_id, scope, holder_id, \
                         holder_name, wanted, since) SELECT $1, $2, $3, $4, $5, $6, $7, COALESCE((SELECT MIN(since) \
                         FROM scope_claims WHERE identity_provider_id = $3 AND scope = $4 AND holder_id = $5), $8) \
                         WHERE true ON CONFLICT (request_id, scope, holder_id) DO UPDATE SET \
                         application_id = excluded.application_id, \
                         identity_provider_id = excluded.identity_provider_id, holder_name = excluded.holder_name, \
                         wanted = excluded.wanted, since = excluded.since";
    for row in rows_of(step, &vec![step.at.position; step.holdings.len()]) {
        tx.execute(WRITE, row).await?;
    }
    let is_left = |claim: &&Claim| !step.state.claims.iter().any(|now| now.of == claim.of);
    for claim in step.change.before.claims.iter().filter(is_left) {
        let sql =
            "DELETE FROM scope_claims WHERE request_id = $1 AND scope = $2 AND holder_id = $3";
        let of = &claim.of;
        let values = cells![step.change.id, of.scope.clone(), of.holder_id.clone()];
        tx.execute(sql, values).await?;
    }
    Ok(())
}

/// In a rebuild.
async fn follow_many(tx: &mut Tx, steps: &[Step<'_>]) -> Result<(), ProjectionError> {
    let known = steps.iter().map(|step| step.change);
    let known = known.filter(|change| !change.before.claims.is_empty());
    let known = known.map(|change| change.id).collect();
    let holdings = steps.iter().flat_map(|step| step.holdings.clone());
    let mut claims = Claims::take(tx, &known, holdings.collect()).await?;
    let mut rows = BTreeMap::new();
    for step in steps {
        let since = claims.follow(step.at, step.change.id, &step.holdings);
        rows.insert(step.change.id, rows_of(step, &since));
    }
    TABLE.write(tx, rows.into_values().flatten()).await?;
    Ok(())
}

fn rows_of(step: &Step<'_>, since: &[i64]) -> Vec<Vec<Cell>> {
    let claims = step.state.claims.iter().zip(since);
    let row = |(claim, since): (&Claim, &i64)| {
        cells![
            step.change.id,
            step.state.application_id(),
            step.state.identity_provider_id(),
            claim.of.scope.clone(),
            claim.of.holder_id.clone(),
            claim.holder_name.clone(),
            claim.unwanted_since.is_none(),
            *since,
        ]
    };
    claims.map(row).collect()
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
    use portico_proto::gateway::v1::ListHeldScopesRequest;

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
            let limit = 1;
            let page = Page::parse(&ListHeldScopesRequest { limit, after }).unwrap();
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
