//! What is granted, as the view `grants` has it, and at which gateway.

use std::collections::{BTreeMap, BTreeSet};

use portico_eventstore::sqlx::{self, AnyPool, Row as _};
use serde::Deserialize;
use uuid::Uuid;

use crate::gateways::Limit;

/// An API as the product named it when access was approved.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct GrantedApi {
    pub(crate) api_id: String,
    #[serde(default)]
    pub(crate) name: String,
    /// Empty: the only gateway there is.
    #[serde(default)]
    pub(crate) gateway_id: String,
}

/// One product with one plan at one identity provider, however many requests have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Of the first and of the last request that has it; ids grow with time.
    pub(crate) first_request: String,
    pub(crate) last_request: String,
    /// How many items of requests have it.
    pub(crate) count: u64,
    pub(crate) identity_provider_id: String,
    pub(crate) product_id: String,
    pub(crate) product_name: String,
    pub(crate) product_scopes: Vec<String>,
    /// Empty: Portico makes the policy.
    pub(crate) product_policy_id: String,
    pub(crate) plan_id: String,
    pub(crate) plan_name: String,
    pub(crate) plan_scopes: Vec<String>,
    /// Empty: Portico makes the policy.
    pub(crate) plan_policy_id: String,
    pub(crate) rate: Option<Limit>,
    pub(crate) quota: Option<Limit>,
    pub(crate) apis: Vec<GrantedApi>,
}

const WHAT: &str = "identity_provider_id, product_id, product_name, product_scopes, product_policy_id, \
    plan_id, plan_name, plan_scopes, plan_policy_id, rate_requests, rate_per_seconds, quota_requests, \
    quota_renews_every_seconds, apis";

/// Everything that is granted, in the order in which it was first asked for.
pub(crate) async fn all(pool: &AnyPool) -> Result<Vec<Grant>, sqlx::Error> {
    let sql = format!(
        "SELECT MIN(request_id) AS first_request, MAX(request_id) AS last_request, COUNT(*) AS uses, {WHAT} \
         FROM grants GROUP BY {WHAT} ORDER BY 1, product_id, plan_id"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .fetch_all(pool)
        .await?;
    rows.iter().map(read).collect()
}

/// What API keys need, in the same shape: at no identity provider and without scopes.
pub(crate) async fn of_keys(pool: &AnyPool) -> Result<Vec<Grant>, sqlx::Error> {
    // As `WHAT`, without what keys do not have.
    const WHAT: &str = "product_id, product_name, product_policy_id, plan_id, plan_name, plan_policy_id, \
        rate_requests, rate_per_seconds, quota_requests, quota_renews_every_seconds, apis";
    let sql = format!(
        "SELECT MIN(request_id) AS first_request, MAX(request_id) AS last_request, COUNT(*) AS uses, \
         '' AS identity_provider_id, '[]' AS product_scopes, '[]' AS plan_scopes, {WHAT} \
         FROM key_grants GROUP BY {WHAT} ORDER BY 1, product_id, plan_id"
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
    products: BTreeMap<String, (String, String)>,
    plans: BTreeMap<String, (String, String)>,
}

impl Policies {
    /// As all that is granted has them.
    pub(crate) fn of(grants: &[Grant]) -> Self {
        let mut policies = Self::default();
        for grant in grants {
            let products = &mut policies.products;
            keep(products, &grant.product_id, grant, &grant.product_policy_id);
            let plans = &mut policies.plans;
            keep(plans, &grant.plan_id, grant, &grant.plan_policy_id);
        }
        policies
    }

    /// Puts them into a grant.
    pub(crate) fn update(&self, grant: &mut Grant) {
        if let Some((_, policy)) = self.products.get(&grant.product_id) {
            grant.product_policy_id.clone_from(policy);
        }
        if let Some((_, policy)) = self.plans.get(&grant.plan_id) {
            grant.plan_policy_id.clone_from(policy);
        }
    }
}

fn keep(newest: &mut BTreeMap<String, (String, String)>, id: &str, grant: &Grant, policy: &str) {
    let candidate = (grant.last_request.clone(), policy.to_owned());
    let best = newest.entry(id.to_owned()).or_default();
    if candidate.0 >= best.0 {
        *best = candidate;
    }
}

/// What is granted by these requests.
pub(crate) async fn of_requests(
    pool: &AnyPool,
    requests: &[Uuid],
) -> Result<BTreeMap<Uuid, Vec<Grant>>, sqlx::Error> {
    let sql = format!(
        "SELECT request_id AS first_request, request_id AS last_request, CAST(1 AS BIGINT) AS uses, {WHAT} \
         FROM grants WHERE request_id = $1"
    );
    let mut found = BTreeMap::new();
    for request in requests {
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql.clone()))
            .bind(request.to_string())
            .fetch_all(pool)
            .await?;
        let grants: Result<Vec<_>, _> = rows.iter().map(read).collect();
        found.insert(*request, grants?);
    }
    Ok(found)
}

fn read(row: &portico_eventstore::Row) -> Result<Grant, sqlx::Error> {
    let text = |name: &str| row.try_get::<String, _>(name);
    Ok(Grant {
        first_request: text("first_request")?,
        last_request: text("last_request")?,
        count: u64::try_from(row.try_get::<i64, _>("uses")?).unwrap_or_default(),
        identity_provider_id: text("identity_provider_id")?,
        product_id: text("product_id")?,
        product_name: text("product_name")?,
        product_scopes: json(&text("product_scopes")?)?,
        product_policy_id: text("product_policy_id")?,
        plan_id: text("plan_id")?,
        plan_name: text("plan_name")?,
        plan_scopes: json(&text("plan_scopes")?)?,
        plan_policy_id: text("plan_policy_id")?,
        rate: limit(row, "rate_requests", "rate_per_seconds")?,
        quota: limit(row, "quota_requests", "quota_renews_every_seconds")?,
        apis: json(&text("apis")?)?,
    })
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn limit(
    row: &portico_eventstore::Row,
    requests: &str,
    seconds: &str,
) -> Result<Option<Limit>, sqlx::Error> {
    let positive = |name: &str| {
        let number = row.try_get::<Option<i64>, _>(name)?;
        Ok::<_, sqlx::Error>(
            number
                .and_then(|n| u64::try_from(n).ok())
                .filter(|n| *n > 0),
        )
    };
    let limit = positive(requests)?.zip(positive(seconds)?);
    Ok(limit.map(|(requests, seconds)| Limit { requests, seconds }))
}

/// Where an API is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
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
pub(crate) struct Places {
    pub(crate) gateways: Vec<Uuid>,
    pub(crate) mapped: BTreeMap<String, BTreeSet<Uuid>>,
}

impl Places {
    /// Where an API is.
    pub(crate) fn of(&self, api: &GrantedApi) -> Place {
        if self.gateways.is_empty() {
            return Place::NoGateway;
        }
        if !api.gateway_id.is_empty() {
            let named = api.gateway_id.parse::<Uuid>().ok();
            return match named.filter(|id| self.gateways.contains(id)) {
                Some(id) => Place::At(id),
                None => Place::Unknown,
            };
        }
        if let [only] = self.gateways[..] {
            return Place::At(only);
        }
        // A second gateway must not take away what was mapped at the first.
        let before: Vec<_> = self.mapped.get(&api.api_id).into_iter().flatten().collect();
        match before[..] {
            [before] => Place::At(*before),
            _ => Place::Ambiguous,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(gateway_id: &str) -> GrantedApi {
        GrantedApi {
            api_id: "pay".into(),
            gateway_id: gateway_id.into(),
            ..GrantedApi::default()
        }
    }

    #[test]
    fn the_policy_of_the_last_request_is_everybodys() {
        let grant = |request: &str, policy: &str| Grant {
            last_request: request.into(),
            product_id: "pay".into(),
            product_policy_id: policy.into(),
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
        let mut places = Places::default();
        assert_eq!(places.of(&api("")), Place::NoGateway);
        assert_eq!(places.of(&api(&a.to_string())), Place::NoGateway);
        places.gateways = vec![a];
        assert_eq!(places.of(&api("")), Place::At(a));
        assert_eq!(places.of(&api(&b.to_string())), Place::Unknown);
        assert_eq!(places.of(&api("nonsense")), Place::Unknown);
        places.gateways = vec![a, b];
        assert_eq!(places.of(&api("")), Place::Ambiguous);
        assert_eq!(places.of(&api(&b.to_string())), Place::At(b));
        places.mapped.insert("pay".into(), [b].into());
        assert_eq!(places.of(&api("")), Place::At(b));
        places.mapped.insert("pay".into(), [a, b].into());
        assert_eq!(places.of(&api("")), Place::Ambiguous);
    }
}
