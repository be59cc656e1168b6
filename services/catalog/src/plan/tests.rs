use std::collections::BTreeSet;

use jiff::Timestamp;
use portico_eventstore::testing::given;

use super::*;

const AT: Timestamp = Timestamp::UNIX_EPOCH;

fn details() -> Details {
    Details {
        name: "Free".into(),
        scopes: BTreeSet::from(["free_plan".to_owned()]),
        rate: Some(Limit {
            requests: 10,
            seconds: 1,
        }),
        ..Details::default()
    }
}

fn created() -> Event {
    Event::Created {
        details: details(),
        at: AT,
    }
}

fn change(change: impl FnOnce(&mut Details)) -> Command {
    let mut details = details();
    change(&mut details);
    Command::Change { details, at: AT }
}

#[test]
fn create_does_it_and_refuses_it() {
    let create = |details| Command::Create { details, at: AT };
    given::<Plan>([]).when(&create(details())).then([created()]);
    let bare = Details {
        scopes: BTreeSet::new(),
        ..details()
    };
    assert_eq!(
        given::<Plan>([]).when(&create(bare)).then_refused(),
        Rejection::ScopesMissing
    );
    assert_eq!(
        given::<Plan>([created()])
            .when(&create(details()))
            .then_refused(),
        Rejection::Exists
    );
}

#[test]
fn change_takes_a_limit_away() {
    let wanted = Details {
        rate: None,
        ..details()
    };
    given::<Plan>([created()])
        .when(&change(|details| details.rate = None))
        .then([Event::Changed {
            details: wanted,
            at: AT,
        }]);
}

#[test]
fn change_refuses_it_and_stays_quiet() {
    let bare = change(|details| details.scopes.clear());
    assert_eq!(
        given::<Plan>([created()]).when(&bare).then_refused(),
        Rejection::ScopesMissing
    );
    given::<Plan>([created()])
        .when(&change(|_| {}))
        .then_nothing();
    assert_eq!(
        given::<Plan>([created(), Event::Deleted { at: AT }])
            .when(&bare)
            .then_refused(),
        Rejection::NotFound
    );
}

#[test]
fn delete_does_it_refuses_it_and_stays_quiet() {
    let delete = Command::Delete { at: AT };
    given::<Plan>([created()])
        .when(&delete)
        .then([Event::Deleted { at: AT }]);
    given::<Plan>([created(), Event::Deleted { at: AT }])
        .when(&delete)
        .then_nothing();
    assert_eq!(
        given::<Plan>([]).when(&delete).then_refused(),
        Rejection::NotFound
    );
}
