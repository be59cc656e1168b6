//! Which redirect URLs an application may have: RFC 6749 section 3.1.2, RFC 8252 section 7 and RFC 9700 section
//! 2.1. They are kept as they were given, since providers compare them character by character.

use std::fmt;

use portico_runtime::Problems;
use serde::{Deserialize, Serialize};
use url::Url;

/// The most redirect URLs of an application.
pub(crate) const MOST: usize = 20;
/// The longest redirect URL, in characters.
const LONGEST: usize = 2000;

/// A redirect URL that has passed the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RedirectUrl(String);

/// Which rule a redirect URL breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    Invalid,
    Scheme,
    Wildcard,
    Fragment,
    Userinfo,
    NotHttps,
}

impl Broken {
    fn code(self) -> &'static str {
        match self {
            Self::Invalid => "redirect_url_invalid",
            Self::Scheme => "redirect_url_scheme",
            Self::Wildcard => "redirect_url_wildcard",
            Self::Fragment => "redirect_url_fragment",
            Self::Userinfo => "redirect_url_userinfo",
            Self::NotHttps => "redirect_url_not_https",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Invalid => {
                "must be an absolute URL such as https://app.example.org/callback, at most 2000 characters, other \
                 characters percent-encoded."
            }
            Self::Scheme => {
                "must begin with https://, with http:// on this machine (localhost, 127.0.0.1, [::1]), or with an \
                 app's own scheme that has a dot, such as org.example.app:/callback."
            }
            Self::Wildcard => "must be one exact URL, without `*`.",
            Self::Fragment => "must not have a fragment: leave out `#` and what follows.",
            Self::Userinfo => "must not have a user name or password before the host.",
            Self::NotHttps => "must use https; http is for localhost, 127.0.0.1 and [::1] only.",
        }
    }
}

impl RedirectUrl {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Checks one; white space around it is dropped.
    pub(crate) fn try_new(text: &str) -> Result<Self, Broken> {
        let text = text.trim();
        let (scheme, rest) = text.split_once(':').ok_or(Broken::Invalid)?;
        if text.len() > LONGEST || !is_scheme(scheme) {
            return Err(Broken::Invalid);
        }
        let scheme = scheme.to_ascii_lowercase();
        // Before all else, so that script in a URL is always named as such.
        if !matches!(scheme.as_str(), "https" | "http") && !scheme.contains('.') {
            return Err(Broken::Scheme);
        }
        if text.contains('*') {
            return Err(Broken::Wildcard);
        }
        if text.contains('#') {
            return Err(Broken::Fragment);
        }
        if !text.bytes().all(is_url_byte) {
            return Err(Broken::Invalid);
        }
        let url = Url::parse(text).map_err(|_| Broken::Invalid)?;
        // The parser takes `https:host` and drops an empty user name; exact comparison at a provider does not.
        let authority = rest
            .strip_prefix("//")
            .map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
        if authority.is_some_and(|authority| authority.contains('@')) {
            return Err(Broken::Userinfo);
        }
        match scheme.as_str() {
            // `https:///host` has an empty authority, which the parser skips.
            "https" | "http" if authority.is_none_or(str::is_empty) => return Err(Broken::Invalid),
            "https" => {}
            "http" if authority.is_some_and(is_loopback) => {}
            "http" => return Err(Broken::NotHttps),
            // RFC 8252 section 7.1: a private-use scheme and something after it.
            _ if url.path().is_empty() && url.host().is_none() => return Err(Broken::Invalid),
            _ => {}
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RedirectUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a list, notes every problem at `<field>[i]`, drops duplicates, keeps the order.
pub(crate) fn list(problems: &mut Problems, field: &str, texts: &[String]) -> Vec<RedirectUrl> {
    let mut urls: Vec<RedirectUrl> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match RedirectUrl::try_new(text) {
            Ok(url) if urls.contains(&url) => {}
            Ok(url) => urls.push(url),
            Err(broken) => {
                let field = format!("{field}[{index}]");
                let message = format!("`{field}` {}", broken.message());
                problems.add(field, broken.code(), message);
            }
        }
    }
    if urls.len() > MOST {
        problems.add(
            field,
            "redirect_urls_too_many",
            format!("`{field}` must have at most {MOST} URLs."),
        );
    }
    urls
}

/// RFC 3986 section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// RFC 3986 section 2: reserved, unreserved and `%`.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

/// The host as it is written, since `127.1` is an address to one parser and a name to another.
fn is_loopback(authority: &str) -> bool {
    let authority = authority.to_ascii_lowercase();
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|host| {
        authority
            .strip_prefix(host)
            .is_some_and(|port| port.is_empty() || port.starts_with(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn these_are_kept_as_they_are() {
        for url in [
            "https://app.example.org/callback",
            "https://APP.example.org",
            "https://app.example.org:8443/cb?tenant=1&x=%2F",
            "http://localhost:8080/cb",
            "http://127.0.0.1/cb",
            "http://[::1]:9000",
            "org.example.app:/callback",
            "org.example.app://callback",
        ] {
            assert_eq!(RedirectUrl::try_new(url).unwrap().as_str(), url);
        }
        assert_eq!(
            RedirectUrl::try_new(" https://a.example \n")
                .unwrap()
                .as_str(),
            "https://a.example"
        );
    }

    #[test]
    fn each_rule_has_its_name() {
        let table = [
            ("", Broken::Invalid),
            ("/callback", Broken::Invalid),
            ("app.example.org/cb", Broken::Invalid),
            ("https:app.example.org", Broken::Invalid),
            ("https:///cb", Broken::Invalid),
            ("https://a b.example/", Broken::Invalid),
            ("https://a.example/\\evil", Broken::Invalid),
            ("https://ä.example/", Broken::Invalid),
            ("https://[::zz]/", Broken::Invalid),
            ("org.example.app:", Broken::Invalid),
            ("java\nscript:alert(1)", Broken::Invalid),
            ("javascript:alert(1)", Broken::Scheme),
            ("JavaScript:alert(' ')//#*", Broken::Scheme),
            ("data:text/html,hi", Broken::Scheme),
            ("file:///etc/passwd", Broken::Scheme),
            ("ftp://a.example/", Broken::Scheme),
            ("myapp:/callback", Broken::Scheme),
            ("https://*.example.org/cb", Broken::Wildcard),
            ("https://app.example.org/*", Broken::Wildcard),
            ("https://app.example.org/cb#", Broken::Fragment),
            ("https://app.example.org/cb#frag", Broken::Fragment),
            ("https://user@app.example.org/", Broken::Userinfo),
            ("https://app.example.org:x@evil.example/", Broken::Userinfo),
            ("https://@app.example.org/", Broken::Userinfo),
            ("http://app.example.org/cb", Broken::NotHttps),
            ("http://localhost.evil.example/", Broken::NotHttps),
            ("http://127.1/cb", Broken::NotHttps),
            ("http://[::ffff:127.0.0.1]/", Broken::NotHttps),
        ];
        for (url, broken) in table {
            assert_eq!(RedirectUrl::try_new(url), Err(broken), "{url}");
        }
        let long = format!("https://a.example/{}", "a".repeat(LONGEST));
        assert_eq!(RedirectUrl::try_new(&long), Err(Broken::Invalid));
    }

    #[test]
    fn lists_tell_all_and_drop_duplicates() {
        let given: Vec<String> = ["https://a.example", "x:y", "https://a.example", "http://b"]
            .map(str::to_owned)
            .to_vec();
        let mut problems = Problems::default();
        let urls = list(&mut problems, "redirect_urls", &given);
        assert_eq!(urls.len(), 1);
        let fields: Vec<(String, String)> = problems
            .into_result()
            .unwrap_err()
            .fields
            .into_iter()
            .map(|f| (f.field, f.code))
            .collect();
        assert_eq!(
            fields,
            [
                ("redirect_urls[1]".into(), "redirect_url_scheme".into()),
                ("redirect_urls[3]".into(), "redirect_url_not_https".into()),
            ]
        );
        let many: Vec<String> = (0..21).map(|n| format!("https://a.example/{n}")).collect();
        let mut problems = Problems::default();
        list(&mut problems, "redirect_urls", &many);
        assert_eq!(
            problems.into_result().unwrap_err().code,
            "redirect_urls_too_many"
        );
    }
}
