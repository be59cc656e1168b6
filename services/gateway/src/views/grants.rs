//! The table `grants`: what is wanted at gateways, a row for each product under a plan of a request, as long as it is
//! wanted or a key of it may be at a gateway. Read by the worker that writes gateways.

use std::collections::{BTreeMap, BTreeSet};

use portico_eventstore::rows::{json, parsed};
use portico_eventstore::sqlx::{self, AnyPool, Row as _};
use portico_eventstore::{Cell, ProjectionError, Row, Table, Tx, cells};
use uuid::Uuid;

use super::entitlements::EntitlementChange;
use crate::entitlement::{Entitlement, Key, KeyPolicies, Link};
use crate::item::{Api, Item, Limit};

/// One product with one plan at one identity provider, or for API keys, however many requests have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Of the first and of the last request that has it; ids grow with time.
    pub(crate) first_request: String,
    pub(crate) last_request: String,
    /// How many items of requests have it.
    pub(crate) count: u64,
    /// None: for API keys, which need policies and no scopes.
    pub(crate) identity_provider_id: Option<Uuid>,
    pub(crate) product_id: String,
    pub(crate) product_name: String,
    pub(crate) product_scopes: Vec<String>,
    /// None: Portico makes the policy.
    pub(crate) product_policy_id: Option<String>,
    pub(crate) plan_id: String,
    pub(crate) plan_name: String,
    pub(crate) plan_scopes: Vec<String>,
    /// None: Portico makes the policy.
    pub(crate) plan_policy_id: Option<String>,
    pub(crate) rate: Option<Limit>,
    pub(crate) quota: Option<Limit>,
    pub(crate) apis: Vec<Api>,
}

const COLUMNS: &str = "identity_provider_id, product_id, product_name, product_scopes, product_policy_id, plan_id, \
    plan_name, plan_scopes, plan_policy_id, rate_requests, rate_per_seconds, quota_requests, \
    quota_renews_every_seconds, apis";

/// Everything that is granted, in the order in which it was first asked for.
pub(crate) async fn all(pool: &AnyPool) -> Result<Vec<Grant>, sqlx::Error> {
    let sql = format!(
        "SELECT MIN(request_id) AS first_request, MAX(request_id) AS last_request, COUNT(*) AS uses, {COLUMNS} \
         FROM grants GROUP BY {COLUMNS} ORDER BY 1, product_id, plan_id"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .fetch_all(pool)
        .await?;
    rows.iter().map(read).collect()
}

/// The policy that each product and plan has by the last request for it: an admin may
/// have given it another one meanwhile.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policies {
    products: BTreeMap<String, Newest>,
    plans: BTreeMap<String, Newest>,
}

/// The last request, and the policy that it names.
type Newest = (String, Option<String>);

impl Policies {
    /// As all that is granted to OAuth clients has them; a key keeps those that it was made with.
    pub(crate) fn of(grants: &[Grant]) -> Self {
        let mut policies = Self::default();
        let of_clients = grants
            .iter()
            .filter(|grant| grant.identity_provider_id.is_some());
        for grant in of_clients {
            let products = &mut policies.products;
            keep(products, &grant.product_id, grant, &grant.product_policy_id);
            let plans = &mut policies.plans;
            keep(plans, &grant.plan_id, grant, &grant.plan_policy_id);
        }
        policies
    }

    /// Puts them into a grant.
    pub(crate) fn update(&self, grant: &mut Grant) {
        if grant.identity_provider_id.is_none() {
            return;
        }
        if let Some((_, policy)) = self.products.get(&grant.product_id) {
            grant.product_policy_id.clone_from(policy);
        }
        if let Some((_, policy)) = self.plans.get(&grant.plan_id) {
            grant.plan_policy_id.clone_from(policy);
        }
    }
}

fn keep(newest: &mut BTreeMap<String, Newest>, id: &str, grant: &Grant, policy: &Option<String>) {
    let candidate = (grant.last_request.clone(), policy.clone());
    let best = newest.entry(id.to_owned()).or_default();
    if candidate.0 >= best.0 {
        *best = candidate;
    }
}

/// What is granted by a request.
pub(crate) async fn of_request(pool: &AnyPool, request: Uuid) -> Result<Vec<Grant>, sqlx::Error> {
    let sql = format!(
        "SELECT request_id AS first_request, request_id AS last_request, CAST(1 AS BIGINT) AS uses, {COLUMNS} \
         FROM grants WHERE request_id = $1"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(request.to_string())
        .fetch_all(pool)
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Grant, sqlx::Error> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let optional = |name: &str| row.try_get::<Option<String>, _>(name);
    Ok(Grant {
        first_request: text("first_request")?,
        last_request: text("last_request")?,
        count: u64::try_from(row.try_get::<i64, _>("uses")?).unwrap_or_default(),
        identity_provider_id: optional("identity_provider_id")?
            .as_deref()
            .map(parsed)
            .transpose()?,
        product_id: text("product_id")?,
        product_name: text("product_name")?,
        product_scopes: json(&text("product_scopes")?)?,
        product_policy_id: optional("product_policy_id")?,
        plan_id: text("plan_id")?,
        plan_name: text("plan_name")?,
        plan_scopes: json(&text("plan_scopes")?)?,
        plan_policy_id: optional("plan_policy_id")?,
        rate: limit(row, "rate_requests", "rate_per_seconds")?,
        quota: limit(row, "quota_requests", "quota_renews_every_seconds")?,
        apis: json(&text("apis")?)?,
    })
}

fn limit(row: &Row, requests: &str, seconds: &str) -> Result<Option<Limit>, sqlx::Error> {
    let positive = |name: &str| {
        let number = row.try_get::<Option<i64>, _>(name)?;
        let number = number.and_then(|number| u64::try_from(number).ok());
        Ok::<_, sqlx::Error>(number.filter(|number| *number > 0))
    };
    let limit = positive(requests)?.zip(positive(seconds)?);
    Ok(limit.map(|(requests, seconds)| Limit { requests, seconds }))
}

const TABLE: Table = Table {
    name: "grants",
    key: "request_id item",
    columns: "request_id item identity_provider_id product_id product_name product_scopes product_policy_id \
        plan_id plan_name plan_scopes plan_policy_id rate_requests rate_per_seconds quota_requests \
        quota_renews_every_seconds apis",
    once: "",
};

/// Brings the rows of requests to what their states say, where that is something else than before.
pub(super) async fn follow(
    tx: &mut Tx,
    entitlements: &[EntitlementChange<'_>],
) -> Result<(), ProjectionError> {
    let (mut old, mut rows) = (Vec::new(), Vec::new());
    for change in entitlements {
        let provider = change.after.identity_provider_id();
        let (before, after) = (granted(&change.before), granted(&change.after));
        if change.before.identity_provider_id() == provider && before == after {
            continue;
        }
        if !before.is_empty() {
            old.push(change.id);
        }
        for (index, item, policies) in after {
            rows.push(row_of(change.id, provider, (index, item), policies)?);
        }
    }
    TABLE.delete(tx, old).await?;
    TABLE.write(tx, rows).await?;
    Ok(())
}

/// The items of a request that have a row: their places in it, and the policies.
fn granted(entitlement: &Entitlement) -> Vec<(i64, &Item, KeyPolicies)> {
    let mut granted = Vec::new();
    for (index, item) in (0..).zip(entitlement.items()) {
        let keys = entitlement.keys().values();
        let keys: Vec<&Key> = keys
            .filter(|key| key.product_id == item.product.id && key.may_exist())
            .collect();
        if entitlement.is_wanted() || !keys.is_empty() {
            let newest = keys.iter().find(|key| key.link != Link::None);
            granted.push((index, item, policies(item, newest.copied())));
        }
    }
    granted
}

/// A key keeps the policies that it was made with.
fn policies(item: &Item, key: Option<&Key>) -> KeyPolicies {
    match key {
        Some(key) => key.policies.clone(),
        None => KeyPolicies {
            product: item.product.policy_id.clone(),
            plan: item.plan.policy_id.clone(),
        },
    }
}

fn row_of(
    request: Uuid,
    provider: Option<Uuid>,
    (index, item): (i64, &Item),
    policies: KeyPolicies,
) -> Result<Vec<Cell>, ProjectionError> {
    // No limit beyond what the column takes would ever be reached.
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    // Keys need policies, whatever scopes the product has.
    let scopes = |scopes: &BTreeSet<String>| match provider {
        Some(_) => serde_json::to_string(scopes),
        None => Ok("[]".to_owned()),
    };
    let (product, plan) = (&item.product, &item.plan);
    Ok(cells![
        request,
        index,
        provider,
        product.id.clone(),
        product.name.clone(),
        scopes(&product.scopes)?,
        policies.product,
        plan.id.clone(),
        plan.name.clone(),
        scopes(&plan.scopes)?,
        policies.plan,
        plan.rate.map(|limit| number(limit.requests)),
        plan.rate.map(|limit| number(limit.seconds)),
        plan.quota.map(|limit| number(limit.requests)),
        plan.quota.map(|limit| number(limit.seconds)),
        serde_json::to_string(&product.apis)?,
    ])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApiLocation {
    /// At this gateway.
    At(Uuid),
    /// There is no gateway at all, so nothing is mapped.
    NoGateway,
    /// The named gateway is not there (any more).
    Unknown,
    /// None is named, and there are several.
    Ambiguous,
}

/// The gateways there are, and at which of them an API has been mapped.
#[derive(Debug, Clone, Default)]
pub(crate) struct ApiLocations {
    pub(crate) gateways: Vec<Uuid>,
    pub(crate) mapped: BTreeMap<String, BTreeSet<Uuid>>,
}

impl ApiLocations {
    pub(crate) fn of(&self, api: &Api) -> ApiLocation {
        if self.gateways.is_empty() {
            return ApiLocation::NoGateway;
        }
        if let Some(named) = &api.gateway_id {
            let named = named.parse::<Uuid>().ok();
            return match named.filter(|id| self.gateways.contains(id)) {
                Some(id) => ApiLocation::At(id),
                None => ApiLocation::Unknown,
            };
        }
        if let [only] = self.gateways[..] {
            return ApiLocation::At(only);
        }
        // A second gateway must not take away what was mapped at the first.
        let before: Vec<_> = self.mapped.get(&api.api_id).into_iter().flatten().collect();
        match before[..] {
            [before] => ApiLocation::At(*before),
            _ => ApiLocation::Ambiguous,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(gateway_id: &str) -> Api {
        Api {
            api_id: "pay".into(),
            gateway_id: (!gateway_id.is_empty()).then(|| gateway_id.into()),
            ..Api::default()
        }
    }

    #[test]
    fn the_policy_of_the_last_request_is_everybodys() {
        let grant = |request: &str, policy: &str| Grant {
            last_request: request.into(),
            identity_provider_id: Some(Uuid::nil()),
            product_id: "pay".into(),
            product_policy_id: (!policy.is_empty()).then(|| policy.into()),
            ..Grant::default()
        };
        let policies = Policies::of(&[grant("1", ""), grant("3", "theirs"), grant("2", "")]);
        let mut old = grant("1", "");
        policies.update(&mut old);
        assert_eq!(old, grant("1", "theirs"));
    }

    #[test]
    fn an_api_without_a_gateway_is_at_the_only_one() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut places = ApiLocations::default();
        assert_eq!(places.of(&api("")), ApiLocation::NoGateway);
        assert_eq!(places.of(&api(&a.to_string())), ApiLocation::NoGateway);
        places.gateways = vec![a];
        assert_eq!(places.of(&api("")), ApiLocation::At(a));
        assert_eq!(places.of(&api(&b.to_string())), ApiLocation::Unknown);
        assert_eq!(places.of(&api("nonsense")), ApiLocation::Unknown);
        places.gateways = vec![a, b];
        assert_eq!(places.of(&api("")), ApiLocation::Ambiguous);
        assert_eq!(places.of(&api(&b.to_string())), ApiLocation::At(b));
        places.mapped.insert("pay".into(), [b].into());
        assert_eq!(places.of(&api("")), ApiLocation::At(b));
        places.mapped.insert("pay".into(), [a, b].into());
        assert_eq!(places.of(&api("")), ApiLocation::Ambiguous);
    }
}
