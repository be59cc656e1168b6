//! given / when / then: does it, refuses it, stays quiet.

use portico_eventstore::testing::given;

use super::*;

fn profile() -> Profile {
    Profile {
        name: "Shop".into(),
        redirect_urls: vec![RedirectUrl::try_new("https://shop.example/cb").unwrap()],
        ..Profile::default()
    }
}

fn created() -> Event {
    Event::Created {
        owner_id: Uuid::from_u128(1),
        profile: profile(),
    }
}

fn rename(name: &str) -> Changes {
    Changes {
        name: Some(name.into()),
        ..Changes::default()
    }
}

#[test]
fn it_is_created_once() {
    let create = Command::Create {
        owner_id: Uuid::from_u128(1),
        profile: profile(),
    };
    given::<Application>([]).when(&create).then([created()]);
    let refused = given::<Application>([created()])
        .when(&create)
        .then_refused();
    assert_eq!(refused, Rejection::Exists);
}

#[test]
fn only_what_differs_is_recorded() {
    let mut changes = rename("Store");
    changes.redirect_urls = Some(profile().redirect_urls);
    given::<Application>([created()])
        .when(&Command::Update(changes))
        .then([Event::Updated(rename("Store"))]);
    given::<Application>([created()])
        .when(&Command::Update(rename("Shop")))
        .then_nothing();
    let state = given::<Application>([created(), Event::Updated(rename("Store"))]).state();
    assert_eq!(state.profile.name, "Store");
    assert_eq!(state.profile.redirect_urls, profile().redirect_urls);
}

#[test]
fn what_is_not_there_is_not_found() {
    for command in [Command::Update(rename("x")), Command::Delete] {
        for past in [vec![], vec![created(), Event::Deleted]] {
            let refused = given::<Application>(past).when(&command).then_refused();
            assert_eq!(refused, Rejection::NotFound);
        }
    }
    given::<Application>([created()])
        .when(&Command::Delete)
        .then([Event::Deleted]);
}
