//! Protection against cross-site request forgery (OWASP ASVS 5.0 section 3.5): a request that the browser authenticates
//! with a cookie must show that it comes from our own pages.

use std::fmt;

use axum::http::{HeaderMap, HeaderValue, Method};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use portico_proto::{Error, Kind};
use portico_vault::Secret;
use sha2::Sha256;
use url::Url;

/// Name of the form field that carries the token.
pub const FIELD: &str = "csrf_token";

/// Creates and verifies the tokens in forms. Each is derived from the session, or before there is one from the random
/// value of the visit cookie, so that nothing needs to be stored.
#[derive(Clone)]
pub struct Csrf {
    key: [u8; 32],
    origin: String,
}

impl fmt::Debug for Csrf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Csrf")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Csrf {
    /// With a key that all replicas share, for pages under this origin.
    pub fn new(key: [u8; 32], public_url: &Url) -> Self {
        Self {
            key,
            origin: public_url.origin().ascii_serialization(),
        }
    }

    /// The token for the forms of a session (or of a visit).
    pub fn csrf_token(&self, session: &Secret) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(session).finalize().into_bytes())
    }

    /// Whether a form carries the token of this session (or visit).
    ///
    /// # Errors
    /// `csrf_failed`.
    pub fn verify(&self, session: &Secret, token: &str) -> Result<(), Error> {
        let given = URL_SAFE_NO_PAD.decode(token).map_err(|_| refused())?;
        // Compares in constant time.
        self.mac(session)
            .verify_slice(&given)
            .map_err(|_| refused())
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    fn mac(&self, session: &Secret) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes 32 bytes");
        mac.update(session.expose().as_bytes());
        mac
    }

    /// For a request with a cookie: its headers must say that it comes from our own pages.
    ///
    /// # Errors
    /// `csrf_failed`.
    pub fn require_same_origin(&self, method: &Method, headers: &HeaderMap) -> Result<(), Error> {
        match self.origin_of(headers) {
            _ if method.is_safe() => Ok(()),
            Some(true) => Ok(()),
            Some(false) | None => Err(refused()),
        }
    }

    /// For signing in, which needs no cookie but can be forged as well: a request that says that it comes from another
    /// origin is refused; programs say nothing.
    ///
    /// # Errors
    /// `csrf_failed`.
    pub fn refuse_cross_origin(&self, headers: &HeaderMap) -> Result<(), Error> {
        match self.origin_of(headers) {
            Some(false) => Err(refused()),
            Some(true) | None => Ok(()),
        }
    }

    /// Whether a request comes from our own pages; `None` where it does not say.
    fn origin_of(&self, headers: &HeaderMap) -> Option<bool> {
        if let Some(site) = headers.get("sec-fetch-site") {
            // Browsers set it themselves, scripts cannot (Fetch Metadata section 2).
            return Some(site == "same-origin");
        }
        let origin = headers.get(http::header::ORIGIN)?;
        // Browsers leave the other header out where the portal is reached by plain http under another name than
        // its public one, such as an address in the own network.
        Some(origin == self.origin.as_str() || is_at(origin, headers.get(http::header::HOST)))
    }
}

/// Whether an origin has the host and port that the request was sent to.
fn is_at(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let authority = origin
        .to_str()
        .ok()
        .and_then(|origin| Some(origin.split_once("://")?.1));
    match (authority, host) {
        (Some(authority), Some(host)) => host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()),
        _ => false,
    }
}

fn refused() -> Error {
    Error::new(
        Kind::Forbidden,
        "csrf_failed",
        "This request does not come from a page of this portal. Reload the page, or send an API token as a Bearer token.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csrf(key: u8) -> Csrf {
        Csrf::new([key; 32], &"https://portal.example:8443/".parse().unwrap())
    }

    #[test]
    fn a_token_belongs_to_its_session_and_key() {
        let (one, other) = (Secret::new("session-one"), Secret::new("session-two"));
        let token = csrf(1).csrf_token(&one);
        assert_eq!(csrf(1).verify(&one, &token), Ok(()));
        for (key, session, token) in [
            (1, &other, token.as_str()),
            (2, &one, token.as_str()),
            (1, &one, ""),
            (1, &one, "session-one"),
            (1, &one, &token[1..]),
        ] {
            assert_eq!(
                csrf(key).verify(session, token).unwrap_err().code,
                "csrf_failed"
            );
        }
    }

    #[test]
    fn where_a_request_comes_from() {
        type Headers = &'static [(&'static str, &'static str)];
        let table: [(Headers, bool, bool); 12] = [
            // headers, with a cookie, when signing in
            (&[("sec-fetch-site", "same-origin")], true, true),
            (&[("sec-fetch-site", "cross-site")], false, false),
            (&[("sec-fetch-site", "same-site")], false, false),
            (&[("sec-fetch-site", "none")], false, false),
            (&[("origin", "https://portal.example:8443")], true, true),
            (&[("origin", "https://evil.example")], false, false),
            (&[("origin", "null")], false, false),
            (
                &[
                    ("origin", "http://10.0.0.7:3000"),
                    ("host", "10.0.0.7:3000"),
                ],
                true,
                true,
            ),
            (
                &[
                    ("origin", "http://10.0.0.7:4000"),
                    ("host", "10.0.0.7:3000"),
                ],
                false,
                false,
            ),
            (
                &[
                    ("origin", "http://10.0.0.7:3000.evil.example"),
                    ("host", "10.0.0.7:3000"),
                ],
                false,
                false,
            ),
            (&[("origin", "null"), ("host", "null")], false, false),
            (&[], false, true),
        ];
        for (headers, with_cookie, signing_in) in table {
            let map: HeaderMap = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            let csrf = csrf(1);
            assert_eq!(
                csrf.require_same_origin(&Method::POST, &map).is_ok(),
                with_cookie,
                "{headers:?}"
            );
            assert_eq!(
                csrf.refuse_cross_origin(&map).is_ok(),
                signing_in,
                "{headers:?}"
            );
            assert!(csrf.require_same_origin(&Method::GET, &map).is_ok());
        }
        let both: HeaderMap = [
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://portal.example:8443"),
        ]
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
        assert!(csrf(1).require_same_origin(&Method::POST, &both).is_err());
    }
}
