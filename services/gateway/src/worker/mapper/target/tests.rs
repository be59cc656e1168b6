use super::*;
use crate::item::Limit;
use crate::mapping::Owned;

const GATEWAY: Uuid = Uuid::from_u128(7);
const PROVIDER: Uuid = Uuid::from_u128(8);
const OTHER: Uuid = Uuid::from_u128(9);

fn places() -> ApiLocations {
    ApiLocations {
        gateways: vec![GATEWAY],
        ..ApiLocations::default()
    }
}

fn api(id: &str) -> Api {
    Api {
        api_id: id.into(),
        ..Api::default()
    }
}

fn grant(request: &str, product: &str, plan: &str, apis: &[&str]) -> Grant {
    Grant {
        first_request: request.into(),
        last_request: request.into(),
        identity_provider_id: Some(PROVIDER),
        product_id: product.into(),
        product_name: product.to_uppercase(),
        product_scopes: vec![format!("product_{product}")],
        plan_id: plan.into(),
        plan_name: plan.to_uppercase(),
        plan_scopes: vec![format!("{plan}_plan")],
        apis: apis.iter().map(|id| api(id)).collect(),
        ..Grant::default()
    }
}

fn mapping(entries: &[(&str, &str)]) -> Mapping {
    entries
        .iter()
        .map(|(scope, policy)| ((*scope).to_owned(), (*policy).to_owned()))
        .collect()
}

fn recorded(api: &str, provider: Uuid, entries: &[(&str, &str)]) -> BTreeMap<String, Recorded> {
    let recorded = Recorded {
        identity_provider_id: Some(provider),
        owned: Owned {
            entries: mapping(entries),
            ..Owned::default()
        },
        settled: true,
    };
    [(api.to_owned(), recorded)].into()
}

fn target_of(grants: &[Grant], recorded: &BTreeMap<String, Recorded>) -> Target {
    target(GATEWAY, grants, Holders::new(), &places(), recorded)
}

#[test]
fn each_api_of_a_product_gets_the_scopes_of_product_and_plan() {
    let target = target_of(&[grant("1", "pay", "free", &["a", "b"])], &BTreeMap::new());
    let entries = mapping(&[
        ("free_plan", "portico-plan-free"),
        ("product_pay", "portico-product-pay"),
    ]);
    assert_eq!(target.apis.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(target.apis["a"].entries, entries);
    assert_eq!(target.apis["b"].entries, entries);
    let product = &target.policies["portico-product-pay"];
    assert_eq!(product.api_ids, ["a", "b"]);
    assert_eq!(product.kind, PolicyKind::Product);
}

#[test]
fn products_share_a_plan_and_each_api_has_its_own_entries() {
    let grants = [
        grant("1", "pay", "free", &["a"]),
        grant("2", "ship", "free", &["b"]),
    ];
    let target = target_of(&grants, &BTreeMap::new());
    assert!(!target.apis["a"].entries.contains_key("product_ship"));
    assert_eq!(target.policies["portico-plan-free"].api_ids, ["a", "b"]);
    assert_eq!(target.policies["portico-product-ship"].api_ids, ["b"]);
}

#[test]
fn policies_that_are_there_are_not_made() {
    let mut one = grant("1", "pay", "free", &["a"]);
    one.product_policy_id = Some("theirs".into());
    let target = target_of(&[one], &BTreeMap::new());
    assert_eq!(target.apis["a"].entries["product_pay"], "theirs");
    assert_eq!(
        target.policies.keys().collect::<Vec<_>>(),
        ["portico-plan-free"]
    );
}

#[test]
fn the_limits_of_the_last_request_hold() {
    let limit = |requests| {
        Some(Limit {
            requests,
            seconds: 60,
        })
    };
    let mut old = grant("1", "pay", "free", &["a"]);
    old.last_request = "9".into();
    old.rate = limit(5);
    let mut new = grant("2", "ship", "free", &["b"]);
    new.rate = limit(7);
    let target = target_of(&[old, new], &BTreeMap::new());
    let plan = &target.policies["portico-plan-free"];
    let expected = PolicyKind::Plan {
        rate: limit(5),
        quota: None,
    };
    assert_eq!(plan.kind, expected, "request 9 came after request 2");
}

#[test]
fn what_nobody_wants_is_wanted_empty() {
    let target = target_of(&[], &recorded("a", PROVIDER, &[("x", "p")]));
    assert_eq!(target.apis["a"], ApiTarget::default());
    assert!(target.is_unused("p"));
}

#[test]
fn one_api_takes_tokens_of_one_provider() {
    let first = grant("1", "pay", "free", &["a"]);
    let mut second = grant("2", "ship", "gold", &["a"]);
    second.identity_provider_id = Some(OTHER);
    let both = [first.clone(), second.clone()];
    let clash = Clash::Provider { api: "a".into() };

    let target = target_of(&both, &BTreeMap::new());
    assert_eq!(target.serves("a", &first), Ok(()));
    assert_eq!(target.serves("a", &second), Err(clash.clone()));
    assert!(!target.apis["a"].entries.contains_key("product_ship"));

    // What is in force stays, although the other request is older.
    let target = target_of(&both, &recorded("a", OTHER, &[]));
    assert_eq!(target.serves("a", &first), Err(clash));
    assert_eq!(target.serves("a", &second), Ok(()));

    // Nobody of the one in force is left.
    let target = target_of(&both[..1], &recorded("a", OTHER, &[]));
    assert_eq!(target.serves("a", &first), Ok(()));
}

#[test]
fn one_scope_means_one_thing_at_an_api() {
    let first = grant("1", "pay", "free", &["a"]);
    let mut second = grant("2", "ship", "free", &["a"]);
    second.product_scopes = vec!["product_pay".into()];
    let both = [first.clone(), second.clone()];
    let clash = Clash::Scope {
        api: "a".into(),
        scope: "product_pay".into(),
    };
    let target = target_of(&both, &BTreeMap::new());
    assert_eq!(target.serves("a", &first), Ok(()));
    assert_eq!(target.serves("a", &second), Err(clash.clone()));

    let in_force = [("product_pay", "portico-product-ship")];
    let target = target_of(&both, &recorded("a", PROVIDER, &in_force));
    assert_eq!(target.serves("a", &first), Err(clash));
    assert_eq!(target.serves("a", &second), Ok(()));
}

#[test]
fn a_scope_that_another_has_is_left_out_and_named() {
    let mine = grant("1", "pay", "free", &["a"]);
    let holder = HolderOf {
        id: "ship".into(),
        name: "Shipping".into(),
    };
    let holders: Holders = [((PROVIDER, "product_pay".to_owned()), holder)].into();
    let grants = [mine.clone()];
    let target = target(GATEWAY, &grants, holders, &places(), &BTreeMap::new());
    assert_eq!(
        target.apis["a"].entries.keys().collect::<Vec<_>>(),
        ["free_plan"]
    );
    let clash = Clash::Held {
        scope: "product_pay".into(),
        holder: "Shipping".into(),
    };
    assert_eq!(target.serves("a", &mine), Err(clash));
}

#[test]
fn keys_need_policies_and_no_scopes() {
    let mut keys = grant("1", "pay", "free", &["a"]);
    keys.identity_provider_id = None;
    let target = target_of(&[keys], &BTreeMap::new());
    assert!(target.apis.is_empty());
    assert_eq!(target.policies.len(), 2);
    assert!(!target.is_unused("portico-product-pay"));
}
