//! The edge against doubles of the services, called in the process as `portico run` calls it.

mod bodies;
mod conditions;
mod description;
mod grpc;
mod halves;
mod health;
mod problems;
mod refusals;
mod remembered;
mod resources;
mod sign_in;
mod support;
mod watching;
