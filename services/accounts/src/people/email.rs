//! The shape of an e-mail address.

use portico_vault::Secret;

/// Longest address that a mail server takes (RFC 5321 section 4.5.3.1.3, without the angle brackets).
const LONGEST: usize = 254;
/// Longest part before the `@` (RFC 5321 section 4.5.3.1.1).
const LONGEST_LOCAL: usize = 64;

/// A trimmed address of the right shape, in the case in which it was typed. `Debug` hides it.
#[derive(Debug, Clone)]
pub(crate) struct Email(Secret);

impl Email {
    /// `None` when the shape is wrong. Only sending a mail shows whether somebody reads it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (local, host) = text.split_once('@')?;
        let odd = |c: char| c.is_whitespace() || c.is_control() || "<>()[]\\,;:\"".contains(c);
        let local_fits = !local.is_empty() && local.len() <= LONGEST_LOCAL && !local.contains(odd);
        let host_fits = host.split('.').all(is_label);
        (local_fits && host_fits && text.len() <= LONGEST).then(|| Self(Secret::new(text)))
    }

    /// The address, for the vault.
    pub(crate) fn secret(&self) -> &Secret {
        &self.0
    }
}

/// The form in which addresses are compared: trimmed and in lower case. RFC 5321 section 2.4 lets a server tell `Ada@` from
/// `ada@`; hardly one does, and people mistype the case of their own address.
pub(crate) fn comparable(text: &str) -> Secret {
    Secret::new(text.trim().to_lowercase())
}

/// A part of a host name (RFC 1123 section 2.1).
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-')
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
        ] {
            assert!(Email::parse(text).is_none(), "{text}");
        }
        assert!(Email::parse(&format!("{}@example.org", "a".repeat(65))).is_none());
        let long_host = vec!["a".repeat(60); 5].join(".");
        assert!(Email::parse(&format!("ada@{long_host}")).is_none());
    }

    #[test]
    fn compares_without_case() {
        assert_eq!(
            comparable(" Ada@Example.ORG "),
            comparable("ada@example.org")
        );
    }
}
