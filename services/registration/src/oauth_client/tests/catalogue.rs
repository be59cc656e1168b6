//! Products and plans change after access was granted.

use portico_eventstore::testing::given;

use super::*;

fn follow(change: CatalogueChange) -> Command {
    Command::FollowCatalogue(change)
}

fn plan(version: u64, requests: u64) -> CatalogueChange {
    let item = grant(1).items.remove(0);
    CatalogueChange::Plan(PlanChange {
        plan_id: item.plan_id,
        version,
        name: item.plan_name,
        scopes: item.plan_scopes,
        policy_id: item.plan_policy_id,
        rate: Some(Rate {
            requests,
            per_seconds: 60,
        }),
        quota: None,
    })
}

#[test]
fn only_what_is_granted_and_newer_counts() {
    let change = product(1, 3);
    given::<OauthClient>([granted(1)])
        .when(&follow(change.clone()))
        .then([Event::CatalogueChanged(change.clone())]);
    let changed = [granted(1), Event::CatalogueChanged(change.clone())];
    for late in [2, 3] {
        given::<OauthClient>(changed.clone())
            .when(&follow(product(1, late)))
            .then_nothing();
    }
    given::<OauthClient>([granted(2)])
        .when(&follow(change.clone()))
        .then_nothing();
    given::<OauthClient>([granted(1), withdrawn(1)])
        .when(&follow(change))
        .then_nothing();
}

#[test]
fn other_scopes_are_fetched_mapped_and_told() {
    let story = Story::active(&[1]).then(&follow(product(1, 2)));
    assert_eq!(story.step(), Step::Update(wanted(&["free", "p1v2"])));
    let story = story.updated();
    assert!(
        matches!(story.step(), Step::Map { .. }),
        "{:?}",
        story.step()
    );
    assert!(story.client.mapping_requests().eq([request(1)]));
    let story = story.mapped().announced();
    assert!(matches!(story.events.last(), Some(Event::Provisioned(_))));
    assert_eq!(story.step(), Step::Idle);
}

#[test]
fn another_limit_is_the_gateways_matter_and_nobody_is_told() {
    let story = Story::active(&[1, 2]).then(&follow(plan(2, 5)));
    assert!(
        matches!(story.step(), Step::Map { .. }),
        "{:?}",
        story.step()
    );
    assert!(story.client.mapping_requests().eq([request(1), request(2)]));
    let story = story.mapped();
    assert_eq!(story.step(), Step::Idle);
    assert_eq!(story.client.mapping_requests().count(), 0);
    let told = |event: &&Event| matches!(event, Event::Provisioned(_));
    assert_eq!(story.events.iter().filter(told).count(), 2, "of before");
}

#[test]
fn a_gateway_that_refuses_the_change_fails_the_request_until_it_is_retried() {
    let story = Story::active(&[1]).then(&follow(plan(2, 5)));
    let story = story.clone().then(&Command::RefuseMapping {
        gateway_ids: vec!["g".into()],
        revision: story.client.revision,
        failing: failing("policy_not_at_gateway", false),
        again_at: later(),
        at: now(),
    });
    assert!(matches!(story.stage(1), Some(Stage::Failed { .. })));
    let request_id = request(1);
    let story = story.then(&Command::Retry { request_id });
    assert!(
        matches!(story.step(), Step::Map { .. }),
        "{:?}",
        story.step()
    );
    let story = story.mapped().announced();
    assert_eq!(story.stage(1), Some(&Stage::Active));
}

#[test]
fn gateways_where_it_was_are_written_too() {
    let mut change = product(1, 2);
    if let CatalogueChange::Product(product) = &mut change {
        product.scopes = set(&["p1"]);
        product.apis[0].gateway_id = "h".into();
    }
    let story = Story::active(&[1]).then(&follow(change));
    let Step::Map { gateway_ids, .. } = story.step() else {
        panic!("{:?}", story.step());
    };
    assert_eq!(gateway_ids, ["g", "h"]);
}

#[test]
fn a_deleted_product_opens_nothing_any_more() {
    let deleted = CatalogueChange::ProductDeleted {
        product_id: "p1".into(),
    };
    let story = Story::active(&[1]).then(&follow(deleted));
    assert_eq!(story.step(), Step::Update(wanted(&["free"])));
    let story = story.updated();
    assert!(
        matches!(story.step(), Step::Map { .. }),
        "{:?}",
        story.step()
    );
    assert_eq!(story.mapped().step(), Step::Idle);
}

#[test]
fn events_of_before_are_read_as_of_no_version() {
    let stored = serde_json::to_value(granted(1)).unwrap();
    let mut old = stored.clone();
    let item = old["data"]["items"][0].as_object_mut().unwrap();
    item.remove("product_version");
    item.remove("plan_version");
    assert_ne!(old, stored);
    assert_eq!(serde_json::from_value::<Event>(old).unwrap(), granted(1));
}
