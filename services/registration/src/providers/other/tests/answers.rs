//! What servers answer, and leave out of their answers: all that RFC 7591 and 7592 make optional, and what real ones
//! do beside that. Each group names where it was seen.

use serde_json::{Map, Value, json};

use super::*;
use crate::providers::Method;
use crate::providers::double::{Fixture, Reply, Seen, ids, reply, set, wanted};

async fn register(fixture: &Fixture, scopes: &[&str]) -> Result<RegisteredClient, Failure> {
    let prepared = Other.prepare(fixture.site(), &wanted(scopes), &ids())?;
    Other.register(&fixture.session(), &prepared).await
}

fn members(seen: &Seen) -> Map<String, Value> {
    seen.json().as_object().unwrap().clone()
}

fn token_answers(there: bool) -> Reply {
    match there {
        true => reply(200, json!({"access_token": "t"})),
        false => reply(401, json!({"error": "invalid_client"})),
    }
}

/// The status, the type of the body, and members that nobody asked for decide nothing.
#[tokio::test]
async fn a_client_is_read_from_whatever_holds_it() {
    let body = json!({
        "client_id": "c1", "client_secret": "s1", "jwks": {}, "contacts": null, "owner": "", "metadata": {"a": [1]},
        "lifespan": null, "created_at": "2026-01-01T00:00:00Z", "scope": "b a",
    });
    let types = [
        "application/json",
        "application/json;charset=UTF-8",
        "text/plain",
        "",
    ];
    for status in [200, 201, 202] {
        for kind in types {
            let body = body.to_string();
            let headers = Vec::from_iter((!kind.is_empty()).then(|| ("content-type", kind.into())));
            let fixture =
                Fixture::start(move |_| Reply(status, headers.clone(), body.clone())).await;
            let registered = register(&fixture, &["a", "b"]).await.unwrap();
            assert_eq!(registered.client_id, "c1");
            assert_eq!(registered.client_secret, Some(Secret::new("s1")));
            let found = Other.differences(&wanted(&["a", "b"]), &registered.granted);
            assert_eq!(found, [], "{status} {kind}");
            assert!(registered.warnings.is_empty());
        }
    }
}

/// All of RFC 7592 is optional, and a client cannot be managed with a half of it.
#[tokio::test]
async fn a_half_of_the_way_to_management_is_none() {
    for more in [
        json!({}),
        json!({"registration_access_token": "r"}),
        json!({"registration_client_uri": "/clients/c1"}),
        json!({"registration_client_uri": "http://127.0.0.2/c1", "registration_access_token": "r"}),
        json!({"registration_client_uri": "http://", "registration_access_token": "r"}),
    ] {
        let mut body = json!({"client_id": "c1", "client_secret": "s1"});
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        let fixture = Fixture::start(move |_| reply(201, body.clone())).await;
        let known = register(&fixture, &["a"])
            .await
            .unwrap()
            .into_known(set(&["a"]));
        let session = fixture.session();
        assert!(!Other.can_manage(&session, &known));
        for failure in [
            Other.read(&session, &known).await.unwrap_err(),
            Other
                .update(&session, &known, &wanted(&[]))
                .await
                .unwrap_err(),
            Other.delete(&session, &known).await.unwrap_err(),
        ] {
            assert_eq!(failure.code, "client_unmanageable");
            assert_eq!(failure.disposition, Disposition::Unmanageable);
        }
        assert_eq!(fixture.server.seen().len(), 1, "nothing is asked in vain");
    }
}

#[tokio::test]
async fn the_end_of_the_secret_may_be_absent_or_a_text() {
    for (given, expected) in [
        (None, 0),
        (Some(json!(0)), 0),
        (Some(json!(null)), 0),
        (Some(json!("1800000000")), 1_800_000_000),
        (Some(json!(1_800_000_000)), 1_800_000_000),
    ] {
        let mut body = json!({"client_id": "c1", "client_secret": "s1"});
        if let Some(given) = given {
            body["client_secret_expires_at"] = given;
        }
        let fixture = Fixture::start(move |_| reply(201, body.clone())).await;
        let registered = register(&fixture, &["a"]).await.unwrap();
        assert_eq!(registered.client_secret_expires_at, expected);
        let found = Other.differences(&wanted(&["a"]), &registered.granted);
        assert_eq!(found.len(), usize::from(expected != 0));
    }
}

/// An empty scope is refused as a malformed member (Spring Authorization Server) or as a scope; absent means none, or
/// what the provider chooses, which is shown then.
#[tokio::test]
async fn an_empty_scope_is_left_out_where_it_is_refused() {
    let refusals = [
        (
            "invalid_request",
            "An error occurred reading the OpenID Client Registration: scope cannot be empty",
        ),
        ("invalid_client_metadata", "Invalid claim: 'scope'"),
        ("invalid_client_metadata", ""),
    ];
    for (error, description) in refusals {
        let fixture = Fixture::start(move |seen| match members(seen).get("scope") {
            Some(scope) if scope == "" => reply(
                400,
                json!({"error": error, "error_description": description}),
            ),
            _ => reply(
                200,
                json!({"client_id": "c1", "client_secret": "s1", "scope": "openid"}),
            ),
        })
        .await;
        let registered = register(&fixture, &[]).await.unwrap();
        let found = Other.differences(&wanted(&[]), &registered.granted);
        assert_eq!(
            (found[0].member.as_str(), found[0].granted.as_str()),
            ("scope", "openid")
        );
        let session = fixture.session();
        let mut known = fixture.known();
        let shrunk = Other.update(&session, &known, &wanted(&[])).await;
        assert!(shrunk.is_err(), "absent could mean as before: {shrunk:?}");
        known.scopes.clear();
        let updated = Other.update(&session, &known, &wanted(&[])).await;
        assert!(updated.is_ok(), "{updated:?}");
    }
}

/// What a server says of a client and refuses to hear again: its own nulls (Canaille), or members in words that nobody
/// knows.
#[tokio::test]
async fn an_update_does_not_fail_for_what_nobody_wants() {
    let told = json!({
        "client_id": "c1", "subject_type": "public", "jwks": null, "owner": "", "x": {},
    });
    let fixture = Fixture::start(move |seen| {
        let sent = members(seen);
        if sent.is_empty() {
            return reply(200, told.clone());
        }
        let unwanted = sent.iter().find(|(name, value)| {
            value.is_null() || [json!(""), json!({})].contains(value) || *name == "subject_type"
        });
        match unwanted {
            Some((name, _)) => reply(
                400,
                json!({"error": "invalid_client_metadata", "error_description": format!("Invalid claim: '{name}'")}),
            ),
            None => reply(200, json!({"client_id": "c1", "scope": "b"})),
        }
    })
    .await;
    Other
        .update(&fixture.session(), &fixture.known(), &wanted(&["b"]))
        .await
        .unwrap();
    assert_eq!(
        fixture.server.seen().len(),
        3,
        "a read, and once more for the member, not for nulls"
    );
}

/// Whether the token of management stays, is replaced, or is not in the answer, the next call works; an answer without
/// a body is looked up.
#[tokio::test]
async fn an_update_is_understood_however_it_is_answered() {
    let table = [
        (
            200,
            json!({"client_id": "c1", "registration_access_token": "rat2"}),
            "rat2",
        ),
        (
            200,
            json!({"client_id": "c1", "registration_access_token": null}),
            "rat1",
        ),
        (200, json!({"client_id": "c1"}), "rat1"),
        (202, json!({"client_id": "c1", "scope": ["b"]}), "rat1"),
        (200, json!(null), "rat1"),
        (204, json!(null), "rat1"),
    ];
    for (status, answer, token) in table {
        let fixture = Fixture::start(move |seen| match seen.method.as_str() {
            "PUT" if answer.is_null() => Reply(status, vec![], String::new()),
            "PUT" => reply(status, answer.clone()),
            _ => reply(200, json!({"client_id": "c1", "scope": "b"})),
        })
        .await;
        let known = fixture.known();
        let updated = Other
            .update(&fixture.session(), &known, &wanted(&["b"]))
            .await
            .unwrap();
        let known = updated.merge_into(known, set(&["b"]));
        assert_eq!(known.registration_access_token, Some(Secret::new(token)));
        assert_eq!(known.client_secret, Some(Secret::new("s1")));
        Other.read(&fixture.session(), &known).await.unwrap();
        let seen = fixture.server.seen();
        assert_eq!(
            seen.last().unwrap().authorization(),
            format!("Bearer {token}")
        );
    }
}

/// A deletion that was answered with this, of a client that is still there or is not.
#[tokio::test]
async fn only_a_definite_answer_says_that_a_client_is_gone() {
    let gone = Ok(Deleted::AlreadyGone);
    let perhaps = || Err("client_perhaps_gone".to_owned());
    let unsupported = || Err("deletion_unsupported".to_owned());
    let refused = || Err("registration_access_token_refused".to_owned());
    for (status, body, there, expected) in [
        (200, "", true, Ok(Deleted::Deleted)),
        (202, "", true, Ok(Deleted::Deleted)),
        (204, "", true, Ok(Deleted::Deleted)),
        (200, "{}", false, Ok(Deleted::Deleted)),
        (400, r#"{"error":"access_denied"}"#, false, perhaps()),
        (400, r#"{"error":"access_denied"}"#, true, refused()),
        (400, r#"{"error":"invalid_token"}"#, true, refused()),
        (401, "", false, perhaps()),
        (403, "", false, perhaps()),
        (401, "", true, refused()),
        (403, "", true, refused()),
        (404, "", false, perhaps()),
        (405, "", false, perhaps()),
        (404, "", true, unsupported()),
        (405, "", true, unsupported()),
        (410, "", false, gone),
        (501, "", true, unsupported()),
    ] {
        let fixture = Fixture::start(move |seen: &Seen| match seen.target.as_str() {
            "/token" => token_answers(there),
            _ => Reply(status, vec![], body.to_owned()),
        })
        .await;
        let deleted = Other.delete(&fixture.session(), &fixture.known()).await;
        let deleted = deleted.map_err(|failure| failure.code);
        assert_eq!(deleted, expected, "{status} {body} {there}");
    }
}

/// Who does not say how the client authenticates may have taken the way that was asked for.
#[tokio::test]
async fn a_client_is_not_gone_because_its_secret_belongs_into_the_body() {
    let fixture = Fixture::start(|seen: &Seen| match seen.target.as_str() {
        "/token" => token_answers(seen.authorization().is_empty()),
        _ => Reply(404, vec![], String::new()),
    })
    .await;
    let known = fixture.known();
    assert_eq!(known.granted.text("token_endpoint_auth_method"), None);
    let failure = Other.delete(&fixture.session(), &known).await.unwrap_err();
    assert_eq!(failure.code, "deletion_unsupported");
}

/// Management credentials go the way that the well-known document names, where it names one only.
#[tokio::test]
async fn the_portal_authenticates_as_the_document_says() {
    let mut fixture = Fixture::start(|seen: &Seen| match seen.target.as_str() {
        "/token" => token_answers(seen.authorization().is_empty()),
        _ => reply(201, json!({"client_id": "c1"})),
    })
    .await
    .with_management("portal", "secret");
    fixture.endpoints.auth_methods_supported = vec!["client_secret_post".into(), "none".into()];
    let mut client = wanted(&["a"]);
    client.token_endpoint_auth_method = "client_secret_post".into();
    let prepared = Other.prepare(fixture.site(), &client, &ids()).unwrap();
    Other.register(&fixture.session(), &prepared).await.unwrap();
}

/// A token that may not register, an endpoint that is not there: nothing is said of a client that nobody has yet.
#[tokio::test]
async fn a_refused_registration_says_what_is_refused() {
    use Disposition::{Fail, PauseProvider};
    let ways = [
        (Method::InitialAccessToken, "initial_access_token_refused"),
        (Method::ApiToken, "api_token_refused"),
        (Method::ClientCredentials, "management_credentials_refused"),
        (Method::None, "initial_access_token_missing"),
    ];
    for (method, refused) in ways {
        for (status, body, code, disposition) in [
            (401, "", refused, PauseProvider),
            (400, r#"{"error":"access_denied"}"#, refused, PauseProvider),
            (
                403,
                r#"{"error":"insufficient_scope"}"#,
                refused,
                PauseProvider,
            ),
            (404, "", "http_404", Fail),
            (405, "", "http_405", Fail),
        ] {
            let mut fixture = Fixture::start(move |seen: &Seen| match seen.target.as_str() {
                "/token" => token_answers(true),
                _ => Reply(status, vec![], body.to_owned()),
            })
            .await;
            if method == Method::ClientCredentials {
                fixture = fixture.with_management("portal", "secret");
            }
            fixture.method = method;
            let failure = register(&fixture, &["a"]).await.unwrap_err();
            let found = (failure.code.as_str(), failure.disposition);
            assert_eq!(found, (code, disposition), "{method} {status}");
        }
    }
}

/// A token of the provider's administration goes as any other bearer.
#[tokio::test]
async fn an_api_token_registers() {
    let mut fixture = Fixture::start(|_| reply(201, json!({"client_id": "c1"}))).await;
    fixture.method = Method::ApiToken;
    register(&fixture, &["a"]).await.unwrap();
    let seen = fixture.server.seen();
    assert_eq!(seen[0].authorization(), "Bearer initial-token");
    assert_eq!(seen[0].headers["accept"], "application/json");
    assert_eq!(seen[0].headers["content-type"], "application/json");
}

/// Which of two members of one name counts is not known, and neither is what the other one tells (RFC 8259 section 4).
#[tokio::test]
async fn an_answer_with_two_members_of_one_name_is_not_taken() {
    let twice = r#"{"client_id": "c1", "client_secret": "first-secret", "client_secret": "second-secret",
                    "software_version": "first-secret"}"#;
    let fixture = Fixture::start(move |_| Reply(201, vec![], twice.into())).await;
    let failure = register(&fixture, &["a"]).await.unwrap_err();
    assert_eq!(
        (failure.code.as_str(), failure.outcome_unknown),
        ("provider_answer_invalid", true)
    );
    assert!(failure.description.contains("two members"), "{failure}");
    let unread = failure.unread.unwrap();
    assert!(!unread.contains("-secret"), "{unread}");
}

#[tokio::test]
async fn a_list_of_no_known_form_is_warned_of() {
    let body = json!({
        "client_id": "c1", "client_secret": "s1", "scope": {"b": 2}, "grant_types": {"a": 1}, "response_types": null,
    });
    let fixture = Fixture::start(move |_| reply(201, body.clone())).await;
    let registered = register(&fixture, &["a"]).await.unwrap();
    assert_eq!(
        registered.warnings,
        [
            "scope, grant_types: neither a text nor an array, so it is not known what the provider granted"
        ]
    );
}
