//! What other programs say, in words that may be kept and shown.

use super::secrets::KnownSecrets;
use crate::texts::is_unseen;

/// Characters of a message that are kept.
const LONGEST: usize = 400;
/// A run of this many token characters is taken for a token. A UUID has 36.
const TOKEN_LIKE: usize = 40;
/// Stands for what must not be told.
pub(super) const REDACTED: &str = "[redacted]";

/// One line of limited length without control characters and without `secrets`, in whatever form they are quoted. A run
/// of token characters that is as long as a token, or begins as a part of a JWT does (base64url of `{"`), is replaced,
/// too: not every secret is known here.
#[must_use]
pub fn sanitized(text: &str, secrets: &KnownSecrets) -> String {
    // Control characters first: what they break up would be whole again without them.
    let clean = without_tokens(&secrets.hidden_in(&one_line(text)));
    match clean.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

/// The words of a text, without control characters and others that cannot be seen.
pub(super) fn one_line(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let visible = word.chars().filter(|c| !c.is_control() && !is_unseen(*c));
        visible.collect::<String>()
    });
    let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn without_tokens(line: &str) -> String {
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let (mut clean, mut rest) = (String::new(), line);
    while !rest.is_empty() {
        let (run, tail) = rest.split_at(rest.find(|c| !is_token(c)).unwrap_or(rest.len()));
        let is_suspect = run.len() >= TOKEN_LIKE || run.starts_with("eyJ");
        clean.push_str(if is_suspect { REDACTED } else { run });
        let (between, next) = tail.split_at(tail.find(is_token).unwrap_or(tail.len()));
        clean.push_str(between);
        rest = next;
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(text: &str) -> String {
        sanitized(text, &KnownSecrets::default())
    }

    #[test]
    fn words_hold_no_token() {
        let opaque = "A".repeat(43);
        let jwt = format!("eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.{opaque}");
        let broken = opaque.replacen("AAAA", "AA\u{200b}AA\u{ad}", 1);
        assert_eq!(clean(&broken), REDACTED);
        let text = clean(&format!(
            "token {jwt} and '{opaque}' at https://id.example/a\u{7}b"
        ));
        assert_eq!(
            text,
            "token [redacted].[redacted].[redacted] and '[redacted]' at https://id.example/ab"
        );
        assert!(clean(&"ab ".repeat(1000)).chars().count() <= LONGEST + 1);
        let uuid = "0191d8e4-7b1c-7c3e-9f00-000000000000";
        assert_eq!(clean(uuid), uuid);
    }

    #[test]
    fn a_known_secret_is_no_part_of_it_also_where_control_characters_break_it_up() {
        let secrets = KnownSecrets::new(["zd3kq8w1-mfn2"]);
        let text = "you sent\r\nBearer zd3kq\u{0}8w1-\u{1b}mf\u{200b}n2!";
        assert_eq!(sanitized(text, &secrets), "you sent Bearer [redacted]!");
    }
}
