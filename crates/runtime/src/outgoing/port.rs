//! Which ports may be called.

use std::str::FromStr;

/// Ports that may be called, as ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortList(Vec<PortRange>);

/// `443` or `8000-8999`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange(u16, u16);

/// Neither a port nor a range of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a port such as 443 or a range such as 8000-8999")]
pub struct PortRangeError;

impl PortList {
    /// Whether a port is listed.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.0
            .iter()
            .any(|range| (range.0..=range.1).contains(&port))
    }
}

impl Default for PortList {
    /// The web, and what needs no privilege to listen on; so no SSH, mail or DNS.
    fn default() -> Self {
        Self(vec![
            PortRange(80, 80),
            PortRange(443, 443),
            PortRange(1024, u16::MAX),
        ])
    }
}

impl FromIterator<PortRange> for PortList {
    fn from_iter<T: IntoIterator<Item = PortRange>>(ranges: T) -> Self {
        Self(ranges.into_iter().collect())
    }
}

impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(first), Ok(last)) if 0 < first && first <= last => Ok(Self(first, last)),
            _ => Err(PortRangeError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_ends() {
        let ports: PortList = ["443", "8000-8999"]
            .map(|p| p.parse().unwrap())
            .into_iter()
            .collect();
        for (port, listed) in [
            (443, true),
            (444, false),
            (8000, true),
            (8999, true),
            (9000, false),
        ] {
            assert_eq!(ports.contains(port), listed, "{port}");
        }
        for wrong in ["", "0", "a", "9-8", "1-", "65536"] {
            assert_eq!(wrong.parse::<PortRange>(), Err(PortRangeError), "{wrong}");
        }
        let default = PortList::default();
        assert!(default.contains(443) && default.contains(8443));
        assert!(!default.contains(22) && !default.contains(25));
    }
}
