//! given / when / then: does it, refuses it, stays quiet.

use portico_eventstore::testing::given;

use super::*;

fn kept(number: u128) -> KeptProfile {
    KeptProfile {
        profile_ref: VaultRef(Uuid::from_u128(number)),
        has_redirect_urls: true,
    }
}

fn created() -> Event {
    Event::Created {
        owner_id: Uuid::from_u128(1),
        kept: kept(10),
        visibility: Visibility::Personal,
    }
}

fn rewritten(number: u128, concerns_clients: bool) -> Changes {
    Changes {
        profile: Some(ProfileChange {
            kept: kept(number),
            concerns_clients,
        }),
        ..Changes::default()
    }
}

fn update(changes: Changes) -> Command {
    Command::Update {
        changes,
        instead_of: Some(kept(10).profile_ref),
    }
}

#[test]
fn it_is_created_once() {
    let create = Command::Create {
        owner_id: Uuid::from_u128(1),
        kept: kept(10),
        visibility: Visibility::Personal,
    };
    given::<Application>([]).when(&create).then([created()]);
    let refused = given::<Application>([created()])
        .when(&create)
        .then_refused();
    assert_eq!(refused, Rejection::Exists);
}

#[test]
fn only_what_differs_is_recorded() {
    let mut changes = rewritten(11, true);
    changes.visibility = Some(Visibility::Personal);
    given::<Application>([created()])
        .when(&update(changes))
        .then([Event::Updated(rewritten(11, true))]);
    let same = Changes {
        visibility: Some(Visibility::Personal),
        ..Changes::default()
    };
    given::<Application>([created()])
        .when(&update(same))
        .then_nothing();
}

#[test]
fn clients_follow_what_concerns_them() {
    let described = Event::Updated(rewritten(12, false));
    let past = [created(), Event::Updated(rewritten(11, true)), described];
    let state = given::<Application>(past).state();
    assert_eq!(state.profile, Some(kept(12)));
    assert_eq!(state.client_profile, Some(kept(11).profile_ref));
}

#[test]
fn of_two_changes_of_the_same_profile_one_is_made_again() {
    let refused = given::<Application>([created(), Event::Updated(rewritten(11, true))])
        .when(&update(rewritten(12, true)))
        .then_refused();
    assert_eq!(refused, Rejection::Outdated);
}

#[test]
fn what_its_owner_wrote_is_erased_once_and_for_ever() {
    for past in [vec![created()], vec![created(), Event::Deleted]] {
        given::<Application>(past.clone())
            .when(&Command::Erase)
            .then([Event::Erased]);
        let erased: Vec<Event> = past.into_iter().chain([Event::Erased]).collect();
        let state = given::<Application>(erased.clone()).state();
        assert!(state.is_erased());
        assert_eq!(state.client_profile, Some(kept(10).profile_ref));
        given::<Application>(erased.clone())
            .when(&Command::Erase)
            .then_nothing();
        let refused = given::<Application>(erased)
            .when(&update(rewritten(11, true)))
            .then_refused();
        assert_eq!(refused, Rejection::NotFound);
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    for command in [update(rewritten(11, true)), Command::Delete] {
        for past in [vec![], vec![created(), Event::Deleted]] {
            let refused = given::<Application>(past).when(&command).then_refused();
            assert_eq!(refused, Rejection::NotFound);
        }
    }
    let refused = given::<Application>([])
        .when(&Command::Erase)
        .then_refused();
    assert_eq!(refused, Rejection::NotFound);
    given::<Application>([created()])
        .when(&Command::Delete)
        .then([Event::Deleted]);
}
