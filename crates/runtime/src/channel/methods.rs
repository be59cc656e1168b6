//! The methods of all services, as the protos declare them.

use std::{collections::BTreeMap, sync::OnceLock};

use portico_proto::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::ServiceName;

/// A gRPC method, with what a channel needs to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Who has it; `None`: every service.
    pub service: Option<ServiceName>,
    /// Whether it answers with a stream.
    pub streams: bool,
}

/// Every method by its path, such as `/portico.access.v1.AccessService/GetCart`.
pub fn all() -> &'static BTreeMap<String, Method> {
    static ALL: OnceLock<BTreeMap<String, Method>> = OnceLock::new();
    ALL.get_or_init(|| {
        // It is part of the program, and a test reads it.
        let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default();
        let mut methods = BTreeMap::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    let service = ServiceName::of_path(&path);
                    let streams = method.server_streaming();
                    methods.insert(path, Method { service, streams });
                }
            }
        }
        methods
    })
}

/// Whether a method answers with a stream.
pub fn streams(path: &str) -> bool {
    all().get(path).is_some_and(|method| method.streams)
}

/// Whether a method changes nothing, which its name says.
pub fn reads(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let reading = ["Get", "List", "Preview", "Watch"];
    name == "Authenticate" || reading.iter().any(|word| name.starts_with(word))
}

/// Whether what was read before a call of a method may be old after it. Signing in or up, and the security log, only add.
pub(super) fn outdates(path: &str) -> bool {
    let adds = ["CreateSession", "SignUp", "ReportRefusals"];
    !reads(path) && !adds.iter().any(|name| path.ends_with(&format!("/{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_methods() {
        for name in ServiceName::ALL {
            assert!(
                all().values().any(|method| method.service == Some(name)),
                "{name:?}"
            );
        }
        assert!(streams(
            "/portico.access.v1.AccessService/WatchAccessRequests"
        ));
        assert!(reads("/portico.access.v1.AccessService/GetCart"));
        assert!(!reads("/portico.access.v1.AccessService/PutCart"));
        for (method, old) in [
            ("SuspendUser", true),
            ("DeleteSession", true),
            ("CreateSession", false),
            ("SignUp", false),
            ("ReportRefusals", false),
            ("Authenticate", false),
        ] {
            let path = format!("/portico.accounts.v1.AccountsService/{method}");
            assert!(all().contains_key(&path), "{path}");
            assert_eq!(outdates(&path), old, "{path}");
        }
    }
}
