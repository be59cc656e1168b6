//! Parsers of single values.

use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use crate::outgoing::address::without_host_bits;

/// A number and a unit: `500ms`, `30s`, `5m`, `12h`, `14d`. Above zero.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "must be a duration such as 500ms, 30s, 5m, 12h or 14d".to_owned();
    let text = text.trim();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let milliseconds: u64 = match unit.trim_start() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => return Err(wrong()),
    };
    text[..text.len() - unit.len()]
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(milliseconds))
        .filter(|total| *total > 0)
        .map(Duration::from_millis)
        .ok_or_else(wrong)
}

/// A URL with a host and one of these schemes.
pub(super) fn url(text: &str, schemes: &[&str]) -> Result<Url, String> {
    let text = text.trim();
    let begins = |scheme: &&str| {
        let given = text.split_once("://").map_or("", |(scheme, _)| scheme);
        given.eq_ignore_ascii_case(scheme)
    };
    if !schemes.iter().any(begins) {
        let schemes = schemes.join(":// or ");
        return Err(format!("must be a URL that begins with {schemes}://"));
    }
    match text.parse::<Url>() {
        Ok(url) if url.has_host() => Ok(url),
        Ok(_) => Err("must be a URL with a host".to_owned()),
        Err(error) => Err(format!("must be a valid URL: {error}")),
    }
}

/// A network, such as 10.0.0.0/8.
pub(super) struct Network(pub(super) IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let net: IpNet = text
            .parse()
            .map_err(|_| "must be a network such as 10.0.0.0/8".to_owned())?;
        without_host_bits(net).map(Self)
    }
}

/// A URL with a scheme of these, a host, perhaps a port, and nothing else.
pub(super) fn origin(text: &str, schemes: &[&str]) -> Result<Url, String> {
    url(text, schemes).and_then(|url| {
        let more = url.path() != "/"
            || url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty();
        if more {
            return Err("must be scheme, host and port, such as http://catalog:3002".to_owned());
        }
        Ok(url)
    })
}

/// A URL without its password; anything else is masked as a whole.
pub(super) fn mask_url(text: &str) -> String {
    let Ok(mut url) = text.parse::<Url>() else {
        return "***".to_owned();
    };
    if !url.has_host() {
        return "***".to_owned();
    }
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return "***".to_owned();
    }
    // A token may stand where a user name does, and options may hold secrets.
    if !url.username().is_empty() && url.password().is_none() && url.set_username("***").is_err() {
        return "***".to_owned();
    }
    if url.query().is_some() {
        url.set_query(Some("***"));
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("30s", 30),
            ("5m", 300),
            ("12h", 43_200),
            ("14 d", 1_209_600),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for wrong in [
            "",
            "30",
            "s",
            "0s",
            "-1s",
            "1.5s",
            "1w",
            "99999999999999999999d",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        let postgres = ["postgres", "postgresql"];
        for (text, words) in [
            ("postgres://db:99999/d", "invalid port number"),
            ("postgres:///d", "with a host"),
            ("mysql://db/d", "begins with postgres:// or postgresql://"),
            ("db:5432", "begins with postgres:// or postgresql://"),
        ] {
            let error = url(text, &postgres).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(url("POSTGRES://db:5432/d", &postgres).is_ok());
    }

    #[test]
    fn networks_have_no_host_bits() {
        let parse = |text: &str| text.parse::<Network>().map(|Network(net)| net.to_string());
        assert_eq!(parse("10.0.0.0/8").unwrap(), "10.0.0.0/8");
        assert_eq!(parse("10.0.0.1/32").unwrap(), "10.0.0.1/32");
        for (text, words) in [
            (
                "10.0.0.1/8",
                "the network is 10.0.0.0/8, the host 10.0.0.1/32",
            ),
            ("fd00::1/8", "the network is fd00::/8, the host fd00::1/128"),
            ("10.0.0.1", "such as 10.0.0.0/8"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn passwords_and_tokens_in_urls_are_masked() {
        for (text, masked) in [
            ("postgres://u:secret@db/p", "postgres://u:***@db/p"),
            ("nats://secret@nats:4222", "nats://***@nats:4222"),
            ("smtp://mail:25", "smtp://mail:25"),
            ("postgres://db/p?password=secret", "postgres://db/p?***"),
            ("secret", "***"),
            ("secret:secret", "***"),
        ] {
            assert_eq!(mask_url(text), masked);
        }
    }
}
