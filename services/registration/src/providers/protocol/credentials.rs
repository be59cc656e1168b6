//! What an answer brings of a client: ids and secrets within bounds, metadata that hold no secret, and what may be shown
//! of an answer that cannot be used.

use portico_runtime::outgoing::{KnownSecrets, sanitized};
use portico_vault::Secret;
use serde_json::{Map, Value};

use super::failure::{Failure, Result};
use super::session::RawAnswer;
use crate::client_metadata::Metadata;

/// Characters of a client id.
const CLIENT_ID: usize = 1000;
/// Characters of a secret or a token.
const SECRET: usize = 8192;
/// Bytes of one member of the metadata, as JSON.
const MEMBER: usize = 32 * 1024;

/// The client's id (RFC 6749 appendix A.1).
///
/// # Errors
/// See [`invalid_answer`].
pub(crate) fn client_id(
    answer: &RawAnswer,
    members: &Map<String, Value>,
    member: &str,
) -> Result<String> {
    let Some(id) = text(answer, members, member, CLIENT_ID)? else {
        return Err(invalid_answer(answer, &format!("it has no {member}")));
    };
    match answer.secrets().are_in(&id) {
        true => Err(invalid_answer(
            answer,
            &format!("its {member} holds a secret"),
        )),
        false => Ok(id),
    }
}

/// A secret (RFC 6749 appendix A.2) or a token; `None` where there is none, or asterisks in its place.
///
/// # Errors
/// See [`invalid_answer`].
pub(crate) fn secret(
    answer: &RawAnswer,
    members: &Map<String, Value>,
    member: &str,
) -> Result<Option<Secret>> {
    let secret = text(answer, members, member, SECRET)?;
    Ok(secret.filter(|secret| !is_masked(secret)).map(Secret::new))
}

fn is_masked(secret: &str) -> bool {
    secret.chars().all(|c| c == '*')
}

/// A text of `VSCHAR` (RFC 6749 appendix A), kept verbatim, spaces included: anything else could break a header, a log or a
/// database.
fn text(
    answer: &RawAnswer,
    members: &Map<String, Value>,
    member: &str,
    most: usize,
) -> Result<Option<String>> {
    let Some(text) = members.get(member).and_then(Value::as_str) else {
        return Ok(None);
    };
    let why = if text.len() > most {
        format!("its {member} has more than {most} characters")
    } else if !is_vschar(text) {
        format!("its {member} has characters that are not visible ASCII (RFC 6749 appendix A)")
    } else {
        return Ok((!text.trim().is_empty()).then(|| text.to_owned()));
    };
    Err(invalid_answer(answer, &why))
}

fn is_vschar(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Whether a text may be kept as a client's id, as [`client_id`] takes it.
pub(crate) fn is_client_id(text: &str) -> bool {
    !text.is_empty() && text == text.trim() && text.len() <= CLIENT_ID && is_vschar(text)
}

/// Registered metadata and the drivers' own, without members that hold a secret or control characters, or are too long.
pub(crate) fn metadata(answer: &RawAnswer, mut members: Map<String, Value>) -> Metadata {
    let secrets = answer.secrets();
    members.retain(|_, value| {
        let fits = |text: &str| !text.contains(char::is_control) && !secrets.are_in(text);
        value.to_string().len() <= MEMBER && all_texts(value, &fits)
    });
    Metadata::from_answer(members)
}

fn all_texts(value: &Value, fits: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => fits(text),
        Value::Array(values) => values.iter().all(|value| all_texts(value, fits)),
        Value::Object(members) => members
            .iter()
            .all(|(name, value)| fits(name) && all_texts(value, fits)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

/// A success that cannot be used. A client may exist because of it.
pub(crate) fn invalid_answer(answer: &RawAnswer, why: &str) -> Failure {
    let why = format!("the provider answered status {}, but {why}", answer.status);
    let mut failure = Failure::fail("provider_answer_invalid", why);
    failure.status = Some(answer.status);
    if answer.step.changes() {
        failure.unread = Some(excerpt(answer, &answer.secrets()));
    }
    failure.unknown_outcome()
}

/// The names of an answer's members, with the values of those that are metadata of a client.
fn excerpt(answer: &RawAnswer, secrets: &KnownSecrets) -> String {
    match answer.json() {
        Some(body) => sanitized(&outline(body).to_string(), secrets),
        None => format!("{} bytes that are not JSON", answer.body.len()),
    }
}

fn outline(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(outline).collect(),
        Value::Object(members) => {
            let outlined = members.into_iter().map(|(name, value)| {
                let is_shown = Metadata::has_member(&name) && !value.is_object();
                let value = if is_shown { value } else { outline(value) };
                (name, value)
            });
            Value::Object(outlined.collect())
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) => "…".into(),
        Value::Null => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::providers::session::Step;

    fn answer(body: &Value) -> RawAnswer {
        RawAnswer {
            sent: vec![Secret::new("initial-token-9k2")],
            ..RawAnswer::new(Step::Register, 201, body.to_string())
        }
    }

    fn members(body: &Value) -> Map<String, Value> {
        body.as_object().unwrap().clone()
    }

    #[test]
    fn an_id_or_secret_that_could_break_something_is_refused_with_a_reason() {
        let long = "x".repeat(400_000);
        for (member, value, why) in [
            ("client_id", "c1\r\nX: y", "visible ASCII"),
            ("client_id", "c1\n", "visible ASCII"),
            ("client_id", "c\0", "visible ASCII"),
            ("client_id", "c\u{1b}[31m", "visible ASCII"),
            ("client_id", "ünïcode", "visible ASCII"),
            ("client_id", &long, "more than 1000"),
            ("client_id", "c-initial-token-9k2", "holds a secret"),
            ("client_id", "", "has no client_id"),
        ] {
            let body = json!({member: value});
            let failure = client_id(&answer(&body), &members(&body), member).unwrap_err();
            assert_eq!(failure.code, "provider_answer_invalid");
            assert!(failure.description.contains(why), "{failure}");
            assert!(failure.outcome_unknown && failure.unread.is_some());
        }
        for (value, why) in [
            ("s\r\n", "visible ASCII"),
            ("s\0", "visible ASCII"),
            (&long, "more than 8192"),
        ] {
            let body = json!({"client_secret": value});
            let failure = secret(&answer(&body), &members(&body), "client_secret").unwrap_err();
            assert!(failure.description.contains(why), "{failure}");
        }
        let body = json!({"client_id": " ~c 1!", "client_secret": "****", "number": 7});
        let read = |member: &str| secret(&answer(&body), &members(&body), member);
        assert_eq!(
            client_id(&answer(&body), &members(&body), "client_id").unwrap(),
            " ~c 1!"
        );
        let body = json!({"client_secret": " lead trail "});
        let kept = secret(&answer(&body), &members(&body), "client_secret");
        assert_eq!(kept.unwrap(), Some(Secret::new(" lead trail ")));
        assert_eq!(
            (read("client_secret").unwrap(), read("number").unwrap()),
            (None, None)
        );
    }

    #[test]
    fn metadata_hold_no_secret_wherever_it_is_put() {
        let body = json!({
            "client_id": "c1", "client_secret": "secret-of-c1", "api_secret": "another-secret",
            "client_secrets": ["secret-of-c1"], "private_key_jwk": {"kty": "EC", "d": "private-part"},
            "client_name": "my secret-of-c1", "client_uri": "https://a.example/?t=another%2Dsecret",
            "contacts": ["initial-token-9k2"], "logo_uri": "https://a.example/\u{0}", "tos_uri": "x".repeat(40_000),
            "jwks": {"keys": [{"kty": "EC", "kid": "1", "d": "of-another-key"}, {"kty": "EC", "kid": "2"}]},
            "client_name#de": "Wetter", "scope": "a b", "token_endpoint_auth_method": "client_secret_basic",
        });
        let kept = metadata(&answer(&body), members(&body));
        let expected = json!({
            "client_id": "c1", "jwks": {"keys": [{"kty": "EC", "kid": "2"}]}, "client_name#de": "Wetter", "scope": "a b",
            "token_endpoint_auth_method": "client_secret_basic",
        });
        assert_eq!(serde_json::to_value(kept).unwrap(), expected);
    }

    /// More values under such a name than an honest answer has: nothing is told from a secret any more.
    #[test]
    fn of_an_answer_full_of_secrets_nothing_is_kept() {
        let tokens: Vec<String> = (0..1_000_000).map(|n| format!("token-{n}")).collect();
        let body = json!({"client_id": "c1", "client_name": "An app", "tokens": tokens, "default_max_age": 7});
        let answer = answer(&body);
        assert!(answer.body.len() > 10 << 20);
        let kept = metadata(&answer, members(&body));
        assert_eq!(
            serde_json::to_value(kept).unwrap(),
            json!({"default_max_age": 7})
        );
        let failure = client_id(&answer, &members(&body), "client_id").unwrap_err();
        assert_eq!(failure.unread.as_deref(), Some("[redacted]"));
    }

    #[test]
    fn an_excerpt_shows_what_an_answer_is_made_of_and_no_secret() {
        let body = json!({"result": {
            "client_id": "c1", "client_secret": "secret-of-c1", "key": "unknown-secret", "client_name": "initial-token-9k2",
        }});
        let failure = invalid_answer(&answer(&body), "it has no client_id");
        assert_eq!(
            failure.unread.unwrap(),
            r#"{"result":{"client_id":"c1","client_name":"[redacted]","client_secret":"…","key":"…"}}"#
        );
        let page = RawAnswer::new(Step::Register, 201, "client_secret=unknown");
        let failure = invalid_answer(&page, "it is no JSON");
        assert_eq!(failure.unread.unwrap(), "21 bytes that are not JSON");
    }
}
