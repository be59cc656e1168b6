//! Calls to a control API: their deadline, the secret, and what comes of a refusal.

use std::collections::BTreeMap;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use portico_proto::null;
use portico_runtime::outgoing::{KnownSecrets, OutgoingError, OutgoingRequest, Peer, sanitized};
use portico_vault::Secret;
use serde_json::Value;
use url::Url;

use crate::gateways::{CreatedKey, Disposition, Failure, GatewaySession};

/// The code where a call got no answer.
pub(super) const UNREACHABLE: &str = "gateway_unreachable";

/// The gateway's own message is under `message`, the Dashboard's under `Message`.
const MESSAGES: [&str; 3] = ["message", "Message", "error"];
/// Characters of a key or its hash.
const KEY: usize = 8192;

/// Where to, and in which header the secret goes.
pub(super) struct Caller<'a> {
    pub(super) session: &'a GatewaySession<'a>,
    /// The first segment of every path.
    pub(super) root: &'static str,
    pub(super) header: &'static str,
}

impl Caller<'_> {
    /// Status, and the body where it is JSON.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: Option<&str>,
        body: Option<Value>,
    ) -> Result<(u16, Value), Failure> {
        let session = self.session;
        let reads = method == Method::GET;
        let mut request = OutgoingRequest::new(method, self.url(path, query));
        request.timeout = Some(session.deadline);
        let mut secret = HeaderValue::try_from(session.secret.expose()).map_err(|_| {
            let why = "the secret holds characters that no HTTP header can carry";
            Failure::fail("gateway_secret_malformed", why)
        })?;
        secret.set_sensitive(true);
        request.headers.insert(self.header, secret);
        if let Some(body) = body {
            let json = HeaderValue::from_static("application/json");
            request.headers.insert(CONTENT_TYPE, json);
            request.body = body.to_string().into();
        }
        let answer = session
            .outgoing
            .to(Peer::Gateway("tyk"))
            .send(request)
            .await
            .map_err(|error| unreachable(&error))?;
        let mut body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        if !answer.status.is_success() {
            let secrets = KnownSecrets::new([session.secret.expose()]);
            for member in MESSAGES {
                if let Some(Value::String(message)) = body.get_mut(member) {
                    *message = sanitized(message, &secrets);
                }
            }
        } else if let Some(path) = null::in_json(&body).filter(|_| reads) {
            let why = format!("the gateway answered with the character U+0000 in `{path}`");
            return Err(invalid(&sanitized(&why, &KnownSecrets::default())));
        }
        Ok((answer.status.as_u16(), body))
    }

    fn url(&self, path: &[&str], query: Option<&str>) -> Url {
        let mut url = self.session.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(self.root).extend(path);
        }
        url.set_query(query);
        url
    }
}

/// Everything here may be repeated, so a lost answer is no matter; only that of a created key is.
fn unreachable(error: &OutgoingError) -> Failure {
    let (disposition, code) = match error.cause() {
        OutgoingError::Refused { .. } => (Disposition::Fail, "gateway_address_forbidden"),
        OutgoingError::TooLarge { .. } => (Disposition::Fail, "gateway_answer_invalid"),
        _ => (Disposition::Retry, UNREACHABLE),
    };
    let words = sanitized(&error.to_string(), &KnownSecrets::default());
    Failure::new(disposition, code, words)
}

/// What a refusal says; [`Caller::call`] gives it without secrets.
pub(super) fn refused(status: u16, body: &Value) -> Failure {
    let (disposition, code) = match status {
        401 | 403 => (Disposition::Fail, "gateway_secret_refused"),
        408 | 425 | 429 | 500.. => (Disposition::Retry, "gateway_unavailable"),
        _ => (Disposition::Fail, "gateway_refused"),
    };
    let message = MESSAGES
        .iter()
        .find_map(|member| body[*member].as_str())
        .filter(|message| !message.is_empty())
        .unwrap_or("the gateway gave no reason");
    let mut failure = Failure::new(disposition, code, message);
    failure.status = Some(status);
    failure
}

pub(super) fn invalid(why: &str) -> Failure {
    Failure::fail("gateway_answer_invalid", why)
}

/// What a single document was asked for.
pub(super) fn document(status: u16, body: Value) -> Result<Option<Value>, Failure> {
    match status {
        200 if body.is_object() => Ok(Some(body)),
        404 => Ok(None),
        200 => Err(invalid(
            "the gateway answered with something that is no JSON object",
        )),
        _ => Err(refused(status, &body)),
    }
}

pub(super) fn written(status: u16, body: &Value) -> Result<(), Failure> {
    match status {
        200..=299 => Ok(()),
        _ => Err(refused(status, body)),
    }
}

/// Something was deleted, or was not there.
pub(super) fn deleted(status: u16, body: &Value) -> Result<(), Failure> {
    match status {
        404 => Ok(()),
        _ => written(status, body),
    }
}

/// Texts of a list.
pub(super) fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// A created key; a gateway that does not hash its keys has no name for one that is not the key itself.
pub(super) fn created(status: u16, body: &Value, member: &str) -> Result<CreatedKey, Failure> {
    written(status, body)?;
    let text = |member: &str| body[member].as_str().unwrap_or_default();
    let (key, hash) = (text(member), text("key_hash"));
    if key.is_empty() {
        return Err(invalid("the gateway answered without a key"));
    }
    let is_visible =
        |text: &str| text.len() <= KEY && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_visible(key) || !is_visible(hash) {
        let why = format!(
            "the gateway answered with a key or a hash that is not visible ASCII of at most {KEY} characters"
        );
        return Err(invalid(&why));
    }
    // The hash is kept and shown.
    if hash.is_empty() || KnownSecrets::new([key]).are_in(hash) {
        return Err(Failure::fail(
            "gateway_keys_not_hashed",
            "the gateway does not hash its keys; switch `hash_keys` on, so that a key can be revoked without keeping it",
        ));
    }
    Ok(CreatedKey {
        key: Secret::new(key),
        hash: hash.to_owned(),
        headers: BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use axum::Json;
    use axum::http::StatusCode;
    use portico_runtime::outgoing::address::AllowEntry;
    use portico_runtime::outgoing::{Outgoing, OutgoingSettings};
    use serde_json::json;

    use super::*;

    const SECRET: &str = "control-api-secret-4711";

    /// The refusal of a gateway that says this.
    async fn refusal(body: Value) -> Failure {
        let (status, body) = answer(StatusCode::FORBIDDEN, body).await.unwrap();
        refused(status, &body)
    }

    /// What is read of a gateway that says this.
    async fn answer(status: StatusCode, body: Value) -> Result<(u16, Value), Failure> {
        let app = axum::Router::new().fallback(async move || (status, Json(body)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let allow: AllowEntry = "127.0.0.0/8".parse().unwrap();
        let outgoing = Outgoing::new(OutgoingSettings {
            allow: Arc::new([allow].into_iter().collect()),
            ..OutgoingSettings::default()
        });
        let session = GatewaySession {
            outgoing: &outgoing,
            url: &url.parse().unwrap(),
            secret: &Secret::new(SECRET),
            org_id: "",
            default_policy_id: "",
            deadline: Duration::from_secs(5),
        };
        let caller = Caller {
            session: &session,
            root: "tyk",
            header: "x-tyk-authorization",
        };
        caller.call(Method::GET, &["keys"], None, None).await
    }

    #[tokio::test]
    async fn an_answer_that_no_database_could_keep_is_refused() {
        let body = json!([{ "name": "Gold", "tags": ["a", "b\0"] }]);
        let failure = answer(StatusCode::OK, body).await.unwrap_err();
        assert_eq!(failure.code, "gateway_answer_invalid");
        assert!(failure.description.contains("[0].tags[1]"));
    }

    #[tokio::test]
    async fn the_secret_of_a_gateway_is_not_in_what_it_says() {
        for member in MESSAGES {
            let failure = refusal(json!({ member: format!("you sent\r\n{SECRET}") })).await;
            assert_eq!(failure.description, "you sent [redacted]");
            assert_eq!(failure.code, "gateway_secret_refused");
        }
        let failure = refusal(json!({})).await;
        assert_eq!(failure.description, "the gateway gave no reason");
    }

    #[test]
    fn a_key_and_its_hash_are_checked_before_they_are_kept() {
        let read = |key: &str, hash: &str| {
            let created = created(200, &json!({"key": key, "key_hash": hash}), "key");
            created
                .map(|created| created.hash)
                .map_err(|failure| failure.code)
        };
        let invalid = Err("gateway_answer_invalid".to_owned());
        assert_eq!(read("key-of-somebody", "a1b2"), Ok("a1b2".to_owned()));
        let not_hashed = Err("gateway_keys_not_hashed".to_owned());
        assert_eq!(read("key-of-somebody", ""), not_hashed);
        assert_eq!(read("key-of-somebody", "key-of-somebody"), not_hashed);
        assert_eq!(
            read("key-of-somebody", "hash:a2V5LW9mLXNvbWVib2R5"),
            not_hashed
        );
        assert_eq!(read("key\r\nof", "a1b2"), invalid);
        assert_eq!(read("key-of-somebody", "a\0"), invalid);
        assert_eq!(read(&"k".repeat(9000), "a1b2"), invalid);
        assert_eq!(read("", "a1b2"), invalid);
    }
}
