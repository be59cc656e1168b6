//! API gateways.
