//! Granted access follows the scopes of the catalogue, also where an approval races with a change.

use portico_proto::{
    access::v1 as api,
    catalog::v1::{PlanChanged, Product, ProductChanged, ProductDeleted},
};

use crate::support::{
    FREE, ORDERS, PAYMENTS, Portal, Published, by_gateway, by_registration, done, foreign, order,
    status,
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
    let message = foreign("catalog.product_changed", version, &changed);
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

/// Two active requests, one for each product.
async fn two_active(portal: &Portal) -> [String; 2] {
    let ids = [
        submitted(portal, PAYMENTS).await,
        submitted(portal, ORDERS).await,
    ];
    for id in &ids {
        portal.admin().approve(id).await.unwrap();
        portal.bus_publish(by_registration(id, 1, 1, done())).await;
        portal.bus_publish(by_gateway(id, 1, 1, done())).await;
    }
    ids
}

#[tokio::test]
async fn granted_access_has_the_scopes_of_now() {
    scopes_follow(&Portal::running().await).await;
}

pub(crate) async fn scopes_follow(portal: &Portal) {
    let mut published = portal.published().await;
    let admin = portal.admin();
    let [id, _] = two_active(portal).await;
    product_changed(portal, payments(portal, 9, "pay")).await;
    let wanted = scopes_changed(&mut published).await;
    assert_eq!((&wanted.request_id, wanted.revision), (&id, 2));
    let item = &wanted.items[0];
    assert_eq!(item.product_version, 9);
    assert_eq!(item.product_scopes, ["pay"]);
    let mut request = admin.get(&id).await.unwrap();
    assert_eq!(status(&request), "approved");
    // What the developer asked for stays as it was.
    let asked = request.items.remove(0);
    assert_eq!(asked.product_scopes, ["product_payments"]);

    // An older change that comes late is of no account.
    product_changed(portal, payments(portal, 8, "late")).await;
    let deleted = ProductDeleted {
        product_id: PAYMENTS.to_string(),
    };
    portal
        .bus_publish(foreign("catalog.product_deleted", 1, &deleted))
        .await;
    let wanted = scopes_changed(&mut published).await;
    assert_eq!((&wanted.request_id, wanted.revision), (&id, 3));
    assert_eq!(wanted.items[0].product_scopes, [""; 0]);
    assert_eq!(wanted.items[0].apis, []);
}

#[tokio::test]
async fn a_plan_is_followed_by_all_who_have_it_and_its_limits_by_the_gateway() {
    let portal = Portal::running().await;
    let mut published = portal.published().await;
    let ids = two_active(&portal).await;
    let mut plan = portal
        .world
        .change(|known| known.plans[&FREE.to_string()].clone());
    plan.quota = None;
    for (version, scope) in [(4, "free_plan"), (5, "gold_plan")] {
        plan.version = version;
        plan.scopes = vec![scope.into()];
        let changed = PlanChanged {
            plan: Some(plan.clone()),
        };
        let position = i64::try_from(version).unwrap();
        portal
            .bus_publish(foreign("catalog.plan_changed", position, &changed))
            .await;
    }
    // The limits alone raised no revision; they come with the scopes, of the same version.
    let mut seen = Vec::new();
    for _ in &ids {
        let mut wanted = scopes_changed(&mut published).await;
        let item = wanted.items.remove(0);
        assert_eq!((item.plan_version, item.quota), (5, None));
        seen.push((wanted.request_id, wanted.revision));
    }
    seen.sort();
    let mut expected = ids.map(|id| (id, 2));
    expected.sort();
    assert_eq!(seen, expected);
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
