//! Against servers that keep to the RFCs and demand, refuse or leave out what others do not. Each is a behaviour that
//! the documentation or the source of a real one tells of; none is that server.

use serde_json::{Map, Value, json};

use super::*;
use crate::providers::double::{Fixture, Reply, Seen, ids, reply, set, wanted};
use crate::providers::rfc7591::UNUSED_REDIRECT;

async fn register(fixture: &Fixture) -> Result<RegisteredClient, Failure> {
    let prepared = Other.prepare(fixture.site(), &wanted(&["a", "b"]), &ids())?;
    Other.register(&fixture.session(), &prepared).await
}

fn refuse(description: &str) -> Reply {
    reply(
        400,
        json!({"error": "invalid_client_metadata", "error_description": description}),
    )
}

fn members(seen: &Seen) -> Map<String, Value> {
    seen.json().as_object().unwrap().clone()
}

/// What was asked for, with these members on top.
fn granted(seen: &Seen, more: Value) -> Reply {
    let mut body = members(seen);
    body.insert("client_id".into(), "c1".into());
    body.extend(more.as_object().unwrap().clone());
    reply(201, Value::Object(body))
}

/// `response_types` is `code` where it is absent, and then the grant type must fit (node oidc-provider).
#[tokio::test]
async fn empty_lists_are_given_where_their_absence_means_code() {
    let fixture = Fixture::start(|seen| match members(seen).get("response_types") {
        None => refuse(
            "grant_types must contain 'authorization_code' when code is amongst response_types",
        ),
        Some(_) => granted(seen, json!({"client_secret": "s1"})),
    })
    .await;
    let registered = register(&fixture).await.unwrap();
    let sent = members(fixture.server.seen().last().unwrap());
    assert_eq!(sent["response_types"], json!([]));
    assert_eq!(sent["redirect_uris"], json!([]));
    // And it is demanded again by every update.
    let mut known = registered.into_known(set(&["a", "b"]));
    known.registration_client_uri = Some(fixture.server.url("/manage"));
    known.registration_access_token = Some(Secret::new("rat"));
    let updated = Other
        .update(&fixture.session(), &known, &wanted(&["a"]))
        .await;
    assert_eq!(updated.unwrap().granted.scopes(), Some(set(&["a"])));
    let sent = fixture.server.seen();
    let puts = sent.iter().filter(|seen| seen.method == "PUT");
    assert_eq!(puts.count(), 1, "taken at once");
}

/// Redirect URLs are mandatory even for clients that never redirect (Spring Authorization Server).
#[tokio::test]
async fn a_redirect_url_that_leads_nowhere_is_given_where_one_is_demanded() {
    let fixture = Fixture::start(|seen| {
        let redirects = members(seen).get("redirect_uris").cloned();
        match redirects.as_ref().and_then(Value::as_array) {
            Some(list) if !list.is_empty() => granted(seen, json!({"client_secret": "s1"})),
            _ => reply(400, json!({"error": "invalid_redirect_uri"})),
        }
    })
    .await;
    let registered = register(&fixture).await.unwrap();
    let uris = registered.granted.list("redirect_uris").unwrap();
    assert_eq!(uris, set(&[UNUSED_REDIRECT]));
    let found = Other.differences(&wanted(&["a", "b"]), &registered.granted);
    assert_eq!(found.len(), 1, "it is shown: {found:?}");
    assert_eq!(found[0].member, "redirect_uris");
    let known = registered.into_known(set(&["a", "b"]));
    let body = crate::providers::rfc7591::update_body(
        &known,
        crate::client_metadata::for_update(known.granted.members()),
        &wanted(&["a"]),
    );
    assert_eq!(body["redirect_uris"], json!([UNUSED_REDIRECT]));
}

/// Both at once, in the words of Spring Authorization Server: what is absent is demanded, and what is empty is refused.
#[tokio::test]
async fn a_redirect_url_alone_is_given_where_empty_response_types_are_refused() {
    let fixture = Fixture::start(|seen| {
        let body = members(seen);
        let is_empty = |member: &str| body.get(member).is_some_and(|list| *list == json!([]));
        let empty = ["response_types", "redirect_uris"].into_iter().find(|member| is_empty(member));
        match (empty, body.contains_key("redirect_uris")) {
            (Some(member), _) => reply(
                400,
                json!({"error": "invalid_request", "error_description": format!("{member} cannot be empty")}),
            ),
            (None, false) => reply(
                400,
                json!({"error": "invalid_redirect_uri", "error_description": "redirect_uris is missing"}),
            ),
            (None, true) => granted(seen, json!({"client_secret": "s1"})),
        }
    })
    .await;
    let registered = register(&fixture).await.unwrap();
    let uris = registered.granted.list("redirect_uris").unwrap();
    assert_eq!(uris, set(&[UNUSED_REDIRECT]));
    assert_eq!(fixture.server.seen().len(), 3);
}

/// `response_types: []` is refused, so it is not sent unasked.
#[tokio::test]
async fn an_empty_list_is_not_sent_unless_it_is_demanded() {
    let fixture = Fixture::start(|seen| match members(seen).contains_key("response_types") {
        true => refuse("response_types must not be empty"),
        false => granted(seen, json!({"client_secret": "s1"})),
    })
    .await;
    register(&fixture).await.unwrap();
    assert_eq!(fixture.server.seen().len(), 1);
}

/// Names are unique (WSO2 Identity Server).
#[tokio::test]
async fn a_name_that_is_taken_gets_the_marker() {
    for status in [400, 409] {
        let fixture = Fixture::start(move |seen| {
            let body = members(seen);
            match body["client_name"] == "Weather app" {
                true => reply(
                    status,
                    json!({"error": "invalid_client_metadata", "error_description": "Application with the name Weather app already exists"}),
                ),
                false => granted(seen, json!({"client_secret": "s1"})),
            }
        })
        .await;
        let registered = register(&fixture).await.unwrap();
        let known = registered.into_known(set(&[]));
        // An update keeps it, or the name would be taken again.
        let body = crate::providers::rfc7591::update_body(
            &known,
            crate::client_metadata::for_update(known.granted.members()),
            &wanted(&["a"]),
        );
        let marker = wanted(&[]).marker.to_string();
        assert_eq!(
            body["client_name"],
            json!(format!("Weather app [{marker}]"))
        );
    }
}

/// A refusal without any reason: what may be left out is left out, each once, and not for ever.
#[tokio::test]
async fn a_refusal_without_a_reason_ends_soon() {
    for body in ["", "Bad Request", "<html>no</html>", "{}"] {
        let fixture = Fixture::start(move |_| Reply(400, vec![], body.into())).await;
        let failure = register(&fixture).await.unwrap_err();
        assert_eq!(failure.disposition, Disposition::Fail);
        let sent = fixture.server.seen().len();
        assert!((2..=5).contains(&sent), "{sent} requests");
    }
}

/// A scope that is not known, in the words of a server that has no code for it.
#[tokio::test]
async fn a_refused_scope_is_not_asked_for_again_and_again() {
    let fixture = Fixture::start(|_| {
        refuse("scope must only contain Authorization Server supported scope values")
    })
    .await;
    let failure = register(&fixture).await.unwrap_err();
    assert_eq!(failure.code, "scope_unknown_at_provider");
    assert_eq!(fixture.server.seen().len(), 1);
}

/// A 500 may mean bad input, and may have made a client.
#[tokio::test]
async fn nothing_is_tried_after_an_answer_that_leaves_the_outcome_open() {
    let fixture = Fixture::start(|_| reply(500, json!({"error": "server_error"}))).await;
    assert!(register(&fixture).await.unwrap_err().outcome_unknown);
    assert_eq!(fixture.server.seen().len(), 1);
}

#[tokio::test]
async fn a_management_url_may_be_relative() {
    for (given, path) in [
        ("/clients/c1?x=1", "/clients/c1"),
        ("register/c1", "/register/c1"),
    ] {
        let fixture = Fixture::start(move |seen| {
            granted(
                seen,
                json!({"registration_client_uri": given, "registration_access_token": "r"}),
            )
        })
        .await;
        let registered = register(&fixture).await.unwrap();
        let uri = registered.registration_client_uri.unwrap();
        assert_eq!(uri.path(), path);
        assert!(registered.warnings.is_empty());
    }
}

/// A secret in an update is taken for a choice of it and refused (Ory Hydra), demanded, or may be there.
#[tokio::test]
async fn the_secret_is_in_an_update_unless_it_is_refused() {
    let hydra = Fixture::start(|seen| match members(seen).contains_key("client_secret") {
        true => reply(
            403,
            json!({"error": "request_forbidden", "error_description": "It is not allowed to choose your own OAuth2 Client secret."}),
        ),
        false => granted(seen, json!({})),
    })
    .await;
    let update = Other
        .update(&hydra.session(), &hydra.known(), &wanted(&["b"]))
        .await;
    assert_eq!(update.unwrap().granted.scopes(), Some(set(&["b"])));
    let strict = Fixture::start(|seen| match members(seen).contains_key("client_secret") {
        true => granted(seen, json!({})),
        false => refuse("client_secret is missing"),
    })
    .await;
    let update = Other
        .update(&strict.session(), &strict.known(), &wanted(&["b"]))
        .await;
    assert!(update.is_ok());
    let sent = strict.server.seen();
    let puts = sent.iter().filter(|seen| seen.method == "PUT");
    assert_eq!(puts.count(), 1);
}

/// What stands for the secret in an answer to an update may be another secret, or only look like one.
#[tokio::test]
async fn a_secret_in_the_answer_to_an_update_is_tried_before_it_is_believed() {
    for (works, expected) in [("s1", None), ("$2y$hash", Some("$2y$hash"))] {
        let fixture = Fixture::start(move |seen: &Seen| match seen.target.as_str() {
            "/token" => {
                let pair = seen.authorization().strip_prefix("Basic ").unwrap();
                let known = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, pair);
                let known = String::from_utf8(known.unwrap()).unwrap();
                let encoded: String =
                    url::form_urlencoded::byte_serialize(works.as_bytes()).collect();
                match known.ends_with(&format!(":{encoded}")) {
                    true => reply(200, json!({"access_token": "t"})),
                    false => reply(401, json!({"error": "invalid_client"})),
                }
            }
            _ => granted(seen, json!({"client_secret": "$2y$hash"})),
        })
        .await;
        let update = Other
            .update(&fixture.session(), &fixture.known(), &wanted(&["b"]))
            .await;
        assert_eq!(
            update.unwrap().client_secret,
            expected.map(Secret::new),
            "{works}"
        );
    }
}

/// Members that the server said and does not take back.
#[tokio::test]
async fn an_update_says_only_what_is_wanted_where_more_is_refused() {
    let fixture = Fixture::start(|seen| match members(seen) {
        none if none.is_empty() => reply(200, json!({"client_id": "c1", "subject_type": "public"})),
        sent if sent.contains_key("subject_type") => refuse("subject_type must not be changed"),
        _ => granted(seen, json!({})),
    })
    .await;
    let update = Other
        .update(&fixture.session(), &fixture.known(), &wanted(&["b"]))
        .await;
    assert_eq!(update.unwrap().granted.scopes(), Some(set(&["b"])));
    let sent = members(fixture.server.seen().last().unwrap());
    assert_eq!(sent["client_id"], "c1");
    assert_eq!(sent["client_secret"], "s1");
}

/// A server without updates or deletions answers as if the client were not there, or as if the method were not.
#[tokio::test]
async fn what_a_server_does_not_offer_is_not_taken_for_a_missing_client() {
    for status in [404, 405, 501] {
        let fixture = Fixture::start(move |seen: &Seen| match seen.target.as_str() {
            "/token" => reply(200, json!({"access_token": "t"})),
            _ => Reply(status, vec![], String::new()),
        })
        .await;
        let (session, known) = (fixture.session(), fixture.known());
        let failure = Other
            .update(&session, &known, &wanted(&["b"]))
            .await
            .unwrap_err();
        assert_eq!(failure.code, "update_unsupported", "{status}");
        assert_eq!(failure.disposition, Disposition::Unmanageable);
        let failure = Other.delete(&session, &known).await.unwrap_err();
        assert_eq!(failure.code, "deletion_unsupported", "{status}");
        let failure = Other.read(&session, &known).await.unwrap_err();
        assert_eq!(failure.code, "read_unsupported", "{status}");
    }
}

/// Lists that are one text (IBM Security Verify Access), and numbers and nulls where texts should be.
#[tokio::test]
async fn members_of_another_shape_do_no_harm() {
    let fixture = Fixture::start(|_| {
        reply(
            200,
            json!({
                "client_id": "c1", "client_secret": "s1", "redirect_uris": "https://a.example", "scope": null,
                "grant_types": "client_credentials", "client_secret_expires_at": null, "client_name": 7,
                "registration_client_uri": null, "registration_access_token": "",
            }),
        )
    })
    .await;
    let registered = register(&fixture).await.unwrap();
    assert_eq!(
        registered.granted.list("grant_types"),
        Some(set(&["client_credentials"]))
    );
    assert_eq!(registered.client_secret_expires_at, 0);
    assert!(registered.registration_access_token.is_none());
}

/// A method that the well-known document does not name is refused before anything is sent.
#[tokio::test]
async fn an_authentication_method_that_is_not_offered_is_named() {
    let mut fixture = Fixture::start(|_| reply(500, json!({}))).await;
    fixture.endpoints.auth_methods_supported = vec!["client_secret_post".into()];
    let failure = register(&fixture).await.unwrap_err();
    assert_eq!(failure.code, "auth_method_unsupported");
    assert!(
        failure.description.contains("client_secret_post"),
        "{failure}"
    );
    assert_eq!(fixture.server.seen().len(), 0);
    let mut public = wanted(&["a"]);
    public.grant_types = set(&["authorization_code"]);
    public.token_endpoint_auth_method = "none".into();
    assert!(Other.prepare(fixture.site(), &public, &ids()).is_ok());
}

/// A token for one use that every request fetches anew.
#[tokio::test]
async fn each_request_has_a_fresh_token_and_asks_for_what_was_said() {
    let mut fixture = Fixture::start(|seen: &Seen| match seen.target.as_str() {
        "/token" => reply(200, json!({"access_token": "fresh"})),
        _ if members(seen).contains_key("software_id") => refuse("unknown member software_id"),
        _ => granted(seen, json!({"client_secret": "s1"})),
    })
    .await
    .with_management("portal", "secret");
    fixture.options.management_scope = "client.create".into();
    fixture.options.management_audience = "https://id.example".into();
    fixture.options.management_in_body = true;
    register(&fixture).await.unwrap();
    let seen = fixture.server.seen();
    let tokens: Vec<&Seen> = seen.iter().filter(|one| one.target == "/token").collect();
    assert_eq!(tokens.len(), 2);
    assert_eq!(tokens[0].authorization(), "");
    let form = String::from_utf8(tokens[0].body.to_vec()).unwrap();
    for part in [
        "scope=client.create",
        "audience=https%3A%2F%2Fid.example",
        "client_secret=secret",
    ] {
        assert!(form.contains(part), "{form}");
    }
}
