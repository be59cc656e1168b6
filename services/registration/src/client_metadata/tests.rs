use super::*;
use crate::providers::double::wanted;
use serde_json::json;

fn metadata(value: Value) -> Metadata {
    Metadata::from_answer(value.as_object().unwrap().clone())
}

#[test]
fn sends_the_allow_list_and_nothing_else() {
    let members = registration_members(&wanted(&["b", "a"]));
    assert_eq!(
        Value::Object(members),
        json!({
            "client_name": "Weather app",
            "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "client_secret_basic",
            "scope": "a b",
        })
    );
}

#[test]
fn keeps_no_secret() {
    let kept = metadata(json!({
        "client_id": "c", "client_secret": "s", "registration_access_token": "r",
        "software_statement": "j", "unknown": 1, "api_secret": "s", "client_secrets": ["s"],
        "private_key_jwk": {"d": "s"}, "access_token_as_jwt": true,
    }));
    assert_eq!(
        serde_json::to_value(&kept).unwrap(),
        json!({"client_id": "c", "access_token_as_jwt": true})
    );
}

#[test]
fn an_update_sends_back_all_but_what_the_server_sets() {
    let kept = metadata(json!({
        "client_id": "c", "registration_client_uri": "u", "client_id_issued_at": 1,
        "client_secret_expires_at": 0, "subject_type": "public",
        "jwks": null, "logo_uri": "", "contacts": [], "metadata": {}, "require_auth_time": false,
    }));
    assert_eq!(
        Value::Object(super::for_update(kept.members())),
        json!({"client_id": "c", "subject_type": "public", "require_auth_time": false})
    );
}

#[test]
fn the_end_of_a_secret_is_read_in_every_form() {
    for (given, expected) in [
        (json!(1_800_000_000), 1_800_000_000),
        (json!(1_800_000_000.0), 1_800_000_000),
        (json!(1_800_000_000_123_u64), 1_800_000_000),
        (json!("1800000000"), 1_800_000_000),
        (json!("2027-01-15T08:00:00Z"), 1_800_000_000),
        (json!("2027-01-15T09:00:00+01:00"), 1_800_000_000),
        (json!("Fri, 15 Jan 2027 08:00:00 GMT"), 1_800_000_000),
        (json!("0"), 0),
        (json!(""), 0),
        (json!("Never"), 0),
        (json!(null), 0),
    ] {
        let members = metadata(json!({"client_secret_expires_at": given}));
        assert_eq!(
            secret_expires_at(members.members()),
            (expected, None),
            "{given}"
        );
    }
    for given in [
        json!(-1),
        json!("in a year"),
        json!("2027-01-15"),
        json!(true),
        json!([1]),
    ] {
        let members = metadata(json!({"client_secret_expires_at": given}));
        let (expires_at, warning) = secret_expires_at(members.members());
        assert!(expires_at == 0 && warning.is_some(), "{given}");
    }
}

#[test]
fn scopes_are_sets_in_either_form() {
    let expected = Some(BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    assert_eq!(metadata(json!({"scope": "b  a b"})).scopes(), expected);
    assert_eq!(metadata(json!({"scope": ["a", "b"]})).scopes(), expected);
    assert_eq!(metadata(json!({"scope": 7})).scopes(), None);
    assert_eq!(metadata(json!({})).scopes(), None);
}

#[test]
fn order_and_silence_are_no_difference() {
    let wanted = wanted(&["a", "b"]);
    assert_eq!(differences(&wanted, &metadata(json!({"scope": "b a"}))), []);
    assert_eq!(differences(&wanted, &metadata(json!({}))), []);
    assert_eq!(differences(&wanted, &Metadata::assumed(&wanted)), []);
}

#[test]
fn a_grant_type_that_is_missing_is_named() {
    let granted = metadata(json!({"grant_types": ["authorization_code"]}));
    let found = differences(&wanted(&[]), &granted);
    let consequence = &found[0].consequence;
    assert!(
        consequence.contains("this client cannot use client_credentials"),
        "{consequence}"
    );
}

#[test]
fn every_difference_says_what_it_means() {
    let granted = metadata(json!({
        "scope": "a c",
        "grant_types": ["client_credentials", "refresh_token"],
        "response_types": ["none"],
        "redirect_uris": [],
        "token_endpoint_auth_method": "client_secret_post",
        "client_secret_expires_at": 1_800_000_000,
    }));
    let found = differences(&wanted(&["a", "b"]), &granted);
    let members: Vec<_> = found.iter().map(|d| d.member.as_str()).collect();
    assert_eq!(
        members,
        [
            "scope",
            "grant_types",
            "response_types",
            "token_endpoint_auth_method",
            "client_secret_expires_at"
        ]
    );
    assert_eq!(
        (found[0].asked.as_str(), found[0].granted.as_str()),
        ("a b", "a c")
    );
    assert!(
        found[0].consequence.contains("refused") && found[0].consequence.contains("more scopes")
    );
    assert!(
        found[1]
            .consequence
            .contains("also allows the added grant types")
    );
}
