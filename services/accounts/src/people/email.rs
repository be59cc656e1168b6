//! The shape of an e-mail address.

use portico_vault::Secret;
use unicode_normalization::UnicodeNormalization as _;
use url::Host;

/// Longest address that a mail server takes (RFC 5321 section 4.5.3.1.3, without the angle brackets).
const LONGEST: usize = 254;
/// Longest part before the `@` (RFC 5321 section 4.5.3.1.1).
const LONGEST_LOCAL: usize = 64;

/// A trimmed address of the right shape, in the case in which it was typed and in form NFC (RFC 6532 section 3.1). `Debug` hides it.
#[derive(Debug, Clone)]
pub(crate) struct Email(Secret);

impl Email {
    /// `None` when the shape is wrong. Only sending a mail shows whether somebody reads it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text: String = text.trim().nfc().collect();
        let (local, host) = text.split_once('@')?;
        let local_fits = local.len() <= LONGEST_LOCAL && local.split('.').all(is_atom);
        let host_fits = host.split('.').all(is_label) && is_domain(host);
        (local_fits && host_fits && text.len() <= LONGEST).then(|| Self(Secret::new(text)))
    }

    /// The address, for the vault.
    pub(crate) fn secret(&self) -> &Secret {
        &self.0
    }
}

/// The form in which addresses are compared: trimmed, in lower case and in Unicode's form NFC (RFC 6532 section 3.1), since
/// a keyboard may give a letter with its accent or both apart. RFC 5321 section 2.4 lets a server tell `Ada@` from
/// `ada@`; hardly one does, and people mistype the case of their own address.
pub(crate) fn comparable(text: &str) -> Secret {
    let lower = text.trim().nfc().collect::<String>().to_lowercase();
    Secret::new(lower.nfc().collect::<String>())
}

/// A part between dots of what stands before the `@`: `atom` of RFC 5322 section 3.2.3, and the letters of RFC 6532 without
/// those that nobody sees. Mailers take nothing else; what they would have to quote is not worth it.
fn is_atom(text: &str) -> bool {
    let fits = |c: char| match c.is_ascii() {
        true => c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c),
        false => !c.is_whitespace() && !c.is_control() && !is_unseen(c),
    };
    !text.is_empty() && text.chars().all(fits)
}

/// Joiners, marks of direction, and what else has no width.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A part of a host name (RFC 1123 section 2.1).
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A fully qualified name (RFC 5321 section 2.3.5) and no address, which an e-mail address has in brackets only (RFC 5321 section 4.1.3): every parser takes
/// `1.2.3.4` and `0x7f.1` for one. A label that begins with `xn--` is one that IDNA makes (RFC 5890 section 2.3.2.1).
fn is_domain(host: &str) -> bool {
    let qualified = host.contains('.') || host.eq_ignore_ascii_case("localhost");
    qualified && matches!(Host::parse(host), Ok(Host::Domain(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_addresses() {
        for text in [
            "ada@example.org",
            " Ada.L+x@EXAMPLE.co.uk ",
            "root@localhost",
            "ö@xn--bcher-kva.example",
            "o'hara@example.org",
            "a!#$%&*/=?^_`{|}~-b@example.org",
            "पता@example.org",
        ] {
            assert!(Email::parse(text).is_some(), "{text}");
        }
    }

    #[test]
    fn refuses_other_text() {
        for text in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "ada@b@example.org",
            "ada@example..org",
            "ada@-example.org",
            "ada@exam ple.org",
            "a da@example.org",
            "ada@example.org\r\nBcc: x@example.org",
            "Ada <ada@example.org>",
            "a,b@example.org",
            ".ada@example.org",
            "ada.@example.org",
            "ada..l@example.org",
            "ada\0@example.org",
            "a\u{200b}da@example.org",
            "ada\u{202e}@example.org",
            "\"ada l\"@example.org",
            "ada@intranet",
            "ada@xn--nxasmq6b",
            "ada@1.2.3.4",
            "ada@0x7f.1",
            "ada@xn--a.example",
            "ada@example.123",
        ] {
            assert!(Email::parse(text).is_none(), "{text}");
        }
        assert!(Email::parse(&format!("{}@example.org", "a".repeat(65))).is_none());
        let long_host = vec!["a".repeat(60); 5].join(".");
        assert!(Email::parse(&format!("ada@{long_host}")).is_none());
    }

    #[test]
    fn compares_letters_and_not_their_encoding() {
        let [composed, apart] = ["zo\u{eb}@example.org", "zoe\u{308}@example.org"];
        assert_ne!(composed, apart);
        assert_eq!(comparable(composed), comparable(apart));
        assert_eq!(
            comparable("\u{212b}@example.org"),
            comparable("\u{e5}@example.org")
        );
    }

    #[test]
    fn compares_without_case() {
        assert_eq!(
            comparable(" Ada@Example.ORG "),
            comparable("ada@example.org")
        );
    }
}
