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
    Encoding,
    Control,
    Brackets,
    Port,
    Host,
    DotSegment,
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
            Self::Encoding => "redirect_url_encoding",
            Self::Control => "redirect_url_control",
            Self::Brackets => "redirect_url_brackets",
            Self::Port => "redirect_url_port",
            Self::Host => "redirect_url_host",
            Self::DotSegment => "redirect_url_dot_segment",
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
            Self::Encoding => {
                "has a `%` without two hexadecimal digits after it; a percent sign itself is written `%25`."
            }
            Self::Control => {
                "must not have control characters, percent-encoded ones such as `%00` or `%0A` included."
            }
            Self::Brackets => {
                "must not have `[` or `]` after the host; they are written `%5B` and `%5D` there."
            }
            Self::Port => {
                "must have a port from 1 to 65535 after the `:` that follows the host, or no `:` there."
            }
            Self::Host => {
                "must have a host whose parts between dots have 1 to 63 characters, 253 in all; an IPv4 address is written \
                 with four decimal numbers."
            }
            Self::DotSegment => {
                "must not have the path segments `.` or `..`; give the path that they lead to."
            }
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
        check_encoding(text)?;
        let url = Url::parse(text).map_err(|_| Broken::Invalid)?;
        // The parser takes `https:host` and drops an empty user name; exact comparison at a provider does not.
        let authority = rest
            .strip_prefix("//")
            .map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
        if authority.is_some_and(|authority| authority.contains('@')) {
            return Err(Broken::Userinfo);
        }
        check_written(rest, authority, &url)?;
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
        // `0x7f.1` is an address to one parser and a name to another.
        if let Some(url::Host::Ipv4(address)) = url.host()
            && authority.is_some_and(|authority| host_of(authority) != address.to_string())
        {
            return Err(Broken::Host);
        }
        Ok(Self(text.to_owned()))
    }
}

/// RFC 3986 section 2.1.
fn check_encoding(text: &str) -> Result<(), Broken> {
    let mut after = text.split('%').skip(1);
    let is_encoded = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !after.all(is_encoded) {
        return Err(Broken::Encoding);
    }
    // Of a line end a server may make a header, and U+0000 ends a text in others.
    let is_control = |rest: &str| {
        let digits = rest
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        digits.is_some_and(|byte| byte.is_ascii_control())
    };
    match text.split('%').skip(1).any(is_control) {
        true => Err(Broken::Control),
        false => Ok(()),
    }
}

/// The host of an authority without user information.
fn host_of(authority: &str) -> &str {
    authority.split(':').next().unwrap_or_default()
}

/// What parsers mend in silence and an exact comparison at a provider does not: so two URLs that a browser takes for one
/// would differ there. `rest` follows the scheme.
fn check_written(rest: &str, authority: Option<&str>, url: &Url) -> Result<(), Broken> {
    let after = match authority {
        // Two slashes and the authority are in front.
        Some(authority) => rest.get(2 + authority.len()..).unwrap_or_default(),
        None => rest,
    };
    // RFC 3986 section 3.2.2: for IP literals only.
    if after.contains(['[', ']']) {
        return Err(Broken::Brackets);
    }
    let path = after.split('?').next().unwrap_or_default();
    let is_dots = |segment: &str| {
        let segment = segment.replace("%2e", ".").replace("%2E", ".");
        segment == "." || segment == ".."
    };
    if path.split('/').any(is_dots) {
        return Err(Broken::DotSegment);
    }
    if url.port() == Some(0) || authority.is_some_and(|authority| authority.ends_with(':')) {
        return Err(Broken::Port);
    }
    match url.host() {
        Some(url::Host::Domain(name)) if !is_name(name) => Err(Broken::Host),
        _ => Ok(()),
    }
}

/// RFC 1035 section 2.3.4; the root may be written.
fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()))
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
            "https://app.example.org/a,b?c=1,2",
            "https://app.example.org/.well-known/cb?next=..%2Fa&x=a/../b",
            "https://[2001:db8::1]:8443/cb",
            "https://192.0.2.1:8443/cb",
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
            ("https://app.example.org/%", Broken::Encoding),
            ("https://app.example.org/cb?x=%2", Broken::Encoding),
            ("https://app.example.org/%zz", Broken::Encoding),
            ("org.example.app:/%g0", Broken::Encoding),
            ("https://app.example.org/%00", Broken::Control),
            (
                "https://app.example.org/%0d%0aSet-Cookie:a",
                Broken::Control,
            ),
            ("https://app.example.org/cb?x=%7F", Broken::Control),
            ("https://app.example.org:0/", Broken::Port),
            ("http://localhost:0/cb", Broken::Port),
            ("org.example.app://cb:0/", Broken::Port),
            ("https://0x7f.1/", Broken::Host),
            ("https://127.1:8443/", Broken::Host),
            ("https://192.0.2.1./", Broken::Host),
            ("https://app.example.org/a[0]", Broken::Brackets),
            ("https://app.example.org/cb?a[]=1", Broken::Brackets),
            ("org.example.app:/a]b", Broken::Brackets),
            ("https://app.example.org:/cb", Broken::Port),
            ("https://app.example.org:", Broken::Port),
            ("http://localhost:/cb", Broken::Port),
            ("https://app.example.org/a/../cb", Broken::DotSegment),
            ("https://app.example.org/./cb", Broken::DotSegment),
            ("https://app.example.org/a/%2E%2e", Broken::DotSegment),
            ("org.example.app:/a/..", Broken::DotSegment),
            ("https://app..example.org/", Broken::Host),
        ];
        for (url, broken) in table {
            assert_eq!(RedirectUrl::try_new(url), Err(broken), "{url}");
        }
        let label = |length: usize| format!("https://{}.example/cb", "a".repeat(length));
        assert!(RedirectUrl::try_new(&label(63)).is_ok());
        assert_eq!(RedirectUrl::try_new(&label(64)), Err(Broken::Host));
        let name = vec!["a".repeat(60); 5].join(".");
        assert_eq!(
            RedirectUrl::try_new(&format!("https://{name}/")),
            Err(Broken::Host)
        );
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
