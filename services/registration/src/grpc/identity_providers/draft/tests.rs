use crate::identity_provider::Endpoints;

use super::*;

fn message() -> api::IdentityProvider {
    api::IdentityProvider {
        name: "Keycloak".into(),
        r#type: api::IdentityProviderType::Keycloak.into(),
        ..api::IdentityProvider::default()
    }
}

fn codes(draft: Result<Draft, Error>) -> Vec<String> {
    match draft {
        Ok(_) => Vec::new(),
        Err(error) => error.fields.into_iter().map(|field| field.code).collect(),
    }
}

fn mask(paths: &[&str]) -> FieldMask {
    FieldMask {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    }
}

/// Settings with the management client `a`.
fn stored() -> Settings {
    let url: Url = "https://id.example/x".parse().unwrap();
    let endpoints = Endpoints {
        issuer: "https://id.example".into(),
        registration_endpoint: url.clone(),
        token_endpoint: url,
        jwks_uri: None,
        scopes_supported: Vec::new(),
        auth_methods_supported: Vec::new(),
        grant_types_supported: Vec::new(),
        allowed_origins: Vec::new(),
        registration_endpoint_override: None,
    };
    let location = Location {
        well_known_url: String::new(),
        skip_tls_verify: false,
        trusted_certificates: String::new(),
        endpoints,
    };
    let draft = Draft::read(message(), None, None).unwrap();
    Settings {
        management: Some(ManagementRef::unknown("a".into())),
        ..draft.settings(location)
    }
}

#[test]
fn a_draft_tells_all_that_is_wrong() {
    let wrong = api::IdentityProvider {
        name: " ".into(),
        scope_claim: "a b".into(),
        initial_access_token: Some("two words".into()),
        management_client_id: Some("a\nb".into()),
        management_client_secret: Some("ü".into()),
        ..message()
    };
    assert_eq!(
        codes(Draft::read(wrong, None, None)),
        [
            "name_missing",
            "scope_claim_invalid",
            "initial_access_token_malformed",
            "management_client_id_invalid",
            "management_client_secret_malformed"
        ]
    );
    let right = api::IdentityProvider {
        scope_claim: " ".into(),
        initial_access_token: Some(" token\n".into()),
        ..message()
    };
    let draft = Draft::read(right, None, None).unwrap();
    assert_eq!(draft.scope_claim, "scope");
    assert_eq!(draft.token, Entered::New(Secret::new("token")));
}

#[test]
fn management_credentials_come_in_pairs() {
    let before = stored();
    let after = |id: &str, secret: Option<&str>, before: Option<&Settings>| {
        let entered = api::IdentityProvider {
            management_client_id: Some(id.into()),
            management_client_secret: secret.map(str::to_owned),
            ..message()
        };
        match Draft::read(entered, None, before) {
            Ok(draft) => Ok((
                draft.management_client_id,
                draft.management_secret.is_some(),
            )),
            Err(error) => Err(error.code.into_owned()),
        }
    };
    let pair = |id: &str, new| Ok((Some(id.to_owned()), new));
    assert_eq!(after("", None, None), Ok((None, false)));
    assert_eq!(after("a", Some("s"), None), pair("a", true));
    assert_eq!(after("a", None, Some(&before)), pair("a", false));
    assert_eq!(after("a", Some("s"), Some(&before)), pair("a", true));
    assert_eq!(after("", None, Some(&before)), Ok((None, false)));
    let missing = Err("management_client_secret_missing".into());
    assert_eq!(after("a", None, None), missing);
    assert_eq!(after("b", None, Some(&before)), missing);
    let missing = Err("management_client_id_missing".into());
    assert_eq!(after("", Some("s"), None), missing);
}

#[test]
fn the_secret_of_a_management_client_is_not_taken_away_alone() {
    let entered = api::IdentityProvider {
        management_client_id: Some("a".into()),
        ..message()
    };
    let named = mask(&["management_client_secret"]);
    let draft = Draft::read(entered, Some(&named), Some(&stored()));
    assert_eq!(codes(draft), ["management_client_secret_missing"]);
}

#[test]
fn a_secret_that_is_not_entered_stays() {
    let before = stored();
    let token = |paths: &[&str], api_token: Option<&str>| {
        let entered = api::IdentityProvider {
            api_token: api_token.map(str::to_owned),
            management_client_id: Some("a".into()),
            ..message()
        };
        let draft = Draft::read(entered, Some(&mask(paths)), Some(&before));
        draft.unwrap().token
    };
    assert_eq!(token(&["name"], None), Entered::Kept);
    // What is not stored is not taken away: programs write null for every member that they do not use.
    assert_eq!(token(&["api_token"], None), Entered::Kept);
    assert_eq!(token(&["initial_access_token"], None), Entered::Nothing);
    let both = ["initial_access_token", "api_token"];
    assert_eq!(token(&both, None), Entered::Nothing);
    let new = token(&["api_token"], Some("t"));
    assert_eq!(new, Entered::New(Secret::new("t")));
}

#[test]
fn the_type_stays_and_the_document_is_verified_where_it_may_be_another() {
    let before = stored();
    let read = |kind: api::IdentityProviderType, paths: &[&str]| {
        let entered = api::IdentityProvider {
            r#type: kind.into(),
            management_client_id: Some("a".into()),
            ..message()
        };
        Draft::read(entered, Some(&mask(paths)), Some(&before))
    };
    let okta = read(api::IdentityProviderType::Okta, &["type"]);
    assert_eq!(codes(okta), ["type_fixed"]);
    let keycloak = api::IdentityProviderType::Keycloak;
    assert!(!read(keycloak, &["name", "type"]).unwrap().moves);
    assert!(read(keycloak, &["skip_tls_verify"]).unwrap().moves);
}
