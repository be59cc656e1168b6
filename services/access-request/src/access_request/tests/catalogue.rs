//! Other scopes of a product or plan, and what is not for this service to follow.

use portico_eventstore::testing::Given;

use super::*;
use crate::terms::{CatalogueChange, Limit};

fn follow(change: CatalogueChange) -> Command {
    access(access::Command::Follow(change))
}

fn granted(status: Status) -> Given<AccessRequest> {
    given::<AccessRequest>(past(status))
}

fn newer() -> CatalogueChange {
    CatalogueChange::Product(product(8, &["pay"]))
}

fn scopes_changed(product: Product) -> Event {
    let mut items = items();
    items[0].product = product;
    access::Event::ScopesChanged { items }.into()
}

#[test]
fn granted_access_takes_newer_scopes_over() {
    for status in [
        Status::Approved,
        Status::Provisioning,
        Status::Active,
        Status::Suspended,
        Status::Failed,
    ] {
        granted(status)
            .when(&follow(newer()))
            .then([scopes_changed(product(8, &["pay"]))]);
    }
    let plan = Plan {
        version: 4,
        scopes: ["gold_plan".to_owned()].into(),
        ..items()[0].plan.clone()
    };
    let mut after = items();
    after[0].plan = plan.clone();
    granted(Status::Active)
        .when(&follow(CatalogueChange::Plan(plan)))
        .then([access::Event::ScopesChanged { items: after }.into()]);
}

#[test]
fn a_deleted_product_has_no_scopes_and_none_come_back() {
    let product_id = Uuid::from_u128(5);
    let deleted = || follow(CatalogueChange::ProductDeleted { product_id });
    let gone = scopes_changed(product(u64::MAX, &[]));
    granted(Status::Active)
        .when(&deleted())
        .then([gone.clone()]);
    let after = || given::<AccessRequest>([past(Status::Active), vec![gone.clone()]].concat());
    after().when(&deleted()).then_nothing();
    after().when(&follow(newer())).then_nothing();
}

#[test]
fn what_is_not_granted_not_newer_or_not_about_scopes_changes_nothing() {
    for status in [
        Status::Pending,
        Status::Rejected,
        Status::Withdrawn,
        Status::Revoked,
    ] {
        granted(status).when(&follow(newer())).then_nothing();
    }
    let active = || granted(Status::Active);
    for version in [6, 7] {
        let late = CatalogueChange::Product(product(version, &["pay"]));
        active().when(&follow(late)).then_nothing();
    }
    let mut limits = items()[0].plan.clone();
    limits.version = 4;
    limits.rate = Some(Limit {
        requests: 1,
        seconds: 1,
    });
    active()
        .when(&follow(CatalogueChange::Plan(limits)))
        .then_nothing();
    let other = Product {
        product_id: Uuid::from_u128(55),
        ..product(8, &["pay"])
    };
    active()
        .when(&follow(CatalogueChange::Product(other)))
        .then_nothing();
    given::<AccessRequest>([keys_submitted(), approved()])
        .when(&follow(newer()))
        .then_nothing();
}
