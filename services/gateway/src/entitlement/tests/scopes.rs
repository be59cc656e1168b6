//! Rule 8: a scope is kept for its product until nobody may hold it any more.

use std::collections::BTreeSet;

use super::super::event::ScopesEvent;
use super::super::scopes::ClaimOf;
use super::*;

fn claim(scope: &str, holder: &str) -> ClaimOf {
    ClaimOf {
        scope: scope.into(),
        holder_id: holder.into(),
    }
}

fn claims(events: Vec<Event>) -> Vec<(String, Option<u64>)> {
    let claims = state(events).claims.into_iter();
    claims
        .map(|claim| (claim.of.scope, claim.unwanted_since))
        .collect()
}

fn free(answered: u64, held: &[&str]) -> Command {
    let held: BTreeSet<String> = held.iter().map(|scope| (*scope).to_owned()).collect();
    Command::Scopes(ScopesCommand::Free { answered, held })
}

fn both() -> Vec<ClaimOf> {
    vec![
        claim("product_weather", "weather"),
        claim("free_plan", "free"),
    ]
}

#[test]
fn scopes_are_claimed_from_the_approval_on() {
    let wanted = |since| {
        vec![
            ("product_weather".into(), since),
            ("free_plan".into(), since),
        ]
    };
    assert_eq!(claims(vec![granted(1)]), wanted(None));
    let suspended = said(want(OAUTH, 2, WantedState::Suspended));
    assert_eq!(claims(vec![granted(1), suspended]), wanted(None));
    assert_eq!(claims(vec![granted(1), revoked(2)]), wanted(Some(2)));
    assert_eq!(
        claims(vec![granted(1), revoked(2), revoked(3)]),
        wanted(Some(2))
    );
    assert_eq!(
        claims(vec![granted(1), revoked(2), granted(3)]),
        wanted(None)
    );
    assert_eq!(
        claims(vec![revoked(1)]),
        wanted(Some(1)),
        "it overtook the approval"
    );
    let keys = said(want(Credential::ApiKey, 1, WantedState::Granted));
    assert_eq!(claims(vec![keys]), []);
}

#[test]
fn a_scope_that_is_given_up_is_claimed_for_its_product_still() {
    let mut other = want(OAUTH, 2, WantedState::Granted);
    other.items[0].product.scopes = ["product_climate".to_owned()].into();
    let expected = [
        ("product_weather".into(), Some(2)),
        ("free_plan".into(), None),
        ("product_climate".into(), None),
    ];
    assert_eq!(claims(vec![granted(1), said(other)]), expected);
}

/// Registration may have given its scopes to the client, although nothing of it is to be mapped.
#[test]
fn a_revision_that_was_overtaken_claims_its_scopes() {
    let mut middle = want(OAUTH, 2, WantedState::Granted);
    middle.items[0].product.scopes = ["product_climate".to_owned()].into();
    let overtaken: Event = AccessEvent::Overtaken(Box::new(middle.clone())).into();
    let past = vec![granted(3), reported(3, Outcome::Started)];
    given::<Entitlement>(past.clone())
        .when(&command(middle.clone()))
        .then([overtaken.clone()]);
    let after = with(past, [overtaken]);
    let climate = ("product_climate".to_owned(), Some(3));
    assert!(claims(after.clone()).contains(&climate));
    assert_eq!(step(after.clone()), Step::Map { asked: 1 });
    given::<Entitlement>(after)
        .when(&command(middle))
        .then_nothing();
}

#[test]
fn claims_end_when_registration_has_answered_and_nobody_holds_them() {
    let past = vec![granted(1), revoked(2), reported(2, Outcome::Started)];
    let freed = |claims| -> Event { ScopesEvent::Freed { claims }.into() };
    given::<Entitlement>(past.clone())
        .when(&free(1, &[]))
        .then_nothing();
    given::<Entitlement>(past.clone())
        .when(&free(2, &["product_weather", "free_plan"]))
        .then_nothing();
    given::<Entitlement>(past.clone())
        .when(&free(2, &["free_plan"]))
        .then([freed(vec![claim("product_weather", "weather")])]);
    given::<Entitlement>(past.clone())
        .when(&free(3, &[]))
        .then([freed(both())]);
    assert_eq!(claims(with(past, [freed(both())])), []);
    given::<Entitlement>([granted(1)])
        .when(&free(1, &[]))
        .then_nothing();
}

#[test]
fn an_admin_releases_what_is_held_and_not_what_is_granted() {
    let release = Command::Scopes(ScopesCommand::Release {
        scope: "product_weather".into(),
        holder_id: "weather".into(),
    });
    let released: Event = ScopesEvent::Released {
        claims: vec![claim("product_weather", "weather")],
    }
    .into();
    let held = vec![granted(1), revoked(2), reported(2, Outcome::Started)];
    given::<Entitlement>(held.clone())
        .when(&release)
        .then([released.clone()]);
    given::<Entitlement>(with(held, [released]))
        .when(&release)
        .then_nothing();
    let refused = given::<Entitlement>([granted(1)])
        .when(&release)
        .then_refused();
    assert_eq!(refused, Rejection::StillGranted);
}
