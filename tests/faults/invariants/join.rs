//! I7: what the two halves report is joined once for each revision, and the gateway opens what is active, with one key
//! for each request that is for one.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    ledger::Expected,
    world::{Portal, World},
};

pub(super) async fn once_for_each_revision(world: &World) {
    let sql = "SELECT stream, type, data FROM events WHERE type IN \
               ('access_request.activated', 'access_request.failed', 'access_request.ended')";
    let mut facts = BTreeSet::new();
    for row in world.stores.rows("access-request", sql).await {
        let data: Value = serde_json::from_str(&row[2]).unwrap();
        let revision = data["revision"].as_u64().unwrap();
        let fact = (row[0].clone(), row[1].clone(), revision);
        assert!(facts.insert(fact.clone()), "I7: said twice: {fact:?}");
    }
}

/// The scopes of active requests lead to their APIs. Those of requests whose other half has failed may as well; those
/// of revoked ones do not.
pub(super) fn the_gateway_opens_what_is_active(world: &World, portal: &Portal) {
    let keys = world.gateway.key_hashes().len();
    assert_eq!(keys, portal.ledger.keys(), "I7: API keys at the gateway");
    let requests = portal.ledger.requests();
    let scopes = |product: &str, may: &[Expected]| {
        let mut wanting = requests.values();
        let wanted = wanting.any(|one| one.scope == product && may.contains(&one.expected));
        let scopes = wanted.then(|| [product.to_owned(), "free_plan".to_owned()]);
        BTreeSet::from_iter(scopes.into_iter().flatten())
    };
    for api in ["payments", "orders"] {
        let product = format!("product_{api}");
        let definition = world.gateway.api(api).unwrap();
        let mapping = &definition["scopes"]["jwt"]["scope_to_policy"];
        let mapped = mapping.as_object().into_iter().flatten();
        let mapped: BTreeSet<String> = mapped.map(|(scope, _)| scope.clone()).collect();
        let must = scopes(&product, &[Expected::Active]);
        let may = scopes(&product, &[Expected::Active, Expected::Failed]);
        assert!(
            must.is_subset(&mapped) && mapped.is_subset(&may),
            "I7: at the API {api}: {mapped:?}, not {must:?}"
        );
    }
}
