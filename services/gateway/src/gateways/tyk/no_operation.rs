//! The No-Operation API, whose policy is the default one of every API that Portico maps.

use serde_json::{Value, json};

use super::policy::TAG;
use crate::gateways::{Limit, NO_OPERATION};

/// Of the No-Operation API, for people.
pub(super) const NAME: &str = "Portico No-Operation";
/// A token with a product's scope and without a plan's gets these: enough to see that it works.
pub(super) const LIMITS: (Limit, Limit) = (
    Limit {
        requests: 5,
        seconds: 60,
    },
    Limit {
        requests: 100,
        seconds: 86_400,
    },
);

/// The API that the No-Operation policy opens. It leads nowhere, and takes no credentials that anybody has.
pub(super) fn api(org_id: &str) -> Value {
    json!({
        "api_id": NO_OPERATION,
        "name": NAME,
        "org_id": org_id,
        "active": true,
        "use_keyless": false,
        "use_standard_auth": true,
        "auth": {"auth_header_name": "Authorization"},
        "version_data": {"not_versioned": true, "versions": {"Default": {"name": "Default"}}},
        "proxy": {
            "listen_path": format!("/{NO_OPERATION}/"),
            "target_url": "http://127.0.0.1:9/",
            "strip_listen_path": true,
        },
        "tags": [TAG],
    })
}
