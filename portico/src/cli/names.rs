//! Names of services on the command line.

use portico_runtime::{Config, ServiceName};

use crate::run::certificates::check_names;

/// A service by its name.
///
/// # Errors
/// The names that there are.
pub fn service(name: &str) -> Result<ServiceName, String> {
    let all = ServiceName::ALL.map(ServiceName::as_str);
    ServiceName::named(name).ok_or_else(|| format!("must be one of {}", all.join(", ")))
}

/// Those that were named, all of them where none was, to work on their databases.
///
/// # Errors
/// The process has a certificate, and it is not that of all of them: whoever has the certificate of one service has no
/// business with the tables of another.
pub fn own(config: &Config, named: Vec<ServiceName>) -> Result<Vec<ServiceName>, String> {
    let services = match named.is_empty() {
        true => ServiceName::ALL.to_vec(),
        false => named,
    };
    if let Some(tls) = &config.services.tls {
        check_names(tls, &services)?;
    }
    Ok(services)
}
