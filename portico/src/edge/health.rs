//! What the edge needs. Without registration, gateway and notification, requests for access are taken and wait.

use portico_runtime::{Deps, Health, ServiceName};

/// The parts of all its work, by name.
pub(super) fn of(deps: &Deps) -> Health {
    of_services(deps, &ServiceName::ALL)
        .bus(&deps.bus)
        .clock(deps)
        .until_the_end_of(deps)
}

/// Only these services.
pub(super) fn of_services(deps: &Deps, services: &[ServiceName]) -> Health {
    services.iter().fold(Health::default(), |health, name| {
        let health = health.neighbour(&deps.channels, *name);
        match name {
            ServiceName::Registration | ServiceName::Gateway | ServiceName::Notification => {
                health.optional()
            }
            ServiceName::Catalog | ServiceName::AccessRequest | ServiceName::Accounts => health,
        }
    })
}
