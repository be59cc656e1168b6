use std::collections::BTreeSet;

use jiff::Timestamp;
use portico_eventstore::testing::given;
use uuid::Uuid;

use super::*;

const AT: Timestamp = Timestamp::UNIX_EPOCH;

fn details() -> Details {
    Details {
        name: "Payments".into(),
        dcr_enabled: true,
        scopes: BTreeSet::from(["product_payments".to_owned()]),
        client_type_ids: vec![Uuid::from_u128(1)],
        ..Details::default()
    }
}

fn created() -> Event {
    Event::Created {
        details: details(),
        at: AT,
    }
}

fn created_with(change: impl FnOnce(&mut Details)) -> Event {
    let mut details = details();
    change(&mut details);
    Event::Created { details, at: AT }
}

fn change(change: impl FnOnce(&mut Details)) -> Command {
    let mut details = details();
    change(&mut details);
    Command::Change { details, at: AT }
}

#[test]
fn create_does_it() {
    let details = details();
    given::<Product>([])
        .when(&Command::Create { details, at: AT })
        .then([created()]);
}

#[test]
fn create_refuses_registration_without_scopes() {
    let details = Details {
        scopes: BTreeSet::new(),
        ..details()
    };
    let rejection = given::<Product>([])
        .when(&Command::Create { details, at: AT })
        .then_refused();
    assert_eq!(rejection, Rejection::ScopesMissing);
}

#[test]
fn create_accepts_a_product_without_registration_and_scopes() {
    let details = Details {
        dcr_enabled: false,
        scopes: BTreeSet::new(),
        client_type_ids: Vec::new(),
        ..details()
    };
    let event = Event::Created {
        details: details.clone(),
        at: AT,
    };
    given::<Product>([])
        .when(&Command::Create { details, at: AT })
        .then([event]);
}

#[test]
fn create_refuses_a_second_time() {
    let details = details();
    let rejection = given::<Product>([created()])
        .when(&Command::Create { details, at: AT })
        .then_refused();
    assert_eq!(rejection, Rejection::Exists);
}

#[test]
fn change_sets_what_it_names_and_leaves_the_rest() {
    let wanted = Details {
        name: "Money".into(),
        ..details()
    };
    given::<Product>([created()])
        .when(&change(|details| details.name = "Money".into()))
        .then([Event::Changed {
            details: wanted,
            at: AT,
        }]);
}

#[test]
fn change_stays_quiet_when_nothing_is_new() {
    given::<Product>([created()])
        .when(&change(|_| {}))
        .then_nothing();
}

#[test]
fn change_refuses_a_product_that_could_not_be_registered_for() {
    let no_scopes = change(|details| details.scopes.clear());
    let no_types = change(|details| details.client_type_ids.clear());
    let published = [created(), Event::Published { at: AT }];
    let refused = |command: &Command| {
        given::<Product>(published.clone())
            .when(command)
            .then_refused()
    };
    assert_eq!(refused(&no_scopes), Rejection::ScopesMissing);
    assert_eq!(refused(&no_types), Rejection::ClientTypesMissing);
    // A draft may wait for its client types.
    let details = Details {
        client_type_ids: Vec::new(),
        ..details()
    };
    given::<Product>([created()])
        .when(&no_types)
        .then([Event::Changed { details, at: AT }]);
}

#[test]
fn publish_does_it_refuses_it_and_stays_quiet() {
    let publish = Command::Publish { at: AT };
    given::<Product>([created()])
        .when(&publish)
        .then([Event::Published { at: AT }]);
    let without = created_with(|d| d.client_type_ids.clear());
    assert_eq!(
        given::<Product>([without]).when(&publish).then_refused(),
        Rejection::ClientTypesMissing
    );
    given::<Product>([created(), Event::Published { at: AT }])
        .when(&publish)
        .then_nothing();
}

#[test]
fn unpublish_does_it_and_stays_quiet() {
    let unpublish = Command::Unpublish { at: AT };
    given::<Product>([created(), Event::Published { at: AT }])
        .when(&unpublish)
        .then([Event::Unpublished { at: AT }]);
    given::<Product>([created()])
        .when(&unpublish)
        .then_nothing();
}

#[test]
fn delete_does_it_and_stays_quiet() {
    let delete = Command::Delete { at: AT };
    given::<Product>([created()])
        .when(&delete)
        .then([Event::Deleted { at: AT }]);
    given::<Product>([created(), Event::Deleted { at: AT }])
        .when(&delete)
        .then_nothing();
}

#[test]
fn every_command_but_create_refuses_a_product_that_is_not_there() {
    let deleted = [created(), Event::Deleted { at: AT }];
    for command in [
        change(|_| {}),
        Command::Publish { at: AT },
        Command::Unpublish { at: AT },
    ] {
        for events in [Vec::new(), deleted.to_vec()] {
            assert_eq!(
                given::<Product>(events).when(&command).then_refused(),
                Rejection::NotFound
            );
        }
    }
    assert_eq!(
        given::<Product>([])
            .when(&Command::Delete { at: AT })
            .then_refused(),
        Rejection::NotFound
    );
}
