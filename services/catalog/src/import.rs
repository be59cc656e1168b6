//! What a policy that an operator created at a gateway becomes when it is imported. The policy stays the operator's: the
//! product or plan refers to it by id, and Portico never writes a policy that is referred to. Pure.

use std::collections::BTreeSet;

use portico_proto::{
    catalog::v1::PolicyRole,
    gateway::v1::{GatewayPolicy, SimulatedLimit},
    rest::LARGEST_NUMBER,
};
use portico_runtime::texts;
use uuid::Uuid;

use crate::{plan, product};

/// Longest name in characters, as `input` allows it.
const NAME: usize = 100;

/// What a policy can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Becomes {
    Product,
    Plan,
}

/// Whether a policy becomes a product or a plan, or the reason why it cannot be imported, for people.
pub(crate) fn becomes(policy: &GatewayPolicy) -> Result<Becomes, &'static str> {
    if policy.own {
        return Err("Portico created it, or it is the default policy.");
    }
    if !policy.active {
        return Err("It is not active at the gateway.");
    }
    let mut limits = policy.rate.iter().chain(&policy.quota);
    if limits.any(|limit| limit.requests.max(limit.seconds) > LARGEST_NUMBER) {
        return Err("It has a limit above 9007199254740991, which is none.");
    }
    match policy.role() {
        PolicyRole::Product => Ok(Becomes::Product),
        PolicyRole::Plan => Ok(Becomes::Plan),
        PolicyRole::Both => Err(
            "It grants access to APIs and limits them at once, so it cannot be combined with a plan or a product: \
             split it into one policy for access rights and one for rate and quota.",
        ),
        PolicyRole::Other | PolicyRole::Unspecified => {
            Err("It neither grants access to APIs nor limits them.")
        }
    }
}

/// Id of the product or plan. Derived from the policy, so that importing it twice finds the same stream.
pub(crate) fn id(gateway: Uuid, becomes: Becomes, policy_id: &str) -> Uuid {
    let kind = match becomes {
        Becomes::Product => "product",
        Becomes::Plan => "plan",
    };
    Uuid::new_v5(&gateway, format!("{kind}/{policy_id}").as_bytes())
}

fn name(policy: &GatewayPolicy) -> String {
    let printable: String = texts::visible(&policy.name).chars().take(NAME).collect();
    match printable.trim() {
        "" => policy.id.chars().take(NAME).collect(),
        name => name.to_owned(),
    }
}

/// Details of a new product, which begins as a draft. Registration is enabled when scopes are mapped to the policy already.
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

/// Update of a product that was imported before. Only what comes from the gateway is taken over: what an admin has
/// written since stays, including scopes, which are filled in only when there were none.
pub(crate) fn product_change(
    gateway: Uuid,
    policy: &GatewayPolicy,
    before: &product::Details,
    scopes: &BTreeSet<String>,
) -> product::Details {
    let mut details = before.clone();
    details.apis = apis(gateway, policy, &before.apis);
    if details.scopes.is_empty() {
        details.scopes.clone_from(scopes);
    }
    details
}

/// The policy's APIs; one that the product has already keeps the name and URL that an admin gave it.
fn apis(gateway: Uuid, policy: &GatewayPolicy, before: &[product::Api]) -> Vec<product::Api> {
    let api = |api: &portico_proto::gateway::v1::GatewayApi| {
        let known = before.iter().find(|known| known.api_id == api.api_id);
        known.cloned().unwrap_or_else(|| product::Api {
            api_id: api.api_id.clone(),
            name: texts::visible(api.name()).chars().take(NAME).collect(),
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

/// Details of a new plan. Not auto-approved: an admin must opt in.
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

/// Update of a plan that was imported before: only the limits come from the gateway.
pub(crate) fn plan_change(policy: &GatewayPolicy, before: &plan::Details) -> plan::Details {
    plan::Details {
        rate: policy.rate.as_ref().map(limit),
        quota: policy.quota.as_ref().map(limit),
        ..before.clone()
    }
}

#[cfg(test)]
mod tests {
    use portico_proto::gateway::v1::GatewayApi;

    use super::*;

    const GATEWAY: Uuid = Uuid::from_u128(7);

    fn policy(role: PolicyRole) -> GatewayPolicy {
        GatewayPolicy {
            id: "p1".into(),
            name: "Payments\n".into(),
            role: role.into(),
            active: true,
            apis: vec![GatewayApi {
                api_id: "pay".into(),
                name: Some("Payments".into()),
                listen_path: Some("/pay/".into()),
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
    fn a_policy_that_cannot_be_imported_has_a_reason() {
        assert_eq!(becomes(&policy(PolicyRole::Product)), Ok(Becomes::Product));
        assert_eq!(becomes(&policy(PolicyRole::Plan)), Ok(Becomes::Plan));
        assert!(
            becomes(&policy(PolicyRole::Both))
                .unwrap_err()
                .contains("split")
        );
        let mut inactive = policy(PolicyRole::Plan);
        inactive.active = false;
        assert!(becomes(&inactive).is_err());
        let mut own = policy(PolicyRole::Plan);
        own.own = true;
        assert!(becomes(&own).is_err());
    }

    #[test]
    fn a_second_import_keeps_what_an_admin_wrote() {
        let first = product(
            GATEWAY,
            &policy(PolicyRole::Product),
            scopes(&["product_pay"]),
        );
        assert_eq!(first.name, "Payments");
        assert!(first.dcr_enabled);
        let mut edited = first;
        edited.apis[0].url = "https://api.example/pay/".into();
        let mut grown = policy(PolicyRole::Product);
        grown.apis.push(GatewayApi {
            api_id: "ship".into(),
            ..GatewayApi::default()
        });
        let change = product_change(GATEWAY, &grown, &edited, &scopes(&["other"]));
        assert_eq!(change.apis[0].url, "https://api.example/pay/");
        assert_eq!(change.apis[1].api_id, "ship");
        assert_eq!((change.scopes, change.name), (edited.scopes, edited.name));
    }

    #[test]
    fn the_id_is_a_function_of_gateway_kind_and_policy() {
        let product = id(GATEWAY, Becomes::Product, "p1");
        assert_eq!(product, id(GATEWAY, Becomes::Product, "p1"));
        assert_ne!(product, id(GATEWAY, Becomes::Plan, "p1"));
        assert_ne!(product, id(Uuid::nil(), Becomes::Product, "p1"));
    }
}
