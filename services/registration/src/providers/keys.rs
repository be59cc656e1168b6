//! Which keys of a key set (RFC 7517) a gateway can check signatures with, and what is wrong with the others.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use portico_runtime::outgoing::{KnownSecrets, sanitized};
use serde_json::Value;

/// RFC 7518 section 3.3: a shorter modulus must not be used. In bytes.
const RSA: usize = 256;
/// RFC 7518 section 6: parameters of a private key, that nobody should see.
const PRIVATE: [&str; 5] = ["d", "p", "q", "dp", "dq"];

/// Curves, and the bytes of a coordinate (RFC 7518 section 6.2.1, RFC 8812, RFC 8037).
const CURVES: [(&str, &str, usize); 6] = [
    ("EC", "P-256", 32),
    ("EC", "P-384", 48),
    ("EC", "P-521", 66),
    ("EC", "secp256k1", 32),
    ("OKP", "Ed25519", 32),
    ("OKP", "Ed448", 57),
];

/// The usable signing keys, and a sentence about each other one.
pub(super) fn check(keys: &[Value]) -> (Vec<&Value>, Vec<String>) {
    let (mut usable, mut problems) = (Vec::new(), Vec::new());
    let mut known = BTreeSet::new();
    for (at, key) in keys.iter().enumerate() {
        let text = |member: &str| key.get(member).and_then(Value::as_str);
        if text("use").is_some_and(|usage| usage != "sig") {
            continue;
        }
        let kid = text("kid");
        let is_new = kid.is_none_or(|kid| known.insert(kid));
        let problem = match problem(key) {
            None if !is_new => Some("has the kid of another key".to_owned()),
            problem => problem,
        };
        match problem {
            None => usable.push(key),
            Some(problem) => {
                let name = kid.map_or_else(
                    || format!("number {}", at + 1),
                    |kid| sanitized(kid, &KnownSecrets::default()),
                );
                problems.push(format!("key {name} {problem}"));
            }
        }
    }
    (usable, problems)
}

fn problem(key: &Value) -> Option<String> {
    let text = |member: &str| key.get(member).and_then(Value::as_str);
    let bytes = |member: &str| {
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(text(member)?).ok()?;
        (!decoded.is_empty()).then_some(decoded.len())
    };
    let broken = |member: &str| Some(format!("is broken: {member} is missing or not base64url"));
    if let Some(member) = PRIVATE.iter().find(|member| key.get(**member).is_some()) {
        return Some(format!(
            "shows its private part ({member}): anybody can sign tokens with it"
        ));
    }
    match text("kty") {
        Some("oct") => Some("is symmetric: who can read it can sign tokens with it".to_owned()),
        Some("RSA") => match (bytes("n"), bytes("e")) {
            (None, _) => broken("n"),
            (_, None) => broken("e"),
            (Some(modulus), _) if modulus < RSA => Some(format!(
                "is too short: {} bits, at least 2048 are needed",
                modulus * 8
            )),
            _ => None,
        },
        Some(kty @ ("EC" | "OKP")) => {
            let curve = CURVES
                .iter()
                .find(|(of, name, _)| *of == kty && Some(*name) == text("crv"));
            let Some((_, _, length)) = curve else {
                return Some("has a curve (crv) that is not known".to_owned());
            };
            let coordinates: &[&str] = if kty == "EC" { &["x", "y"] } else { &["x"] };
            let wrong = coordinates.iter().find(|one| bytes(one) != Some(*length));
            wrong.and_then(|member| broken(member))
        }
        _ => Some("has a type (kty) that is not known".to_owned()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// Without an id.
    pub(crate) fn rsa() -> Value {
        json!({"kty": "RSA", "n": "w".repeat(342), "e": "AQAB"})
    }

    #[test]
    fn what_is_wrong_with_a_key_is_named() {
        let point = "A".repeat(43);
        let with = |mut key: Value, more: Value| {
            key.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            key
        };
        let ec = json!({"kty": "EC", "crv": "P-256", "x": point, "y": point});
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": point});
        for good in [
            rsa(),
            ec.clone(),
            ed.clone(),
            with(ec.clone(), json!({"kid": "1", "use": "sig"})),
        ] {
            assert_eq!(check(std::slice::from_ref(&good)), (vec![&good], vec![]));
        }
        for (bad, words) in [
            (json!({"kty": "oct", "k": "c2VjcmV0"}), "is symmetric"),
            (with(ec.clone(), json!({"d": "AAAA"})), "private part"),
            (
                with(ec.clone(), json!({"y": "AAAA"})),
                "y is missing or not base64url",
            ),
            (with(ec, json!({"crv": "P-255"})), "curve"),
            (with(ed, json!({"x": 7})), "x is missing"),
            (
                with(rsa(), json!({"n": "?"})),
                "n is missing or not base64url",
            ),
            (json!({"kty": "RSA", "n": "w".repeat(342)}), "e is missing"),
            (
                with(rsa(), json!({"n": "w".repeat(171)})),
                "too short: 1024 bits",
            ),
            (json!({"kty": "LATER"}), "type (kty)"),
            (json!("key"), "type (kty)"),
        ] {
            let (usable, problems) = check(std::slice::from_ref(&bad));
            assert!(usable.is_empty() && problems.len() == 1, "{bad}");
            assert!(
                problems[0].starts_with("key number 1 ") && problems[0].contains(words),
                "{problems:?}"
            );
        }
        let twice = [
            with(rsa(), json!({"kid": "a"})),
            with(rsa(), json!({"kid": "a"})),
        ];
        let (usable, problems) = check(&twice);
        assert_eq!(
            (usable.len(), problems),
            (1, vec!["key a has the kid of another key".to_owned()])
        );
        assert_eq!(
            check(&[json!({"kty": "oct", "use": "enc"})]),
            (vec![], vec![])
        );
    }
}
