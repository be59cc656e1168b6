//! The connection test: what an admin sees before and after saving a provider.

use std::time::Duration;

use serde_json::Value;
use strum::IntoStaticStr;
use url::Url;

use super::discovery::{DiscoveryError, Endpoints, Overrides, discover};
use super::session::{Fetch, Session};
use super::{Driver, Tried, keys};

/// Result of one step of the connection test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Passed,
    /// The provider cannot be used like this.
    Failed,
    /// Not tried.
    Skipped,
    /// It can be used, but look at the detail.
    Warning,
}

impl Outcome {
    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One step of the connection test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckStep {
    /// `discovery`, `issuer`, `registration_endpoint`, `token_endpoint`, `jwks`, `scopes`, `authorization` or `tls`.
    pub name: &'static str,
    /// Result of the step.
    pub outcome: Outcome,
    /// Explanation for the admin.
    pub detail: String,
}

/// The steps, in the order in which they are taken.
const STEPS: [&str; 6] = [
    "discovery",
    "issuer",
    "registration_endpoint",
    "token_endpoint",
    "jwks",
    "scopes",
];

const NO_KEYS: &str = "the document has no jwks_uri: clients can be registered, but gateways that check tokens by \
                       their signature cannot check this provider's";
const NO_KID: &str = "no signing key has a kid: clients can be registered, but gateways that find a key by its kid \
                      cannot check this provider's tokens";

/// What the connection test found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// All steps.
    pub steps: Vec<CheckStep>,
    /// Endpoints, where the document was accepted.
    pub endpoints: Option<Endpoints>,
    /// Error of discovery, where the document was refused.
    pub error: Option<DiscoveryError>,
}

impl Check {
    /// Whether the provider can be used.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.steps
            .iter()
            .all(|step| step.outcome != Outcome::Failed)
    }
}

impl CheckStep {
    pub(crate) fn new(name: &'static str, outcome: Outcome, detail: impl Into<String>) -> Self {
        Self {
            name,
            outcome,
            detail: detail.into(),
        }
    }
}

/// Whether the portal may register. `missing` is what the settings lack.
pub async fn authorization(
    driver: &dyn Driver,
    session: &Session<'_>,
    missing: Option<String>,
) -> CheckStep {
    let (outcome, detail) = match missing {
        Some(missing) => (Outcome::Failed, missing),
        None => match driver.try_authorization(session).await {
            Ok(Tried::Accepted(found)) => (Outcome::Passed, found),
            Ok(Tried::NotTried(why)) => (Outcome::Skipped, why),
            Err(failure) => (Outcome::Failed, failure.to_string()),
        },
    };
    CheckStep::new("authorization", outcome, detail)
}

/// Whether the provider is who it says it is.
#[must_use]
pub fn tls(fetch: Fetch<'_>, well_known_url: &str) -> CheckStep {
    let (outcome, detail) = match (fetch.skip_tls_verify, fetch.trusted_certificates.is_empty()) {
        _ if !has_tls(well_known_url) => (
            Outcome::Warning,
            "the provider is reached without TLS: anybody in between can read and change everything",
        ),
        (true, _) => (
            Outcome::Warning,
            "the certificate is not verified: anybody in between can read and change everything",
        ),
        (false, true) => (
            Outcome::Passed,
            "certificates are verified by the system's authorities",
        ),
        (false, false) => (
            Outcome::Passed,
            "certificates are verified by the system's authorities and those of this provider",
        ),
    };
    CheckStep::new("tls", outcome, detail)
}

fn has_tls(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "https")
}

/// Tests a provider without registering anything.
pub async fn check(fetch: Fetch<'_>, well_known_url: &str, overrides: Overrides<'_>) -> Check {
    let endpoints = match discover(fetch, well_known_url, overrides).await {
        Ok(endpoints) => endpoints,
        Err(error) => {
            return Check {
                steps: failed_at(&error),
                endpoints: None,
                error: Some(error),
            };
        }
    };
    let (jwks_outcome, jwks_detail) = match &endpoints.jwks_uri {
        Some(url) => signing_keys(fetch, url).await,
        None => (Outcome::Warning, NO_KEYS.to_owned()),
    };
    let scopes = match endpoints.scopes_supported.len() {
        0 => (
            Outcome::Warning,
            "the document does not list the provider's scopes, so they cannot be compared"
                .to_owned(),
        ),
        count => (Outcome::Passed, format!("{count} scopes are announced")),
    };
    let passed = |name, detail: &str| CheckStep::new(name, Outcome::Passed, detail);
    let steps = vec![
        passed("discovery", "the well-known document was read"),
        passed("issuer", &endpoints.issuer),
        passed(
            "registration_endpoint",
            endpoints.registration_endpoint.as_str(),
        ),
        passed("token_endpoint", endpoints.token_endpoint.as_str()),
        CheckStep::new("jwks", jwks_outcome, jwks_detail),
        CheckStep::new("scopes", scopes.0, scopes.1),
    ];
    Check {
        steps,
        endpoints: Some(endpoints),
        error: None,
    }
}

/// Steps before the one that failed passed, those after it were not tried.
fn failed_at(error: &DiscoveryError) -> Vec<CheckStep> {
    let failed = match error {
        DiscoveryError::IssuerMismatch { .. } => "issuer",
        DiscoveryError::RegistrationEndpointMissing => "registration_endpoint",
        DiscoveryError::EndpointMissing(member)
        | DiscoveryError::EndpointInvalid(member)
        | DiscoveryError::EndpointForeignOrigin { member, .. } => match *member {
            "jwks_uri" => "jwks",
            member => member,
        },
        _ => "discovery",
    };
    let mut outcome = Outcome::Passed;
    let mut steps = Vec::new();
    for name in STEPS {
        let detail = if name == failed {
            outcome = Outcome::Failed;
            error.to_string()
        } else {
            String::new()
        };
        steps.push(CheckStep::new(name, outcome, detail));
        if outcome == Outcome::Failed {
            outcome = Outcome::Skipped;
        }
    }
    steps
}

/// How many keys the provider signs with (RFC 7517 section 5), and what is wrong with others. Clients are registered
/// without them; gateways need them, and find a key by its `kid`.
async fn signing_keys(fetch: Fetch<'_>, jwks_uri: &Url) -> (Outcome, String) {
    let (status, body) = match fetch.get(jwks_uri, Duration::from_secs(10)).await {
        Ok(answer) => answer,
        Err(error) => return (Outcome::Failed, error.to_string()),
    };
    let document: Option<Value> = serde_json::from_slice(&body).ok().filter(|_| status == 200);
    let keys = document
        .as_ref()
        .and_then(|document| document.get("keys")?.as_array());
    let Some(keys) = keys else {
        let why = format!("the jwks_uri answers status {status} without a key set");
        return (Outcome::Failed, why);
    };
    let (usable, problems) = keys::check(keys);
    let named = usable.iter().filter(|key| key.get("kid").is_some()).count();
    let found = format!("{} signing keys", usable.len());
    match (usable.len(), named, problems.is_empty()) {
        (_, _, false) => (
            Outcome::Warning,
            format!("{found}; {}", problems.join("; ")),
        ),
        (0, _, true) => (Outcome::Warning, "the key set has no signing key".into()),
        (_, 0, true) => (Outcome::Warning, NO_KID.to_owned()),
        (_, _, true) => (Outcome::Passed, found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::double::{Reply, Seen, Server, outgoing, reply};
    use serde_json::json;

    const PATH: &str = "/.well-known/openid-configuration";

    fn key(more: Value) -> Value {
        let mut key = keys::tests::rsa();
        key.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        key
    }

    async fn run(url: &str) -> Check {
        let outgoing = outgoing();
        check(
            Fetch {
                outgoing: &outgoing,
                skip_tls_verify: false,
                trusted_certificates: "",
            },
            url,
            Overrides::default(),
        )
        .await
    }

    /// A provider whose key set and scopes are these.
    async fn provider(keys: Value, scopes: Value) -> Server {
        Server::start(move |seen: &Seen| {
            let base = format!("http://{}", seen.headers["host"].to_str().unwrap());
            match seen.target.as_str() {
                PATH => reply(
                    200,
                    json!({
                        "issuer": base, "registration_endpoint": format!("{base}/r"),
                        "token_endpoint": format!("{base}/t"), "jwks_uri": format!("{base}/k"),
                        "scopes_supported": scopes,
                    }),
                ),
                _ => reply(200, json!({"keys": keys})),
            }
        })
        .await
    }

    fn outcomes(check: &Check) -> Vec<&'static str> {
        check
            .steps
            .iter()
            .map(|step| step.outcome.as_str())
            .collect()
    }

    #[tokio::test]
    async fn a_sound_provider_passes() {
        let server = provider(
            json!([
                key(json!({"kid": "1", "use": "sig"})),
                key(json!({"kid": "2", "use": "enc"}))
            ]),
            json!(["a"]),
        )
        .await;
        let check = run(server.url(PATH).as_str()).await;
        assert_eq!(outcomes(&check), ["passed"; 6]);
        assert_eq!(check.steps[4].detail, "1 signing keys");
        assert!(check.ok() && check.endpoints.is_some());
    }

    #[tokio::test]
    async fn what_does_not_hinder_is_a_warning() {
        let server = provider(json!([key(json!({"kid": "1"}))]), json!([])).await;
        let check = run(server.url(PATH).as_str()).await;
        assert_eq!(check.steps[5].outcome, Outcome::Warning);
        assert!(check.ok());
    }

    #[tokio::test]
    async fn keys_that_no_gateway_can_use_do_not_hinder_registration() {
        let (unnamed, other) = (key(json!({"use": "sig"})), key(json!({"use": "enc"})));
        let shared = json!({"kty": "oct", "kid": "1", "k": "c2VjcmV0"});
        for keys in [json!([unnamed]), json!([]), json!([other]), json!([shared])] {
            let server = provider(keys, json!(["a"])).await;
            let check = run(server.url(PATH).as_str()).await;
            assert_eq!(check.steps[4].outcome, Outcome::Warning);
            assert!(check.ok());
        }
    }

    #[tokio::test]
    async fn a_document_without_a_key_set_is_taken_with_a_warning() {
        let server = Server::start(|seen: &Seen| {
            let base = format!("http://{}", seen.headers["host"].to_str().unwrap());
            let endpoint = format!("{base}/r");
            reply(
                200,
                json!({"issuer": base, "registration_endpoint": endpoint, "token_endpoint": endpoint}),
            )
        })
        .await;
        let check = run(server.url(PATH).as_str()).await;
        assert_eq!(outcomes(&check)[4..], ["warning", "warning"]);
        assert!(check.steps[4].detail.contains("jwks_uri"));
        assert!(check.ok());
    }

    #[tokio::test]
    async fn a_key_set_that_cannot_be_read_fails() {
        let server = provider(json!("none"), json!(["a"])).await;
        let check = run(server.url(PATH).as_str()).await;
        assert_eq!(check.steps[4].outcome, Outcome::Failed);
    }

    #[tokio::test]
    async fn what_cannot_be_read_stops_the_test_there() {
        let page = Reply(
            200,
            vec![("content-type", "text/html".into())],
            "<html>".into(),
        );
        let html = Server::start(move |_| page.clone()).await;
        let missing = Server::start(|_| reply(404, json!({}))).await;
        let redirect =
            Server::start(|_| Reply(302, vec![("location", "/x".into())], String::new())).await;
        let other =
            Server::start(|_| reply(200, json!({"issuer": "https://elsewhere.example"}))).await;
        let skipped = "skipped";
        for (url, code, first) in [
            (html.url(PATH), "well_known_not_json", "failed"),
            (missing.url(PATH), "well_known_status", "failed"),
            (redirect.url(PATH), "well_known_status", "failed"),
            (other.url(PATH), "issuer_mismatch", "passed"),
            (other.url("/"), "well_known_url_invalid", "failed"),
        ] {
            let check = run(url.as_str()).await;
            assert_eq!(check.error.as_ref().unwrap().code(), code);
            let second = if first == "passed" { "failed" } else { skipped };
            assert_eq!(
                outcomes(&check),
                [first, second, skipped, skipped, skipped, skipped]
            );
        }
    }

    #[tokio::test]
    async fn an_address_that_may_not_be_called_is_told_from_one_that_does_not_answer() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let free = listener.local_addr().unwrap();
        drop(listener);
        for (host, code) in [
            (free.to_string(), "well_known_unreachable"),
            ("10.255.255.1".to_owned(), "well_known_address_forbidden"),
        ] {
            let check = run(&format!("http://{host}{PATH}")).await;
            assert_eq!(check.error.unwrap().code(), code, "{host}");
        }
    }
}
