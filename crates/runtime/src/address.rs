//! Network addresses of callers: whom one stands for, and how much of it may be logged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::LogAddresses;

/// Bits of an address that are logged: a network of some hundred households.
const SHORT_V4: u32 = 24;
const SHORT_V6: u32 = 48;

/// What one customer of a provider has: an IPv4 address, or an IPv6 network of 64 bits, whose addresses are free to
/// choose. The unit of every limit by address.
#[must_use]
pub fn household(address: IpAddr) -> IpAddr {
    prefix(address, 32, 64)
}

/// An address, with or without a port, as it may be logged; `None` where it may not, or there is none.
#[must_use]
pub fn logged(address: &str, shown: LogAddresses) -> Option<String> {
    let address = parse(address)?;
    match shown {
        LogAddresses::None => None,
        LogAddresses::Full => Some(address.to_canonical().to_string()),
        LogAddresses::Short => {
            let network = prefix(address, SHORT_V4, SHORT_V6);
            let bits = if network.is_ipv4() {
                SHORT_V4
            } else {
                SHORT_V6
            };
            Some(format!("{network}/{bits}"))
        }
    }
}

/// Reads an address with or without a port, an IPv6 address also in brackets (RFC 7239 section 6).
#[must_use]
pub fn parse(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    bare.unwrap_or(text).parse().ok().or_else(with_port)
}

/// The beginning of an address, `v4` or `v6` bits of it, the rest zero. An IPv4 address within IPv6 counts as IPv4.
fn prefix(address: IpAddr, v4: u32, v6: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let kept = u32::MAX.checked_shl(32 - v4.min(32)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & kept))
        }
        IpAddr::V6(address) => {
            let kept = u128::MAX.checked_shl(128 - v6.min(128)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & kept))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_household_has_one_address() {
        let of = |text: &str| household(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:7"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn an_address_may_have_a_port_and_brackets() {
        for (text, address) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:80", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:80", Some("2001:db8::1")),
            ("[2001:db8::1", None),
            ("unknown", None),
            ("", None),
        ] {
            assert_eq!(
                parse(text),
                address.map(|text| text.parse().unwrap()),
                "{text}"
            );
        }
    }

    #[test]
    fn addresses_are_logged_as_the_operator_says() {
        for (address, short, full) in [
            ("192.0.2.77:8080", "192.0.2.0/24", "192.0.2.77"),
            ("::ffff:192.0.2.77", "192.0.2.0/24", "192.0.2.77"),
            (
                "[2001:db8:1:2::3]:443",
                "2001:db8:1::/48",
                "2001:db8:1:2::3",
            ),
        ] {
            assert_eq!(logged(address, LogAddresses::Short).as_deref(), Some(short));
            assert_eq!(logged(address, LogAddresses::Full).as_deref(), Some(full));
            assert_eq!(logged(address, LogAddresses::None), None);
        }
        assert_eq!(logged("", LogAddresses::Full), None);
    }
}
