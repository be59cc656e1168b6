//! What each public event asks to be told, and to whom.

use portico_proto::registration::v1::client_changed::Change;

use super::*;

const REQUEST: &str = "00000000-0000-0000-0000-000000000001";
const DEVELOPER: &str = "00000000-0000-0000-0000-000000000002";

fn news(subject: &str, event: &impl prost::Message) -> Result<News, PolicyError> {
    News::of(&Message {
        id: Uuid::nil(),
        subject: format!("portico.{subject}"),
        payload: event.encode_to_vec().into(),
        headers: [].into(),
    })
}

/// The template's word, who is told, and what about.
fn told(subject: &str, event: &impl prost::Message) -> (&'static str, String, Option<Failure>) {
    let news = news(subject, event).unwrap();
    let to = match news.to {
        To::Admins => "admins".to_owned(),
        To::Requester(user) => user,
        To::Requesters(users) => users.join(" "),
        To::Nobody => "nobody".to_owned(),
    };
    (news.template.as_str(), to, news.failure)
}

#[test]
fn what_became_of_access_is_told_to_its_requester_and_a_failure_to_admins() {
    let activated = AccessActivated {
        request_id: REQUEST.into(),
        requester_id: DEVELOPER.into(),
        ..AccessActivated::default()
    };
    let (template, to, _) = told("access.access_activated", &activated);
    assert_eq!((template, to.as_str()), ("access_provisioned", DEVELOPER));

    let wanted = Some(WantedAccess {
        request_id: REQUEST.into(),
        requester_id: DEVELOPER.into(),
        ..WantedAccess::default()
    });
    let mut suspended = AccessSuspended {
        wanted: wanted.clone(),
        with_account: false,
    };
    let (template, to, _) = told("access.access_suspended", &suspended);
    assert_eq!((template, to.as_str()), ("access_suspended", DEVELOPER));
    // Who is suspended gets no mail.
    suspended.with_account = true;
    let (_, to, _) = told("access.access_suspended", &suspended);
    assert_eq!(to, "nobody");
    let (template, to, _) = told("access.access_revoked", &AccessRevoked { wanted });
    assert_eq!((template, to.as_str()), ("access_revoked", DEVELOPER));
    assert!(matches!(
        news("access.access_revoked", &AccessRevoked::default()),
        Err(PolicyError::Poison(_))
    ));

    let failed = AccessFailed {
        request_id: REQUEST.into(),
        neighbour_name: Some("Main gateway".into()),
        code: "api_not_found".into(),
        reason: "no API of this id".into(),
        ..AccessFailed::default()
    };
    let (template, to, about) = told("access.access_failed", &failed);
    assert_eq!((template, to.as_str()), ("registration_failed", "admins"));
    let about = about.unwrap();
    assert_eq!(
        [about.provider_name, about.code, about.words],
        ["Main gateway", "api_not_found", "no API of this id"]
    );
}

#[test]
fn of_changes_to_a_client_only_what_its_owners_must_know_is_told() {
    let changed = |change: Change, by: &str| {
        let event = ClientChanged {
            request_ids: vec![REQUEST.into()],
            requester_ids: vec![DEVELOPER.into()],
            change: change.into(),
            by: by.into(),
            ..ClientChanged::default()
        };
        let (template, to, about) = told("registration.client_changed", &event);
        assert_eq!(template, "credentials_changed");
        (to, about.unwrap().code)
    };
    let developer = |code: &str| (DEVELOPER.to_owned(), code.to_owned());
    let service = "service:registration";
    assert_eq!(
        changed(Change::SecretRotated, service),
        developer("secret_rotated")
    );
    assert_eq!(
        changed(Change::Adopted, DEVELOPER),
        developer("client_adopted")
    );
    assert_eq!(
        changed(Change::Replaced, service),
        developer("client_replaced")
    );
    assert_eq!(changed(Change::SecretRotated, DEVELOPER).0, "nobody");
    for change in [
        Change::Suspended,
        Change::Resumed,
        Change::Missing,
        Change::Edited,
    ] {
        assert_eq!(changed(change, service).0, "nobody", "{change:?}");
    }
}

#[test]
fn a_secret_that_ends_is_told_with_its_time_unless_it_is_rotated() {
    let at = Timestamp::from_second(1_800_000_000).unwrap();
    let mut event = ClientSecretExpiring {
        request_ids: vec![REQUEST.into()],
        requester_ids: vec![DEVELOPER.into()],
        days_left: 7,
        ..ClientSecretExpiring::default()
    };
    event.expires_at.get_or_insert_default().seconds = at.as_second();
    let (template, to, about) = told("registration.client_secret_expiring", &event);
    assert_eq!(
        (template, to.as_str()),
        ("client_secret_expiring", DEVELOPER)
    );
    let about = about.unwrap();
    assert_eq!((about.code, about.words), ("7".to_owned(), at.to_string()));
    event.rotates = true;
    assert_eq!(
        told("registration.client_secret_expiring", &event).1,
        "nobody"
    );
}
