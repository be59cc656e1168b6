//! Granted access follows the scopes of the catalogue, also where an approval races with a change.

use portico_proto::{
    access::v1 as api,
    catalog::v1::{Plan, PlanChanged, Product, ProductChanged, ProductDeleted},
};

use crate::support::{
    FREE, ORDERS, PAYMENTS, Portal, Published, by_gateway, by_registration, done, order, told,
};

/// Payments at a later version, with this scope.
fn payments(portal: &Portal, version: u64, scope: &str) -> Product {
    portal.world.change(|known| Product {
        version,
        scopes: vec![scope.into()],
        ..known.products[&PAYMENTS.to_string()].clone()
    })
}

async fn product_changed(portal: &Portal, product: Product) {
    let version = i64::try_from(product.version).unwrap();
    let changed = ProductChanged {
        product: Some(product),
    };
    let message = told("catalog.product_changed", version, &changed);
    portal.bus_publish(message).await;
}

async fn submitted(portal: &Portal, product: uuid::Uuid) -> String {
    let anna = portal.developer(1);
    let submitted = anna.submit_access_request(order(product, FREE)).await;
    submitted.unwrap().id
}

async fn scopes_changed(published: &mut Published) -> api::WantedAccess {
    let changed: api::AccessScopesChanged = published.next("access_scopes_changed").await;
    changed.wanted.unwrap()
}

#[tokio::test]
async fn granted_access_has_the_scopes_of_now() {
    scopes_follow(&Portal::running().await).await;
}

pub(crate) async fn scopes_follow(portal: &Portal) {
    let mut published = portal.published().await;
    let admin = portal.admin();
    let id = submitted(portal, PAYMENTS).await;
    let other = submitted(portal, ORDERS).await;
    for id in [&id, &other] {
        admin.approve(id).await.unwrap();
        portal.bus_publish(by_registration(id, 1, 1, done())).await;
        portal.bus_publish(by_gateway(id, 1, 1, done())).await;
    }
    let mut limits = portal
        .world
        .change(|known| known.plans[&FREE.to_string()].clone());
    limits.version = 4;
    limits.quota = None;
    let plan_changed = |plan: &Plan, position| {
        let changed = PlanChanged {
            plan: Some(plan.clone()),
        };
        told("catalog.plan_changed", position, &changed)
    };
    // Limits alone are the gateway's to follow.
    portal.bus_publish(plan_changed(&limits, 4)).await;
    product_changed(portal, payments(portal, 9, "pay")).await;
    let wanted = scopes_changed(&mut published).await;
    assert_eq!((&wanted.request_id, wanted.revision), (&id, 2));
    let item = &wanted.items[0];
    assert_eq!(
        (item.product_version, item.product_scopes.as_slice()),
        (9, ["pay".to_owned()].as_slice())
    );
    assert_eq!(admin.get(&id).await.unwrap().status, "approved");
    // What the developer asked for stays as it was.
    let asked = admin.get(&id).await.unwrap().items.remove(0);
    assert_eq!(asked.product_scopes, ["product_payments"]);
    // An older change that comes late.
    product_changed(portal, payments(portal, 8, "late")).await;

    limits.version = 5;
    limits.scopes = vec!["gold_plan".into()];
    portal.bus_publish(plan_changed(&limits, 5)).await;
    let mut both = vec![
        scopes_changed(&mut published).await,
        scopes_changed(&mut published).await,
    ];
    both.sort_by_key(|wanted| wanted.revision);
    let seen = both.iter().map(|w| (&w.request_id, w.revision));
    assert_eq!(seen.collect::<Vec<_>>(), [(&other, 2), (&id, 3)]);
    assert!(both.iter().all(|w| w.items[0].quota.is_none()));

    let deleted = ProductDeleted {
        product_id: PAYMENTS.to_string(),
    };
    portal
        .bus_publish(told("catalog.product_deleted", 1, &deleted))
        .await;
    let wanted = scopes_changed(&mut published).await;
    assert_eq!((&wanted.request_id, wanted.revision), (&id, 4));
    assert_eq!(wanted.items[0].product_scopes, Vec::<String>::new());
    assert_eq!(wanted.items[0].apis, []);
}

#[tokio::test]
async fn an_approval_that_races_with_a_change_meets_it() {
    let portal = Portal::running().await;
    let mut published = portal.published().await;
    let id = submitted(&portal, PAYMENTS).await;
    // It is noted while the approval has the catalogue's earlier answer in hand.
    product_changed(&portal, payments(&portal, 8, "pay")).await;
    portal.admin().approve(&id).await.unwrap();
    let approved: api::AccessApproved = published.next("access_approved").await;
    assert_eq!(approved.wanted.unwrap().items[0].product_version, 7);
    let wanted = scopes_changed(&mut published).await;
    assert_eq!((&wanted.request_id, wanted.revision), (&id, 2));
    assert_eq!(wanted.items[0].product_scopes, ["pay"]);
}
