//! Products and plans of policies that an operator made at a gateway. The policies stay the operator's: a product or
//! plan names its policy, and Portico writes no policy that is named. Pure.

use std::collections::BTreeSet;

use portico_proto::gateway::v1::{GatewayPolicy, SimulatedLimit};
use uuid::Uuid;

use crate::{plan, product};

/// Characters of a name.
const NAME: usize = 100;

/// What a policy can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Becomes {
    Product,
    Plan,
}

/// What a policy can become, or why it can become nothing.
pub(crate) fn becomes(policy: &GatewayPolicy) -> Result<Becomes, &'static str> {
    if policy.own {
        return Err("Portico made it, or it is the default policy.");
    }
    if !policy.active {
        return Err("It is not active at the gateway.");
    }
    match policy.role.as_str() {
        "product" => Ok(Becomes::Product),
        "plan" => Ok(Becomes::Plan),
        "both" => Err(
            "It opens APIs and limits them at once, so it cannot be combined with a plan or a product: split it into \
             one with the partition for access rights and one with those for rate and quota.",
        ),
        _ => Err("It neither opens APIs nor limits them."),
    }
}

/// The stream of what a policy of a gateway becomes; always the same, so that nothing is imported twice.
pub(crate) fn id(gateway: Uuid, becomes: Becomes, policy_id: &str) -> Uuid {
    let what = match becomes {
        Becomes::Product => "product",
        Becomes::Plan => "plan",
    };
    Uuid::new_v5(&gateway, format!("{what}/{policy_id}").as_bytes())
}

fn name(policy: &GatewayPolicy) -> String {
    let printable: String = policy
        .name
        .chars()
        .filter(|letter| !letter.is_control())
        .take(NAME)
        .collect();
    match printable.trim() {
        "" => policy.id.chars().take(NAME).collect(),
        name => name.to_owned(),
    }
}

/// A draft. Where scopes lead to the policy already, clients can be registered for it.
pub(crate) fn product(
    gateway: Uuid,
    policy: &GatewayPolicy,
    scopes: BTreeSet<String>,
) -> product::Details {
    product::Details {
        name: name(policy),
        dcr_enabled: !scopes.is_empty(),
        scopes,
        apis: apis(gateway, policy, &[]),
        policy_id: policy.id.clone(),
        ..product::Details::default()
    }
}

/// What a policy says of a product that was made of it before. What an admin has written since stays.
pub(crate) fn product_change(
    gateway: Uuid,
    policy: &GatewayPolicy,
    before: &product::Details,
    scopes: &BTreeSet<String>,
) -> product::Change {
    product::Change {
        apis: Some(apis(gateway, policy, &before.apis)),
        scopes: (before.scopes.is_empty() && !scopes.is_empty()).then(|| scopes.clone()),
        ..product::Change::default()
    }
}

/// With what an admin has written of an API before.
fn apis(gateway: Uuid, policy: &GatewayPolicy, before: &[product::Api]) -> Vec<product::Api> {
    let api = |api: &portico_proto::gateway::v1::GatewayApi| {
        let known = before.iter().find(|known| known.api_id == api.api_id);
        known.cloned().unwrap_or_else(|| product::Api {
            api_id: api.api_id.clone(),
            name: api
                .name
                .chars()
                .filter(|it| !it.is_control())
                .take(NAME)
                .collect(),
            url: String::new(),
            gateway_id: Some(gateway),
        })
    };
    policy.apis.iter().map(api).collect()
}

fn limit(limit: &SimulatedLimit) -> plan::Limit {
    plan::Limit {
        requests: limit.requests,
        seconds: limit.seconds,
    }
}

/// Needs an admin's approval until one says otherwise.
pub(crate) fn plan(policy: &GatewayPolicy, scopes: BTreeSet<String>) -> plan::Details {
    plan::Details {
        name: name(policy),
        scopes,
        rate: policy.rate.as_ref().map(limit),
        quota: policy.quota.as_ref().map(limit),
        policy_id: policy.id.clone(),
        ..plan::Details::default()
    }
}

/// As [`product_change`].
pub(crate) fn plan_change(policy: &GatewayPolicy) -> plan::Change {
    plan::Change {
        rate: Some(policy.rate.as_ref().map(limit)),
        quota: Some(policy.quota.as_ref().map(limit)),
        ..plan::Change::default()
    }
}

#[cfg(test)]
mod tests {
    use portico_proto::gateway::v1::GatewayApi;

    use super::*;

    const GATEWAY: Uuid = Uuid::from_u128(7);

    fn policy(role: &str) -> GatewayPolicy {
        GatewayPolicy {
            id: "p1".into(),
            name: "Payments\n".into(),
            role: role.into(),
            active: true,
            apis: vec![GatewayApi {
                api_id: "pay".into(),
                name: "Payments".into(),
                listen_path: "/pay/".into(),
            }],
            rate: Some(SimulatedLimit {
                requests: 5,
                seconds: 60,
            }),
            ..GatewayPolicy::default()
        }
    }

    fn scopes(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_a_policy_can_become_is_said_with_its_reason() {
        assert_eq!(becomes(&policy("product")), Ok(Becomes::Product));
        assert_eq!(becomes(&policy("plan")), Ok(Becomes::Plan));
        assert!(becomes(&policy("both")).unwrap_err().contains("split"));
        let mut asleep = policy("plan");
        asleep.active = false;
        assert!(becomes(&asleep).is_err());
        let mut own = policy("plan");
        own.own = true;
        assert!(becomes(&own).is_err());
    }

    #[test]
    fn a_second_import_keeps_what_an_admin_wrote() {
        let first = product(GATEWAY, &policy("product"), scopes(&["product_pay"]));
        assert_eq!(first.name, "Payments");
        assert!(first.dcr_enabled);
        let mut edited = first;
        edited.apis[0].url = "https://api.example/pay/".into();
        let mut grown = policy("product");
        grown.apis.push(GatewayApi {
            api_id: "ship".into(),
            ..GatewayApi::default()
        });
        let change = product_change(GATEWAY, &grown, &edited, &scopes(&["other"]));
        let apis = change.apis.unwrap();
        assert_eq!(apis[0].url, "https://api.example/pay/");
        assert_eq!(apis[1].api_id, "ship");
        assert_eq!((change.scopes, change.name), (None, None));
    }

    #[test]
    fn a_policy_always_becomes_the_same() {
        let product = id(GATEWAY, Becomes::Product, "p1");
        assert_eq!(product, id(GATEWAY, Becomes::Product, "p1"));
        assert_ne!(product, id(GATEWAY, Becomes::Plan, "p1"));
        assert_ne!(product, id(Uuid::nil(), Becomes::Product, "p1"));
    }
}
