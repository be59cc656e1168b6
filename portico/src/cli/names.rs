//! Names of services on the command line.

use portico_runtime::ServiceName;

/// A service by its name.
///
/// # Errors
/// The names that there are.
pub fn service(name: &str) -> Result<ServiceName, String> {
    let all = ServiceName::ALL.map(ServiceName::as_str);
    ServiceName::named(name).ok_or_else(|| format!("must be one of {}", all.join(", ")))
}

/// Those that were named; all of them where none was.
#[must_use]
pub fn all(named: Vec<ServiceName>) -> Vec<ServiceName> {
    match named.is_empty() {
        true => ServiceName::ALL.to_vec(),
        false => named,
    }
}
