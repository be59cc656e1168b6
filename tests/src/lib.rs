//! portico-tests

pub mod keycloak;
