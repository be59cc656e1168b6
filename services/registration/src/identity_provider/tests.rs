use portico_eventstore::testing::given;
use portico_vault::VaultRef;
use uuid::Uuid;

use super::*;

fn reference(n: u128) -> VaultRef {
    VaultRef(Uuid::from_u128(n))
}

fn settings(issuer: &str) -> Settings {
    let url = |path: &str| format!("{issuer}{path}").parse().unwrap();
    Settings {
        name: "Keycloak".into(),
        kind: ProviderType::new("keycloak"),
        location: Location {
            well_known_url: format!("{issuer}/.well-known/openid-configuration"),
            skip_tls_verify: false,
            trusted_certificates: String::new(),
            endpoints: Endpoints {
                issuer: issuer.into(),
                registration_endpoint: url("/register"),
                token_endpoint: url("/token"),
                jwks_uri: Some(url("/jwks")),
                scopes_supported: vec!["a".into()],
                auth_methods_supported: Vec::new(),
                grant_types_supported: Vec::new(),
                allowed_origins: Vec::new(),
                registration_endpoint_override: None,
            },
        },
        scope_claim: "scope".into(),
        management: None,
        authorization: None,
        options: Options::default(),
        software_statement: None,
    }
}

const ISSUER: &str = "https://id.example";

fn added() -> Event {
    Event::Added {
        settings: settings(ISSUER),
        initial_access_token: Some(reference(1)),
    }
}

fn paused() -> Event {
    Event::Paused {
        reason: "used up".into(),
    }
}

fn change(settings: Settings) -> Command {
    Command::Change {
        settings,
        initial_access_token: TokenChange::Keep,
        live_clients: 0,
    }
}

fn token(token: Option<VaultRef>) -> Command {
    Command::Change {
        settings: settings(ISSUER),
        initial_access_token: TokenChange::Replace(token),
        live_clients: 3,
    }
}

fn delete(client_types: u64, live_clients: u64) -> Command {
    Command::Delete {
        client_types,
        live_clients,
    }
}

fn pause(refused: Option<VaultRef>) -> Command {
    Command::Pause {
        refused,
        reason: "used up".into(),
    }
}

type Provider = IdentityProvider;

#[test]
fn it_is_added_once() {
    let add = Command::Add {
        settings: settings(ISSUER),
        initial_access_token: Some(reference(1)),
    };
    given::<Provider>([]).when(&add).then([added()]);
    let refused = given::<Provider>([added()]).when(&add).then_refused();
    assert_eq!(refused, Rejection::Exists);
}

#[test]
fn its_settings_change() {
    let mut renamed = settings(ISSUER);
    renamed.name = "Other".into();
    given::<Provider>([added()])
        .when(&change(renamed.clone()))
        .then([Event::Changed { settings: renamed }]);
    given::<Provider>([added()])
        .when(&change(settings(ISSUER)))
        .then_nothing();
}

#[test]
fn a_new_token_resumes_it() {
    let replaced = |initial_access_token| Event::TokenReplaced {
        initial_access_token,
    };
    given::<Provider>([added(), paused()])
        .when(&token(Some(reference(2))))
        .then([replaced(Some(reference(2))), Event::Resumed]);
    given::<Provider>([added()])
        .when(&token(None))
        .then([replaced(None)]);
    given::<Provider>([added(), replaced(None)])
        .when(&token(None))
        .then_nothing();
    let state = given::<Provider>([added(), paused(), Event::Resumed]).state();
    assert_eq!(state.status, Status::Active);
}

#[test]
fn only_the_token_that_was_refused_pauses_it() {
    given::<Provider>([added()])
        .when(&pause(Some(reference(1))))
        .then([paused()]);
    given::<Provider>([added(), paused()])
        .when(&pause(Some(reference(1))))
        .then_nothing();
    given::<Provider>([added()])
        .when(&pause(Some(reference(2))))
        .then_nothing();
    given::<Provider>([added(), Event::Deleted])
        .when(&pause(Some(reference(1))))
        .then_nothing();
}

#[test]
fn clients_and_tokens_stay_with_their_issuer() {
    let elsewhere = settings("https://other.example");
    let refused = given::<Provider>([added()])
        .when(&change(elsewhere.clone()))
        .then_refused();
    let issuer = ISSUER.to_owned();
    assert_eq!(
        refused,
        Rejection::TokenOfOtherIssuer {
            issuer: issuer.clone()
        }
    );
    let with = |live_clients| Command::Change {
        settings: elsewhere.clone(),
        initial_access_token: TokenChange::Replace(Some(reference(2))),
        live_clients,
    };
    let refused = given::<Provider>([added()]).when(&with(1)).then_refused();
    assert_eq!(
        refused,
        Rejection::IssuerInUse {
            issuer: issuer.clone(),
            live_clients: 1
        }
    );
    let changed = Event::Changed {
        settings: elsewhere.clone(),
    };
    let replaced = Event::TokenReplaced {
        initial_access_token: Some(reference(2)),
    };
    given::<Provider>([added()])
        .when(&with(0))
        .then([changed, replaced]);
    let managed = |mut settings: Settings| {
        settings.management = Some(ManagementRef {
            client_id: "admin".into(),
            client_secret: reference(3),
        });
        settings
    };
    let open = Event::Added {
        settings: managed(settings(ISSUER)),
        initial_access_token: None,
    };
    let refused = given::<Provider>([open])
        .when(&change(managed(elsewhere.clone())))
        .then_refused();
    assert_eq!(refused, Rejection::ManagementOfOtherIssuer { issuer });
}

#[test]
fn it_is_deleted_when_nothing_needs_it() {
    given::<Provider>([added(), paused()])
        .when(&delete(0, 0))
        .then([Event::Deleted]);
    given::<Provider>([added(), Event::Deleted])
        .when(&delete(0, 0))
        .then_nothing();
    for (client_types, live_clients) in [(1, 0), (0, 1)] {
        let refused = given::<Provider>([added()])
            .when(&delete(client_types, live_clients))
            .then_refused();
        let expected = Rejection::InUse {
            client_types,
            live_clients,
        };
        assert_eq!(refused, expected);
    }
}

#[test]
fn what_is_not_there_cannot_be_changed() {
    for events in [vec![], vec![added(), Event::Deleted]] {
        let refused = given::<Provider>(events)
            .when(&change(settings(ISSUER)))
            .then_refused();
        assert_eq!(refused, Rejection::NotFound);
    }
    let refused = given::<Provider>([]).when(&delete(0, 0)).then_refused();
    assert_eq!(refused, Rejection::NotFound);
}

/// Stored payloads never change their shape without an upcaster.
#[test]
fn events_have_the_stored_shape() {
    let replaced = Event::TokenReplaced {
        initial_access_token: Some(reference(1)),
    };
    assert_eq!(
        serde_json::to_value(replaced).unwrap(),
        serde_json::json!({"type": "token_replaced", "data": {
            "initial_access_token": "00000000-0000-0000-0000-000000000001"}})
    );
    let stored = serde_json::json!({"type": "added", "data": {"settings": {
        "name": "Keycloak", "kind": "keycloak", "scope_claim": "scope", "management": null,
        "location": {
            "well_known_url": "https://id.example/.well-known/openid-configuration",
            "skip_tls_verify": false,
            "endpoints": {
                "issuer": "https://id.example", "registration_endpoint": "https://id.example/register",
                "token_endpoint": "https://id.example/token", "jwks_uri": "https://id.example/jwks",
                "scopes_supported": ["a"], "allowed_origins": [],
            },
        },
    }, "initial_access_token": "00000000-0000-0000-0000-000000000001"}});
    assert_eq!(serde_json::to_value(added()).unwrap(), stored);
    assert_eq!(serde_json::from_value::<Event>(stored).unwrap(), added());
}

#[test]
fn a_document_that_has_moved_is_followed_and_another_issuer_is_not() {
    let follow = |change: fn(&mut Settings)| {
        let mut settings = settings(ISSUER);
        change(&mut settings);
        Command::Follow {
            well_known_url: settings.location.well_known_url,
            endpoints: settings.location.endpoints,
        }
    };
    let moved = |settings: &mut Settings| {
        settings.location.endpoints.token_endpoint = format!("{ISSUER}/v2/token").parse().unwrap();
    };
    let mut expected = settings(ISSUER);
    moved(&mut expected);
    given::<IdentityProvider>([added()])
        .when(&follow(moved))
        .then([Event::Changed {
            settings: expected.clone(),
        }]);
    given::<IdentityProvider>([added(), Event::Changed { settings: expected }])
        .when(&follow(moved))
        .then_nothing();
    for other in [
        (|_| {}) as fn(&mut Settings),
        |settings| settings.location.endpoints.issuer = "https://id.example/".into(),
        |settings| {
            settings.location.endpoints.allowed_origins = vec!["https://other.example".into()]
        },
        |settings| settings.location.well_known_url = "https://other.example/".into(),
    ] {
        given::<IdentityProvider>([added()])
            .when(&follow(other))
            .then_nothing();
    }
    let deleted = given::<IdentityProvider>([added(), Event::Deleted]);
    let rejection = deleted.when(&follow(moved)).then_refused();
    assert_eq!(rejection, Rejection::NotFound);
}
