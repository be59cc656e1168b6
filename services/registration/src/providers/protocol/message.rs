//! What a provider says about a refusal, as a message that may be kept and shown.

use portico_runtime::outgoing::sanitized;
use serde_json::Value;

use super::session::RawAnswer;

/// The provider's error code, where it is one, and its description. Bodies may be
/// empty, HTML, or have another shape than RFC 7591 section 3.2.2 asks for.
pub(super) fn provider_message(answer: &RawAnswer) -> (Option<String>, String) {
    let parsed: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let text = |members: &[&str]| {
        members.iter().find_map(|member| {
            let value = parsed.as_ref()?.get(member)?.as_str()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        })
    };
    let error = text(&["error", "errorCode"]);
    // Auth0 has a phrase in `error` and its code beside it.
    let codes = [
        text(&["error"]),
        text(&["errorCode"]),
        text(&["code"]),
        challenge(answer, "error"),
    ];
    let secrets = answer.secrets();
    let mut codes = codes.into_iter().flatten();
    let code = codes.find(|error| is_code(error) && !secrets.are_in(error));
    let described = text(&[
        "error_description",
        "errorSummary",
        "message",
        "detail",
        "description",
    ]);
    let causes = causes(parsed.as_ref());
    let described = match (described, causes) {
        (Some(text), Some(causes)) => Some(format!("{text} ({causes})")),
        (text, causes) => text.or(causes),
    };
    // Keycloak 26.7.3 puts a whole sentence into `error` where JSON does not fit.
    let message = described
        .or_else(|| error.filter(|error| !is_code(error)))
        .or_else(|| challenge(answer, "error_description"));
    let message = message.unwrap_or_else(|| bare_body(answer, parsed.is_some()));
    (code, sanitized(&message, &secrets))
}

/// A parameter of the challenge, where RFC 6750 section 3 has what is wrong with a token; bodies may be empty then.
fn challenge(answer: &RawAnswer, parameter: &str) -> Option<String> {
    let challenge = answer.header("www-authenticate")?;
    let start = format!("{parameter}=\"");
    let (at, _) = challenge.match_indices(&start).find(|(at, _)| {
        let before = challenge[..*at].chars().next_back();
        before.is_none_or(|c| c == ' ' || c == ',')
    })?;
    let (value, _) = challenge[at + start.len()..].split_once('"')?;
    (!value.is_empty()).then(|| value.to_owned())
}

/// Okta's `errorCauses`, each with a summary of its own.
fn causes(parsed: Option<&Value>) -> Option<String> {
    let causes = parsed?.get("errorCauses")?.as_array()?;
    let summaries: Vec<&str> = causes
        .iter()
        .filter_map(|cause| cause.get("errorSummary")?.as_str())
        .collect();
    (!summaries.is_empty()).then(|| summaries.join("; "))
}

/// An error code of an RFC, in the form of those, or of Okta: `E0000007`.
fn is_code(text: &str) -> bool {
    let of_rfc = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let of_okta = |text: &str| {
        let digits = text.strip_prefix('E').unwrap_or_default();
        digits.len() == 7 && digits.bytes().all(|b| b.is_ascii_digit())
    };
    (1..=64).contains(&text.len()) && (text.bytes().all(of_rfc) || of_okta(text))
}

fn bare_body(answer: &RawAnswer, is_json: bool) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    let body = body.trim();
    if body.is_empty() || is_json {
        format!("the provider gave no reason with status {}", answer.status)
    } else if body.starts_with('<') {
        format!("the provider answered status {} with a page", answer.status)
    } else {
        body.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::session::Step;

    fn answer(body: &str) -> RawAnswer {
        RawAnswer::new(Step::Register, 400, body)
    }

    /// A token of 32 characters is no token by its looks.
    #[test]
    fn nothing_that_was_sent_is_in_the_words_or_in_the_code() {
        let token = "k3v9x0c2m5n8b1l4j7h6g5f4d3s2a1q0";
        let told = |body: String, challenge: &str| {
            provider_message(&RawAnswer {
                headers: vec![("www-authenticate".into(), challenge.into())],
                sent: vec![portico_vault::Secret::new(token)],
                ..answer(&body)
            })
        };
        let in_json = |members: serde_json::Value| members.to_string();
        let encoded =
            base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("portal:{token}"));
        for body in [
            in_json(
                serde_json::json!({"error": "invalid_token", "error_description": format!("you sent Bearer {token}")}),
            ),
            in_json(
                serde_json::json!({"error": token, "error_description": format!("Basic {encoded}")}),
            ),
            in_json(
                serde_json::json!({"message": format!("/register?access_token={}", token.replace('k', "%6b"))}),
            ),
            in_json(
                serde_json::json!({"errorCauses": [{"errorSummary": token.replace('k', "k\u{0}")}]}),
            ),
            in_json(serde_json::json!({"detail": "new-secret-7", "client_secret": "new-secret-7"})),
            format!("not JSON, but {token}"),
            String::new(),
        ] {
            let (code, words) = told(
                body,
                &format!(r#"Bearer error="{token}", error_description="{token} is old""#),
            );
            assert!(
                words.contains("[redacted]") && !words.contains(token),
                "{words}"
            );
            assert!(!words.contains("new-secret-7"), "{words}");
            assert!(code.is_none_or(|code| code == "invalid_token"));
        }
    }

    #[test]
    fn bodies_of_any_shape_give_words() {
        let table = [
            ("", "the provider gave no reason with status 400"),
            ("{}", "the provider gave no reason with status 400"),
            (
                "<html><body>Oops</body></html>",
                "the provider answered status 400 with a page",
            ),
            ("Bad Request", "Bad Request"),
            (
                r#"{"error":"Invalid json: field \"bogus\""}"#,
                "Invalid json: field \"bogus\"",
            ),
            (r#"{"errorSummary":"name taken"}"#, "name taken"),
            (
                r#"{"errorCode":"E0000001","errorSummary":"Api validation failed","errorCauses":[{"errorSummary":"name: taken"}]}"#,
                "Api validation failed (name: taken)",
            ),
            (
                r#"{"statusCode":400,"error":"Bad Request","message":"Payload validation error"}"#,
                "Payload validation error",
            ),
            (r#"{"statusCode":400,"error":"Bad Request"}"#, "Bad Request"),
            ("\"text\"", "the provider gave no reason with status 400"),
        ];
        for (body, expected) in table {
            assert_eq!(provider_message(&answer(body)).1, expected);
        }
        for (body, code) in [
            (r#"{"error":"Not A Code"}"#, None),
            (
                r#"{"error":"Bad Request","errorCode":"invalid_body"}"#,
                Some("invalid_body"),
            ),
            (
                r#"{"errorCode":"E0000007","errorSummary":"Not found"}"#,
                Some("E0000007"),
            ),
        ] {
            assert_eq!(provider_message(&answer(body)).0.as_deref(), code);
        }
    }
}
