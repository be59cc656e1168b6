//! Documents that are right, wrong, and short.

use super::*;
use serde_json::json;

const URL: &str = "https://id.example/realms/r/.well-known/openid-configuration";

fn document() -> Value {
    json!({
        "issuer": "https://id.example/realms/r",
        "registration_endpoint": "https://id.example/realms/r/register",
        "token_endpoint": "https://id.example/realms/r/token",
        "jwks_uri": "https://id.example/realms/r/certs",
        "scopes_supported": ["openid", 7, "free_plan"],
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
    })
}

fn code(url: &str, document: &Value) -> &'static str {
    verify(url, document, Overrides::default())
        .unwrap_err()
        .code()
}

#[test]
fn takes_what_it_needs() {
    let endpoints = verify(URL, &document(), Overrides::default()).unwrap();
    assert_eq!(endpoints.issuer, "https://id.example/realms/r");
    assert_eq!(
        endpoints.token_endpoint.as_str(),
        "https://id.example/realms/r/token"
    );
    assert_eq!(endpoints.scopes_supported, ["openid", "free_plan"]);
    assert_eq!(endpoints.auth_methods_supported, ["client_secret_post"]);
    let text = serde_json::to_string(&endpoints).unwrap();
    assert_eq!(serde_json::from_str::<Endpoints>(&text).unwrap(), endpoints);
}

/// RFC 8414 section 2 makes all but the issuer and the token endpoint optional.
#[test]
fn needs_no_more_than_registration_and_tokens() {
    let mut document = json!({
        "issuer": "https://id.example/realms/r",
        "registration_endpoint": "https://id.example/register",
        "token_endpoint": "https://id.example/token",
    });
    for jwks_uri in [None, Some(Value::Null)] {
        if let Some(value) = jwks_uri {
            document["jwks_uri"] = value;
        }
        let endpoints = verify(URL, &document, Overrides::default()).unwrap();
        assert_eq!(endpoints.jwks_uri, None);
        assert!(endpoints.grant_types_supported.is_empty());
        let text = serde_json::to_string(&endpoints).unwrap();
        assert_eq!(serde_json::from_str::<Endpoints>(&text).unwrap(), endpoints);
    }
}

#[test]
fn knows_both_forms_of_the_url_and_a_trailing_slash() {
    for (url, issuer) in [
        (
            "https://id.example/.well-known/openid-configuration",
            "https://id.example/",
        ),
        (
            "https://id.example/.well-known/openid-configuration",
            "https://id.example",
        ),
        (
            "https://id.example/.well-known/oauth-authorization-server/a/b",
            "https://id.example/a/b",
        ),
        (
            "https://id.example/a/.well-known/oauth-authorization-server",
            "https://id.example/a",
        ),
        (
            "https://id.example/.well-known/openid-configuration/a",
            "https://id.example/a",
        ),
        (
            "https://id.example:8443/a/.well-known/openid-configuration",
            "https://id.example:8443/a",
        ),
    ] {
        let (_, found) = parse_url(url).unwrap();
        assert_eq!(
            found.trim_end_matches('/'),
            issuer.trim_end_matches('/'),
            "{url}"
        );
    }
}

#[test]
fn refuses_what_is_no_well_known_url() {
    for url in [
        "",
        "id.example",
        "ftp://id.example/.well-known/openid-configuration",
        "https://id.example/realms/r",
        "https://u:p@id.example/.well-known/openid-configuration",
        "https://id.example/.well-known/openid-configuration?a=1",
        "https://id.example/.well-known/openid-configuration#a",
        "https://id.example/.well-known/openid-configurations",
        "javascript:alert(1)//.well-known/openid-configuration",
    ] {
        assert_eq!(code(url, &document()), "well_known_url_invalid", "{url}");
    }
}

#[test]
fn names_what_is_wrong_with_the_document() {
    let with = |member: &str, value: Value| {
        let mut document = document();
        document[member] = value;
        document
    };
    let without = |member: &str| {
        let mut document = document();
        document.as_object_mut().unwrap().remove(member);
        document
    };
    let foreign = json!("https://evil.example/x");
    for (document, expected) in [
        (json!([]), "well_known_not_json"),
        (
            with("issuer", json!("https://id.example/realms/other")),
            "issuer_mismatch",
        ),
        (
            with("issuer", json!("http://id.example/realms/r")),
            "issuer_mismatch",
        ),
        (without("issuer"), "issuer_mismatch"),
        (
            without("registration_endpoint"),
            "registration_endpoint_missing",
        ),
        (
            with("registration_endpoint", Value::Null),
            "registration_endpoint_missing",
        ),
        (
            with("registration_endpoint", json!("nope")),
            "endpoint_missing",
        ),
        (without("token_endpoint"), "endpoint_missing"),
        (
            with("jwks_uri", json!("file:///etc/passwd")),
            "endpoint_missing",
        ),
        (
            with(
                "registration_endpoint",
                json!("https://u:pw@id.example/reg"),
            ),
            "endpoint_invalid",
        ),
        (
            with("jwks_uri", json!("https://u@id.example/keys")),
            "endpoint_invalid",
        ),
        (
            with("token_endpoint", json!("https://id.example/token#part")),
            "endpoint_invalid",
        ),
        (
            with("registration_endpoint", foreign.clone()),
            "endpoint_foreign_origin",
        ),
        (with("jwks_uri", foreign.clone()), "endpoint_foreign_origin"),
        (
            with("token_endpoint", json!("https://id.example:444/t")),
            "endpoint_foreign_origin",
        ),
    ] {
        assert_eq!(code(URL, &document), expected, "{document}");
    }
}

#[test]
fn an_admin_may_allow_an_origin() {
    let mut document = document();
    document["token_endpoint"] = json!("https://inner.example:8443/t");
    let overrides = Overrides {
        allowed_origins: &["https://inner.example:8443".into()],
        ..Overrides::default()
    };
    let endpoints = verify(URL, &document, overrides).unwrap();
    assert!(endpoints.trusts(&endpoints.token_endpoint));
    assert!(endpoints.trusts(&Url::parse("https://id.example/anything?q").unwrap()));
    assert!(!endpoints.trusts(&Url::parse("http://id.example/").unwrap()));
    assert!(!endpoints.trusts(&Url::parse("data:text/plain,x").unwrap()));
}

/// RFC 8414 section 2: the member is optional, also where clients can be registered.
#[test]
fn an_admin_may_say_where_clients_are_registered() {
    let told = |url: &str| Url::parse(url).unwrap();
    let verified = |document: &Value, url: &Url| {
        let overrides = Overrides {
            registration_endpoint: Some(url),
            ..Overrides::default()
        };
        verify(URL, document, overrides)
    };
    let url = told("https://id.example/oauth2/register");
    for value in [Value::Null, json!("nope"), json!("https://evil.example/x")] {
        let mut document = document();
        document["registration_endpoint"] = value;
        let endpoints = verified(&document, &url).unwrap();
        assert_eq!(endpoints.registration_endpoint, url);
        let text = serde_json::to_string(&endpoints).unwrap();
        let read: Endpoints = serde_json::from_str(&text).unwrap();
        assert_eq!(read.overrides().registration_endpoint, Some(&url));
    }
    let foreign = verified(&document(), &told("https://evil.example/register"));
    assert_eq!(foreign.unwrap_err().code(), "endpoint_foreign_origin");
}

/// The issuer is compared as a URL and kept as it is written, for the `iss` of tokens.
#[test]
fn an_issuer_may_be_spelled_otherwise_than_its_url() {
    for (url, issuer) in [
        ("https://ID.Example/realms/r", "https://id.example/realms/r"),
        ("https://id.example/realms/r", "https://ID.EXAMPLE/realms/r"),
        (
            "https://id.example:443/realms/r",
            "https://id.example/realms/r",
        ),
        (
            "https://id.example/realms/r",
            "https://id.example:443/realms/r/",
        ),
        ("HTTPS://id.example/realms/r", "https://id.example/realms/r"),
        (
            "https://id.example/x/../realms/r",
            "https://id.example/realms/./r",
        ),
    ] {
        let url = format!("{url}/.well-known/openid-configuration");
        let mut document = document();
        document["issuer"] = issuer.into();
        let endpoints = verify(&url, &document, Overrides::default()).unwrap();
        assert_eq!(endpoints.issuer, issuer, "{url}");
    }
    for issuer in [
        "https://id.example/realms/R",
        "https://id.example:8443/realms/r",
        "http://id.example/realms/r",
        "https://id.example/realms/r?x",
        "https://u@id.example/realms/r",
        "https://id.example/realms/r\0",
        "https://id.example/realms/r\n",
        "https://id.example/realms/r\t",
        "https://id.example/realms/r ",
        " https://id.example/realms/r",
        "https://id.example/real\nms/r",
        "https://id.example/realms/r//",
        "https:\\\\id.example/realms/r",
        "id.example/realms/r",
        "",
    ] {
        let mut document = document();
        document["issuer"] = issuer.into();
        assert_eq!(code(URL, &document), "issuer_mismatch", "{issuer}");
    }
}

#[test]
fn a_document_is_fresh_as_long_as_its_headers_say() {
    let date = ("date", "Fri, 06 Nov 2026 08:49:37 GMT");
    for (headers, seconds) in [
        (vec![], None),
        (vec![("cache-control", "public, max-age=600")], Some(600)),
        (
            vec![("cache-control", "max-age=600"), ("age", "60")],
            Some(540),
        ),
        (
            vec![("cache-control", "Max-Age=\"60\""), ("age", "600")],
            Some(0),
        ),
        (vec![("cache-control", "no-cache, max-age=600")], Some(0)),
        (vec![("cache-control", "no-store")], Some(0)),
        (
            vec![date, ("expires", "Fri, 06 Nov 2026 08:50:37 GMT")],
            Some(60),
        ),
        (
            vec![date, ("expires", "Fri, 06 Nov 2026 08:48:37 GMT")],
            Some(0),
        ),
        (vec![date, ("expires", "0")], None),
    ] {
        let headers: HeaderMap = headers
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        assert_eq!(
            fresh_for(&headers).map(|left| left.as_secs()),
            seconds,
            "{headers:?}"
        );
    }
}
