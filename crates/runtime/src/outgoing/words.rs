//! What other programs say, in words that may be kept and shown.

/// Characters of a message that are kept.
const LONGEST: usize = 400;
/// A run of this many token characters is taken for a token. A UUID has 36.
const TOKEN_LIKE: usize = 40;

/// One line of limited length without control characters; a run of token characters that is as long as a token, or
/// begins as a part of a JWT does (base64url of `{"`), is replaced.
#[must_use]
pub fn sanitized(text: &str) -> String {
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut clean = String::new();
    for word in text.split_whitespace() {
        if !clean.is_empty() {
            clean.push(' ');
        }
        let mut rest = word;
        while !rest.is_empty() {
            let (run, tail) = rest.split_at(rest.find(|c| !is_token(c)).unwrap_or(rest.len()));
            if run.len() >= TOKEN_LIKE || run.starts_with("eyJ") {
                clean.push_str("[redacted]");
            } else {
                clean.push_str(run);
            }
            let next = tail.find(is_token).unwrap_or(tail.len());
            clean.extend(tail[..next].chars().filter(|c| !c.is_control()));
            rest = &tail[next..];
        }
    }
    if clean.chars().count() > LONGEST {
        clean = clean.chars().take(LONGEST).collect();
        clean.push('…');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hold_no_token() {
        let opaque = "A".repeat(43);
        let jwt = format!("eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.{opaque}");
        let text = sanitized(&format!(
            "token {jwt} and '{opaque}' at https://id.example/a\u{7}b"
        ));
        assert_eq!(
            text,
            "token [redacted].[redacted].[redacted] and '[redacted]' at https://id.example/ab"
        );
        assert!(sanitized(&"ab ".repeat(1000)).chars().count() <= LONGEST + 1);
        let uuid = "0191d8e4-7b1c-7c3e-9f00-000000000000";
        assert_eq!(sanitized(uuid), uuid);
    }
}
