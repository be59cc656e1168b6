use portico_eventstore::testing::given;

use portico_vault::VaultRef;

use super::*;

const NAME: VaultRef = VaultRef(Uuid::from_u128(1));
const EMAIL: VaultRef = VaultRef(Uuid::from_u128(2));
const PASSWORD: VaultRef = VaultRef(Uuid::from_u128(3));
const TOKEN: Uuid = Uuid::from_u128(4);
const LATER: Timestamp = Timestamp::MAX;
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn signed_up(role: Role, status: Status) -> Event {
    Event::Account(AccountEvent::SignedUp {
        status,
        role,
        name_ref: NAME,
        email_ref: EMAIL,
    })
}

fn developer(status: Status) -> Vec<Event> {
    vec![signed_up(Role::Developer, status)]
}

fn admin() -> Vec<Event> {
    vec![signed_up(Role::Admin, Status::Active)]
}

fn and(mut events: Vec<Event>, more: Event) -> Vec<Event> {
    events.push(more);
    events
}

fn sign_up() -> Command {
    Command::Account(AccountCommand::SignUp {
        status: Status::Pending,
        role: Role::Developer,
        name_ref: NAME,
        email_ref: EMAIL,
        password_ref: PASSWORD,
    })
}

fn issue(token_id: Uuid) -> Command {
    Command::ApiToken(ApiTokenCommand::Issue {
        token_id,
        digest: "d".into(),
        name_ref: NAME,
        expires_at: LATER,
        now: NOW,
    })
}

fn issued(token_id: Uuid, expires_at: Timestamp) -> Event {
    Event::ApiToken(ApiTokenEvent::Issued {
        token_id,
        digest: "d".into(),
        name_ref: NAME,
        expires_at,
    })
}

fn revoke(token_id: Uuid) -> Command {
    Command::ApiToken(ApiTokenCommand::Revoke { token_id })
}

const ACTIVATE: Command = Command::Account(AccountCommand::Activate);
const SUSPEND: Command = Command::Account(AccountCommand::Suspend { other_admins: true });
const SUSPEND_ALONE: Command = Command::Account(AccountCommand::Suspend {
    other_admins: false,
});
const ERASE: Command = Command::Account(AccountCommand::Erase { other_admins: true });
const ERASE_ALONE: Command = Command::Account(AccountCommand::Erase {
    other_admins: false,
});

const LET_IN: Command = Command::Account(AccountCommand::LetIn);
const SHUT_OUT: Command = Command::Account(AccountCommand::ShutOut);

const WAS_LET_IN: Event = Event::Account(AccountEvent::LetIn);
const WAS_SHUT_OUT: Event = Event::Account(AccountEvent::ShutOut);
const ACTIVATED: Event = Event::Account(AccountEvent::Activated);
const SUSPENDED: Event = Event::Account(AccountEvent::Suspended);
const ERASED: Event = Event::Account(AccountEvent::Erased);

#[test]
fn signs_up_once() {
    let password_set = Event::Account(AccountEvent::PasswordSet {
        password_ref: PASSWORD,
    });
    given::<User>([])
        .when(&sign_up())
        .then(and(developer(Status::Pending), password_set));
    for events in [
        developer(Status::Active),
        and(developer(Status::Active), ERASED),
    ] {
        let refused = given::<User>(events).when(&sign_up()).then_refused();
        assert_eq!(refused, Rejection::EmailTaken);
    }
}

#[test]
fn activates_pending_and_suspended_users() {
    let waiting = developer(Status::Pending);
    for events in [waiting.clone(), and(waiting.clone(), SUSPENDED)] {
        given::<User>(events)
            .when(&ACTIVATE)
            .then([ACTIVATED, WAS_LET_IN]);
    }
    given::<User>(and(waiting, WAS_LET_IN))
        .when(&ACTIVATE)
        .then([ACTIVATED]);
    // Who signed up without an approval was suspended since, and not let in.
    given::<User>(developer(Status::Suspended))
        .when(&ACTIVATE)
        .then([ACTIVATED]);
    given::<User>(developer(Status::Active))
        .when(&ACTIVATE)
        .then_nothing();
    let erased = given::<User>(and(developer(Status::Active), ERASED));
    assert_eq!(erased.when(&ACTIVATE).then_refused(), Rejection::Erased);
}

#[test]
fn an_approval_lets_in_once() {
    let approved = vec![
        signed_up(Role::Developer, Status::Pending),
        ACTIVATED,
        WAS_LET_IN,
    ];
    let shut_out = and(and(approved, WAS_SHUT_OUT), SUSPENDED);
    given::<User>(shut_out).when(&ACTIVATE).then([ACTIVATED]);
}

#[test]
fn lets_in_and_shuts_out() {
    for status in [Status::Pending, Status::Active, Status::Suspended] {
        let outside = developer(status);
        let inside = and(outside.clone(), WAS_LET_IN);
        given::<User>(outside.clone())
            .when(&LET_IN)
            .then([WAS_LET_IN]);
        given::<User>(inside.clone()).when(&LET_IN).then_nothing();
        given::<User>(inside).when(&SHUT_OUT).then([WAS_SHUT_OUT]);
        given::<User>(outside).when(&SHUT_OUT).then_nothing();
    }
    for command in [LET_IN, SHUT_OUT] {
        let erased = given::<User>(and(developer(Status::Active), ERASED));
        assert_eq!(erased.when(&command).then_refused(), Rejection::Erased);
    }
}

#[test]
fn admins_are_let_in_by_their_role() {
    given::<User>(admin()).when(&LET_IN).then_nothing();
    let refused = given::<User>(admin()).when(&SHUT_OUT).then_refused();
    assert_eq!(refused, Rejection::LetInByRole);
}

#[test]
fn suspends() {
    for status in [Status::Pending, Status::Active] {
        given::<User>(developer(status))
            .when(&SUSPEND_ALONE)
            .then([SUSPENDED]);
    }
    given::<User>(developer(Status::Suspended))
        .when(&SUSPEND)
        .then_nothing();
    let erased = given::<User>(and(developer(Status::Active), ERASED));
    assert_eq!(erased.when(&SUSPEND).then_refused(), Rejection::Erased);
}

#[test]
fn erases_in_any_status() {
    for status in [Status::Pending, Status::Active, Status::Suspended] {
        given::<User>(developer(status))
            .when(&ERASE_ALONE)
            .then([ERASED]);
    }
    given::<User>(and(developer(Status::Active), ERASED))
        .when(&ERASE)
        .then_nothing();
}

#[test]
fn the_last_active_admin_stays() {
    for command in [SUSPEND_ALONE, ERASE_ALONE] {
        let refused = given::<User>(admin()).when(&command).then_refused();
        assert_eq!(refused, Rejection::LastAdmin);
    }
    given::<User>(admin()).when(&SUSPEND).then([SUSPENDED]);
    given::<User>(admin()).when(&ERASE).then([ERASED]);
    // A suspended admin is not an active one, so erasing them takes no active admin away.
    given::<User>(and(admin(), SUSPENDED))
        .when(&ERASE_ALONE)
        .then([ERASED]);
}

#[test]
fn issues_api_tokens_to_active_users() {
    let active = || given::<User>(developer(Status::Active));
    active().when(&issue(TOKEN)).then([issued(TOKEN, LATER)]);
    given::<User>(and(developer(Status::Active), issued(TOKEN, LATER)))
        .when(&issue(TOKEN))
        .then_nothing();
    for status in [Status::Pending, Status::Suspended, Status::Erased] {
        let refused = given::<User>(developer(status)).when(&issue(TOKEN));
        assert_eq!(refused.then_refused(), Rejection::NotActive);
    }
}

#[test]
fn has_at_most_a_hundred_live_api_tokens() {
    let full = |expires_at| {
        let tokens = (100..200).map(move |n| issued(Uuid::from_u128(n), expires_at));
        developer(Status::Active).into_iter().chain(tokens)
    };
    let refused = given::<User>(full(LATER)).when(&issue(TOKEN));
    assert_eq!(refused.then_refused(), Rejection::TooManyApiTokens);
    given::<User>(full(NOW))
        .when(&issue(TOKEN))
        .then([issued(TOKEN, LATER)]);
}

#[test]
fn revokes_api_tokens() {
    let revoke = revoke(TOKEN);
    let revoked = Event::ApiToken(ApiTokenEvent::Revoked { token_id: TOKEN });
    let with_token = and(developer(Status::Active), issued(TOKEN, LATER));
    given::<User>(with_token.clone())
        .when(&revoke)
        .then([revoked.clone()]);
    given::<User>(and(with_token.clone(), revoked))
        .when(&revoke)
        .then_nothing();
    for events in [developer(Status::Active), and(with_token, ERASED)] {
        let refused = given::<User>(events).when(&revoke).then_refused();
        assert_eq!(refused, Rejection::NoSuchApiToken);
    }
}

#[test]
fn every_command_but_sign_up_refuses_an_unknown_user() {
    for command in [
        ACTIVATE,
        SUSPEND,
        LET_IN,
        SHUT_OUT,
        ERASE,
        issue(TOKEN),
        revoke(TOKEN),
    ] {
        let refused = given::<User>([]).when(&command).then_refused();
        assert_eq!(refused, Rejection::NoSuchUser);
    }
}

#[test]
fn stored_events_keep_their_flat_types() {
    let stored = serde_json::json!([
        {"type": "signed_up", "data": {"status": "active", "role": "admin",
            "name_ref": NAME, "email_ref": EMAIL}},
        {"type": "password_set", "data": {"password_ref": PASSWORD}},
        {"type": "suspended"},
        {"type": "activated"},
        {"type": "api_token_issued", "data": {"token_id": TOKEN, "digest": "d", "name_ref": NAME,
            "expires_at": "1970-01-01T00:00:00Z"}},
        {"type": "api_token_revoked", "data": {"token_id": TOKEN}},
        {"type": "let_in"},
        {"type": "shut_out"},
        {"type": "erased"},
    ]);
    let events: Vec<Event> = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(serde_json::to_value(&events).unwrap(), stored);
}
