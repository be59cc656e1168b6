//! The contracts between services: types generated from `proto/`, their form in REST ([`rest`]), and the one [`Error`]
//! with its two wire forms, gRPC status and problem details. What enters is read by [`null::CheckedCodec`].

mod error;
pub mod null;
pub mod rest;
pub mod time;

pub use error::{Error, FieldError, Kind, Problem};

/// File descriptors of every service, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

macro_rules! generated {
    ($($(#[$doc:meta])* $name:ident = $package:literal $({ $($more:item)* })?;)*) => {$(
        $(#[$doc])*
        pub mod $name {
            $($($more)*)?

            /// First version of the contract; changed by addition only.
            #[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::allow_attributes)]
            pub mod v1 {
                tonic::include_proto!($package);
            }
        }
    )*};
}

generated! {
    /// Products and plans.
    catalog = "portico.catalog.v1";
    /// Applications, carts and access requests.
    access = "portico.access.v1" {
        /// Initial metadata of `WatchAccessRequests`: the cursor that the stream begins after.
        pub const CURSOR_HEADER: &str = "x-portico-cursor";
        /// Code of the error where a cursor is one of a log that was restored since.
        pub const CURSOR_OF_ANOTHER_LOG: &str = "cursor_of_another_log";
    };
    /// Identity providers, client types and OAuth clients.
    registration = "portico.registration.v1";
    /// Gateways, scope mappings and API keys.
    gateway = "portico.gateway.v1";
    /// E-mail deliveries.
    notification = "portico.notification.v1";
    /// Users, sessions and API tokens.
    accounts = "portico.accounts.v1";
    /// Parked messages, relays and drift, the same for every service.
    operations = "portico.operations.v1";
}
