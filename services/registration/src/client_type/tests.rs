use portico_eventstore::testing::given;
use portico_runtime::Problems;

use super::*;

fn draft(grants: &[&str], responses: &[&str], method: &str) -> Draft {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Draft {
        name: "Backend".into(),
        grant_types: owned(grants),
        response_types: owned(responses),
        token_endpoint_auth_method: method.into(),
        ..Draft::default()
    }
}

fn checked(draft: Draft) -> Result<Definition, Error> {
    draft.checked(Problems::default())
}

fn service() -> Definition {
    checked(draft(&["client_credentials"], &[], "")).unwrap()
}

fn added() -> Event {
    Event::Added {
        identity_provider_id: Uuid::from_u128(1),
        definition: service(),
    }
}

fn codes(draft: Draft) -> Vec<String> {
    match checked(draft) {
        Ok(_) => Vec::new(),
        Err(error) => error.fields.into_iter().map(|field| field.code).collect(),
    }
}

#[test]
fn it_is_added_once() {
    let add = Command::Add {
        identity_provider_id: Uuid::from_u128(1),
        definition: service(),
    };
    given::<ClientType>([]).when(&add).then([added()]);
    let refused = given::<ClientType>([added()]).when(&add).then_refused();
    assert_eq!(refused, Rejection::Exists);
}

#[test]
fn it_changes() {
    let same = Command::Change {
        definition: service(),
    };
    given::<ClientType>([added()]).when(&same).then_nothing();
    let definition = Definition {
        name: "Other".into(),
        ..service()
    };
    let change = Command::Change {
        definition: definition.clone(),
    };
    given::<ClientType>([added()])
        .when(&change)
        .then([Event::Changed { definition }]);
    for events in [vec![], vec![added(), Event::Deleted]] {
        let refused = given::<ClientType>(events).when(&change).then_refused();
        assert_eq!(refused, Rejection::NotFound);
    }
}

#[test]
fn it_is_deleted_when_no_client_is_of_it() {
    let delete = |live_clients| Command::Delete { live_clients };
    given::<ClientType>([added()])
        .when(&delete(0))
        .then([Event::Deleted]);
    given::<ClientType>([added(), Event::Deleted])
        .when(&delete(0))
        .then_nothing();
    let refused = given::<ClientType>([added()])
        .when(&delete(2))
        .then_refused();
    assert_eq!(refused, Rejection::InUse { live_clients: 2 });
    let refused = given::<ClientType>([]).when(&delete(0)).then_refused();
    assert_eq!(refused, Rejection::NotFound);
}

/// Stored payloads never change their shape without an upcaster.
#[test]
fn events_have_the_stored_shape() {
    let stored = serde_json::json!({"type": "added", "data": {
        "identity_provider_id": "00000000-0000-0000-0000-000000000001",
        "definition": {
            "name": "Backend", "description": "", "response_types": [], "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "client_secret_basic", "okta_application_type": "",
        },
    }});
    assert_eq!(serde_json::to_value(added()).unwrap(), stored);
    assert_eq!(serde_json::from_value::<Event>(stored).unwrap(), added());
}

#[test]
fn what_fits_together_is_taken() {
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    for (grants, responses, method) in [
        (vec!["client_credentials"], vec![], ""),
        (vec!["client_credentials"], vec!["none"], "private_key_jwt"),
        // Okta wants it for services.
        (vec!["client_credentials"], vec!["token"], ""),
        (
            vec!["authorization_code", "refresh_token"],
            vec!["code"],
            "none",
        ),
        (
            vec!["authorization_code", "client_credentials"],
            vec!["code"],
            "client_secret_post",
        ),
        (
            vec!["implicit"],
            vec!["id_token", "token id_token"],
            "client_secret_jwt",
        ),
        (
            vec!["authorization_code", "implicit"],
            vec!["code id_token"],
            "none",
        ),
        (vec![device, "refresh_token"], vec![], "none"),
    ] {
        let found = codes(draft(&grants, &responses, method));
        assert!(found.is_empty(), "{grants:?} {responses:?}: {found:?}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    for (grants, responses, method, code) in [
        (vec![], vec![], "", "grant_types_missing"),
        (vec!["password"], vec![], "", "grant_type_unknown"),
        (
            vec!["client_credentials"],
            vec!["cod"],
            "",
            "response_type_unknown",
        ),
        (
            vec!["client_credentials"],
            vec![""],
            "",
            "response_type_unknown",
        ),
        (
            vec!["client_credentials"],
            vec!["code"],
            "",
            "response_types_mismatch",
        ),
        (
            vec!["authorization_code"],
            vec![],
            "",
            "response_types_mismatch",
        ),
        (
            vec!["authorization_code"],
            vec!["code", "token"],
            "",
            "response_types_mismatch",
        ),
        (
            vec!["client_credentials"],
            vec!["id_token"],
            "",
            "response_types_mismatch",
        ),
        (vec!["implicit"], vec![], "", "response_types_mismatch"),
        (vec!["refresh_token"], vec![], "", "grant_types_mismatch"),
        (
            vec!["client_credentials"],
            vec![],
            "none",
            "auth_method_mismatch",
        ),
    ] {
        let found = codes(draft(&grants, &responses, method));
        assert_eq!(found, [code], "{grants:?} {responses:?} {method}");
    }
}

#[test]
fn all_unknown_words_are_told_at_once() {
    let found = codes(Draft {
        name: String::new(),
        ..draft(&["x"], &["y"], "")
    });
    let expected = [
        "name_missing",
        "grant_type_unknown",
        "response_type_unknown",
    ];
    assert_eq!(found, expected);
}

#[test]
fn words_of_a_response_type_are_ordered() {
    let kinds = ["token id_token code", "code  id_token token"];
    let definition = draft(&["authorization_code", "implicit"], &kinds, "none");
    let definition = checked(definition).unwrap();
    assert_eq!(
        definition.response_types.into_iter().collect::<Vec<_>>(),
        ["code id_token token"]
    );
}

#[test]
fn redirect_urls_are_needed_where_a_browser_comes_back() {
    assert!(!service().needs_redirect_urls());
    let web = checked(draft(&["authorization_code"], &["code"], ""));
    assert!(web.unwrap().needs_redirect_urls());
}
