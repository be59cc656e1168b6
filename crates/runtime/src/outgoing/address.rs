//! Which addresses may be called: public ones, and what the operator lists.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::Host;

/// Special-purpose IPv4 networks (RFC 6890 and its registry), among them private, loopback, link-local, carrier-grade
/// NAT, documentation, benchmark, multicast and reserved ones.
const SPECIAL_V4: [Ipv4Net; 15] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
];

/// All that is routed in IPv6. Loopback, unspecified, unique local, link-local and multicast lie outside.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 3);

/// Special-purpose networks inside [`GLOBAL_V6`]: protocol assignments with Teredo, documentation, 6to4.
const SPECIAL_V6: [Ipv6Net; 4] = [
    v6(0x2001, 0, 23),
    v6(0x2001, 0xdb8, 32),
    v6(0x2002, 0, 16),
    v6(0x3fff, 0, 20),
];

/// NAT64 (RFC 6052): the last 32 bits are an IPv4 address.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 96);

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

/// Whether an address is in the public internet. What is not known to be public is not.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|net| net.contains(&address)),
        IpAddr::V6(address) if NAT64.contains(&address) => {
            let [.., a, b, c, d] = address.octets();
            is_public(Ipv4Addr::new(a, b, c, d).into())
        }
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !SPECIAL_V6.iter().any(|net| net.contains(&address))
        }
    }
}

/// Private addresses that outgoing calls may reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(Vec<AllowEntry>);

/// A host name, an address or a network, with a port or for any port:
/// `idp.internal`, `idp.internal:8443`, `10.0.0.7`, `10.0.0.0/8`, `[fd00::1]:80`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowEntry {
    target: Target,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Name(String),
    Net(IpNet),
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowEntryError {
    /// It is none of the forms of [`AllowEntry`].
    #[error("must be a host, host:port, address, address:port or network such as 10.0.0.0/8")]
    Form,
    /// A network with the address of a host.
    #[error("{0}")]
    HostBits(String),
    /// An address in another way of writing, such as `10.1` or `0x7f.1`.
    #[error("must be written as {0}, if that address is meant")]
    Spelling(IpAddr),
}

impl AllowList {
    /// Whether a host name is listed, whatever it resolves to.
    #[must_use]
    pub fn has_name(&self, name: &str, port: u16) -> bool {
        let name = name.trim_end_matches('.');
        self.for_port(port).any(
            |entry| matches!(&entry.target, Target::Name(listed) if listed.eq_ignore_ascii_case(name)),
        )
    }

    /// Whether an address is listed. `localhost` lists the loopback addresses too (RFC 6761 section 6.3).
    #[must_use]
    pub fn has_address(&self, address: IpAddr, port: u16) -> bool {
        let address = address.to_canonical();
        self.for_port(port).any(|entry| match &entry.target {
            Target::Net(net) => net.contains(&address),
            Target::Name(name) => name == "localhost" && address.is_loopback(),
        })
    }

    /// Whether a host of a URL is listed for just this port. It is then exempt from the list of ports.
    #[must_use]
    pub fn names_port(&self, host: &Host<&str>, port: u16) -> bool {
        let exact = Self(
            self.for_port(port)
                .filter(|entry| entry.port.is_some())
                .cloned()
                .collect(),
        );
        match *host {
            Host::Domain(name) => exact.has_name(name, port),
            Host::Ipv4(address) => exact.has_address(address.into(), port),
            Host::Ipv6(address) => exact.has_address(address.into(), port),
        }
    }

    /// Whether a network of it has all addresses.
    #[must_use]
    pub fn has_everything(&self) -> bool {
        let all =
            |entry: &AllowEntry| matches!(&entry.target, Target::Net(net) if net.prefix_len() == 0);
        self.0.iter().any(all)
    }

    /// Whether an entry is for one port only.
    #[must_use]
    pub fn has_ports(&self) -> bool {
        self.0.iter().any(|entry| entry.port.is_some())
    }

    fn for_port(&self, port: u16) -> impl Iterator<Item = &AllowEntry> {
        self.0
            .iter()
            .filter(move |entry| entry.port.is_none_or(|only| only == port))
    }
}

impl FromIterator<AllowEntry> for AllowList {
    fn from_iter<T: IntoIterator<Item = AllowEntry>>(entries: T) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl FromStr for AllowEntry {
    type Err = AllowEntryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let any_port = |target| Ok(Self { target, port: None });
        if let Ok(net) = text.parse::<IpNet>() {
            let net = without_host_bits(net).map_err(AllowEntryError::HostBits)?;
            return any_port(Target::Net(net));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return any_port(Target::Net(address.to_canonical().into()));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self {
                target: Target::Net(address.ip().to_canonical().into()),
                port: Some(address.port()),
            });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| AllowEntryError::Form)?)),
            None => (text, None),
        };
        Ok(Self {
            target: host.parse()?,
            port,
        })
    }
}

impl FromStr for Target {
    type Err = AllowEntryError;

    fn from_str(host: &str) -> Result<Self, Self::Err> {
        match Host::parse(host) {
            Ok(Host::Domain(name)) if !name.contains('*') => {
                Ok(Self::Name(name.trim_end_matches('.').to_ascii_lowercase()))
            }
            // An address as such was parsed before.
            Ok(Host::Ipv4(address)) if host.parse() != Ok(address) => {
                Err(AllowEntryError::Spelling(address.into()))
            }
            Ok(Host::Ipv4(address)) => Ok(Self::Net(IpAddr::from(address).into())),
            Ok(Host::Ipv6(address)) => Ok(Self::Net(IpAddr::from(address).to_canonical().into())),
            _ => Err(AllowEntryError::Form),
        }
    }
}

impl fmt::Display for AllowEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.target, self.port) {
            (Target::Name(name), None) => f.write_str(name),
            (Target::Name(name), Some(port)) => write!(f, "{name}:{port}"),
            (Target::Net(net), None) => write!(f, "{net}"),
            (Target::Net(net), Some(port)) => {
                write!(f, "{}", SocketAddr::new(net.addr(), port))
            }
        }
    }
}

/// Refuses a network with the address of a host in it: it is not known which of both was meant.
pub(crate) fn without_host_bits(net: IpNet) -> Result<IpNet, String> {
    match net.trunc() {
        right if right == net => Ok(net),
        right => {
            let host = IpNet::from(net.addr());
            Err(format!(
                "has host bits set: the network is {right}, the host {host}"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn list(entries: &[&str]) -> AllowList {
        entries.iter().map(|entry| entry.parse().unwrap()).collect()
    }

    #[test]
    fn public_addresses_are_public() {
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(ip(public)), "{public}");
        }
    }

    /// First and last address of every range.
    #[test]
    fn special_addresses_are_not_public() {
        for special in [
            ("unspecified", ["0.0.0.0", "0.255.255.255"]),
            ("private 10", ["10.0.0.0", "10.255.255.255"]),
            ("carrier-grade NAT", ["100.64.0.0", "100.127.255.255"]),
            ("loopback", ["127.0.0.0", "127.255.255.255"]),
            ("link-local", ["169.254.0.0", "169.254.255.255"]),
            ("private 172", ["172.16.0.0", "172.31.255.255"]),
            ("protocol assignments", ["192.0.0.0", "192.0.0.255"]),
            ("documentation 1", ["192.0.2.0", "192.0.2.255"]),
            ("6to4 relay", ["192.88.99.0", "192.88.99.255"]),
            ("private 192", ["192.168.0.0", "192.168.255.255"]),
            ("benchmark", ["198.18.0.0", "198.19.255.255"]),
            ("documentation 2", ["198.51.100.0", "198.51.100.255"]),
            ("documentation 3", ["203.0.113.0", "203.0.113.255"]),
            ("multicast", ["224.0.0.0", "239.255.255.255"]),
            ("reserved, broadcast", ["240.0.0.0", "255.255.255.255"]),
            ("v6 unspecified, loopback", ["::", "::1"]),
            ("v4-compatible", ["::7f00:1", "::ffff:ffff"]),
            ("v4-mapped", ["::ffff:127.0.0.1", "::ffff:10.1.2.3"]),
            ("NAT64 of private", ["64:ff9b::7f00:1", "64:ff9b::a00:1"]),
            ("local NAT64, discard", ["64:ff9b:1::1", "100::1"]),
            ("Teredo, ORCHID", ["2001::1", "2001:1ff:ffff::1"]),
            ("v6 documentation", ["2001:db8::1", "3fff::1"]),
            ("6to4 of private", ["2002:7f00:1::", "2002:a00:1::"]),
            ("segment routing", ["5f00::1", "5fff::1"]),
            ("unique local", ["fc00::", "fdff:ffff::1"]),
            ("v6 link-local, site-local", ["fe80::1", "fec0::1"]),
            ("v6 multicast", ["ff00::", "ffff::1"]),
        ] {
            for address in special.1 {
                assert!(!is_public(ip(address)), "{}: {address}", special.0);
            }
        }
    }

    #[test]
    fn entries_of_every_form_match_what_they_say() {
        let allow = list(&[
            "IdP.internal.",
            "gateway.internal:8080",
            "10.1.2.3",
            "192.168.0.0/16",
            "127.0.0.1:9000",
            "[fd00::1]:80",
            "fd01::/16",
        ]);
        assert!(allow.has_name("idp.internal", 443));
        assert!(allow.has_name("IDP.INTERNAL.", 80));
        assert!(!allow.has_name("evil-idp.internal", 443));
        assert!(allow.has_name("gateway.internal", 8080));
        assert!(!allow.has_name("gateway.internal", 22));
        assert!(allow.has_address(ip("10.1.2.3"), 1));
        assert!(allow.has_address(ip("::ffff:10.1.2.3"), 1));
        assert!(!allow.has_address(ip("10.1.2.4"), 1));
        assert!(allow.has_address(ip("192.168.77.1"), 443));
        assert!(allow.has_address(ip("127.0.0.1"), 9000));
        assert!(!allow.has_address(ip("127.0.0.1"), 9001));
        assert!(allow.has_address(ip("fd00::1"), 80));
        assert!(allow.has_address(ip("fd01::7"), 1));
        assert!(!AllowList::default().has_address(ip("127.0.0.1"), 80));
    }

    #[test]
    fn localhost_lists_loopback_addresses_and_nothing_else() {
        let allow = list(&["localhost"]);
        assert!(allow.has_name("localhost", 80));
        assert!(allow.has_address(ip("127.0.0.1"), 80));
        assert!(allow.has_address(ip("::1"), 80));
        assert!(!allow.has_address(ip("10.0.0.1"), 80));
        assert!(!list(&["localhost:80"]).has_address(ip("127.0.0.1"), 81));
    }

    #[test]
    fn only_an_entry_with_a_port_exempts_from_the_list_of_ports() {
        let allow = list(&["a.internal", "b.internal:25", "10.0.0.1:25"]);
        assert!(!allow.names_port(&Host::Domain("a.internal"), 25));
        assert!(allow.names_port(&Host::Domain("b.internal"), 25));
        assert!(allow.names_port(&Host::Ipv4(Ipv4Addr::new(10, 0, 0, 1)), 25));
    }

    #[test]
    fn other_entries_are_refused() {
        for wrong in [
            "",
            "*",
            "*.internal",
            "http://localhost",
            "a b",
            "host:port",
            "host:70000",
            "10.0.0.0/33",
        ] {
            assert_eq!(
                wrong.parse::<AllowEntry>(),
                Err(AllowEntryError::Form),
                "{wrong}"
            );
        }
    }

    #[test]
    fn an_entry_that_means_something_else_says_what() {
        for (text, words) in [
            ("10.1", "written as 10.0.0.1"),
            ("0x7f.1:80", "written as 127.0.0.1"),
            ("10.0.0.1/8", "the network is 10.0.0.0/8"),
        ] {
            let error = text.parse::<AllowEntry>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(list(&["idp.internal", "0.0.0.0/0"]).has_everything());
        assert!(!list(&["10.0.0.0/8"]).has_everything());
    }

    #[test]
    fn entries_print_as_they_are_written() {
        for text in ["idp.internal", "a:80", "10.0.0.0/8", "[fd00::1]:80"] {
            assert_eq!(text.parse::<AllowEntry>().unwrap().to_string(), text);
        }
    }
}
