//! The host that a request is for (RFC 9112 section 3.2).

use http::{HeaderMap, HeaderValue, Version, header, uri::Authority};
use portico_proto::Error;

/// Requires one valid `Host`; HTTP/1.0 and HTTP/2, which has `:authority`, may leave it out.
///
/// # Errors
/// `host_invalid`.
pub(in crate::edge) fn require(version: Version, headers: &HeaderMap) -> Result<(), Error> {
    let mut lines = headers.get_all(header::HOST).iter();
    let right = match (lines.next(), lines.next()) {
        (None, _) => version != Version::HTTP_11,
        (Some(only), None) => is_host(only),
        (Some(_), Some(_)) => false,
    };
    match right {
        true => Ok(()),
        false => Err(Error::field(
            "Host",
            "host_invalid",
            "The header `Host` must be sent once, with a host and, where need be, a port.",
        )),
    }
}

/// A host and a port, without user information (RFC 9110 section 7.2).
fn is_host(value: &HeaderValue) -> bool {
    let Some(authority) = value
        .to_str()
        .ok()
        .and_then(|text| text.parse::<Authority>().ok())
    else {
        return false;
    };
    let port = authority.as_str().strip_prefix(authority.host());
    !authority.host().is_empty()
        && port.is_some_and(|port| matches!(port, "" | ":") || authority.port_u16().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_is_needed() {
        for (lines, right) in [
            (&["portal.example"][..], true),
            (&["portal.example:8443"], true),
            (&["127.0.0.1:3000"], true),
            (&["[::1]:3000"], true),
            (&[], false),
            (&[""], false),
            (&["a.example", "a.example"], false),
            (&["evil.example/x@y"], false),
            (&["user@a.example"], false),
            (&["a.example:x"], false),
            (&["a.example:99999"], false),
            (&["a example"], false),
        ] {
            let lines_of = lines
                .iter()
                .map(|line| (header::HOST, line.parse().unwrap()));
            let headers: HeaderMap = lines_of.collect();
            assert_eq!(
                require(Version::HTTP_11, &headers).is_ok(),
                right,
                "{lines:?}"
            );
        }
        for version in [Version::HTTP_10, Version::HTTP_2] {
            assert_eq!(require(version, &HeaderMap::new()), Ok(()));
        }
    }
}
