//! Network addresses of callers: whom one stands for, and how much of it may be logged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What one customer of a provider has: an IPv4 address, or an IPv6 network of 64 bits, whose addresses are free to
/// choose. The unit of every limit by address.
#[must_use]
pub fn household(address: IpAddr) -> IpAddr {
    prefix(address, 32, 64)
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
}
