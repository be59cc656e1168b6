//! What others hear, and that the views can be rebuilt.

use std::collections::BTreeMap;

use portico_bus::{ConsumerSpec, Message};
use portico_eventstore::testing::assert_equal_a_rebuild;
use portico_proto::catalog::v1::*;
use prost::Message as _;
use tokio::time::timeout;

use crate::support::*;

/// Hears all that the catalogue says.
pub(crate) const SPEC: ConsumerSpec = ConsumerSpec {
    name: "listener",
    subjects: &[
        "portico.catalog.product_published",
        "portico.catalog.product_changed",
        "portico.catalog.product_deleted",
        "portico.catalog.plan_changed",
        "portico.catalog.plan_deleted",
    ],
};

#[tokio::test]
async fn public_events_carry_the_state_of_their_time() {
    let app = App::start().await;
    let id = app.create(payments()).await.unwrap().id;
    app.publish(&id).await.unwrap();
    app.update(&id, &["name"], plain("Money", &[]))
        .await
        .unwrap();
    let request = app.request(&admin(), UnpublishProductRequest { id: id.clone() });
    answer(app.client().unpublish_product(request).await).unwrap();
    app.delete(&id).await.unwrap();
    let plan = app.create_plan(free_plan()).await.unwrap();

    let heard = hear(&app, 5).await;
    let said = |position: i64| &heard[&position];
    let published = ProductPublished::decode(said(2).payload.clone()).unwrap();
    let published = published.product.unwrap();
    assert_eq!(
        (published.name.as_str(), published.version),
        ("Payments", 2)
    );
    assert_eq!(said(2).subject, "portico.catalog.product_published");
    let changed = ProductChanged::decode(said(3).payload.clone()).unwrap();
    assert_eq!(changed.product.unwrap().name, "Money");
    let withdrawn = ProductChanged::decode(said(4).payload.clone()).unwrap();
    assert_eq!(withdrawn.product.unwrap().status(), ProductStatus::Draft);
    let deleted = ProductDeleted::decode(said(5).payload.clone()).unwrap();
    assert_eq!(deleted.product_id, id);
    assert_eq!(said(6).subject, "portico.catalog.plan_changed");
    let changed = PlanChanged::decode(said(6).payload.clone()).unwrap();
    assert_eq!(changed.plan, Some(plan));
}

/// Messages by the position of their event.
async fn hear(app: &App, count: usize) -> BTreeMap<i64, Message> {
    let mut deliveries = app.deps.bus.consume(&SPEC).await.unwrap();
    let mut heard = BTreeMap::new();
    while heard.len() < count {
        let delivery = timeout(PATIENCE, deliveries.next()).await.unwrap().unwrap();
        delivery.ack().await.unwrap();
        let position = delivery.message.headers["position"].parse().unwrap();
        heard.insert(position, delivery.message);
    }
    heard
}

#[tokio::test]
async fn rebuilt_views_equal_the_live_ones() {
    let app = App::start().await;
    let first = app.create(payments()).await.unwrap();
    let second = app.create(plain("Weather", &["sky"])).await.unwrap();
    app.publish(&first.id).await.unwrap();
    app.create_plan(free_plan()).await.unwrap();
    let change = Product {
        scopes: vec!["weather".into()],
        ..plain("", &["rain"])
    };
    app.update(&second.id, &["scopes", "tags"], change)
        .await
        .unwrap();
    app.delete(&first.id).await.unwrap();
    app.create(payments()).await.unwrap();
    let rows = assert_equal_a_rebuild(&app.store).await;
    assert_eq!(rows[0], "products: 3");
}
