//! What a process runs: all of Portico, or some of it.

use clap::ValueEnum;
use portico_runtime::ServiceName;

/// As on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Everything in one process.
    All,
    /// Products and plans.
    Catalog,
    /// Applications, carts, access requests.
    AccessRequest,
    /// Identity providers, client types, OAuth clients.
    Registration,
    /// API gateways, scope mappings, API keys.
    Gateway,
    /// E-mail.
    Notification,
    /// Users, sessions, API tokens.
    Accounts,
    /// The portal, REST, the event stream and public gRPC.
    Edge,
}

/// Some of Portico.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// In the order of [`ServiceName::ALL`].
    pub services: Vec<ServiceName>,
    /// Whether the edge is among them.
    pub edge: bool,
}

impl Part {
    fn service(self) -> Option<ServiceName> {
        match self {
            Self::All | Self::Edge => None,
            Self::Catalog => Some(ServiceName::Catalog),
            Self::AccessRequest => Some(ServiceName::AccessRequest),
            Self::Registration => Some(ServiceName::Registration),
            Self::Gateway => Some(ServiceName::Gateway),
            Self::Notification => Some(ServiceName::Notification),
            Self::Accounts => Some(ServiceName::Accounts),
        }
    }
}

impl Parts {
    /// What was asked for; everything where nothing was, or where all of it was named.
    #[must_use]
    pub fn of(named: &[Part]) -> Option<Self> {
        let services: Vec<ServiceName> = ServiceName::ALL
            .into_iter()
            .filter(|name| named.iter().any(|part| part.service() == Some(*name)))
            .collect();
        let edge = named.contains(&Part::Edge);
        let all = named.is_empty()
            || named.contains(&Part::All)
            || (edge && services.len() == ServiceName::ALL.len());
        (!all).then_some(Self { services, edge })
    }

    /// For people: `catalog, edge`.
    #[must_use]
    pub fn names(&self) -> String {
        let services = self.services.iter().map(|name| name.as_str());
        let names: Vec<&str> = services.chain(self.edge.then_some("edge")).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_all_are_one_process() {
        assert_eq!(Parts::of(&[]), None);
        assert_eq!(Parts::of(&[Part::Catalog, Part::All]), None);
        assert_eq!(Parts::of(&Part::value_variants()[1..]), None);
        let some = Parts::of(&[Part::Edge, Part::Catalog, Part::Catalog]).unwrap();
        assert_eq!(some.names(), "catalog, edge");
    }

    #[test]
    fn services_have_one_name() {
        for part in Part::value_variants() {
            if let Some(service) = part.service() {
                let name = part.to_possible_value().unwrap();
                assert_eq!(name.get_name(), service.as_str());
            }
        }
    }
}
