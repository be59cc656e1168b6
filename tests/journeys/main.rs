//! The whole flow through the public REST API, with the real binary as its own process and real servers around it.
//!
//! * `flow`: steps 1 to 11 of the product, on every combination of provider, database and bus
//! * `apart`: every service as processes of its own: two admins at once, what is away, restarts under load
//! * `decision_table`: what the gateway says to every kind of token, after the portal configured it and after the
//!   catalogue changed
//! * `drift`: somebody edits and deletes at the provider and at the gateway; the report names it, the repair restores it
//! * `api_keys`: a product without OAuth credentials, from the order to the revoked key, and the process dies on the way
//! * `join`: an approval without a mapping, a scope that goes to another product, a revocation that overtakes an approval
//! * `leaving`: with the account access goes at the provider and the gateway, comes back with it, and ends at erasure
//! * `gateway_import`: products and plans of policies that were made at the gateway, which stay as they are
//! * `hops`: what one access request costs at the database
//! * `many`: hundreds of applications at once, while answers get lost and the process is killed
//! * `backup`: what was backed up goes on elsewhere, and what is not whole is refused by name
//! * `restore`: PostgreSQL on another server with roles, and at an earlier instant, as the documentation has it
//! * `orphans`: what a provider has and a restored portal does not know
//! * `rotation`: certificates, their authority and the identity key change under load; SIGHUP
//! * `compose`: what `docker-compose.yml` seeds can be clicked through at once
//! * `operations`: a bus that lost everything, migrations, publishing again
//! * `browser`: a developer at a desk and an admin with a phone, in Chromium
//! * `screenshots`: every page fits a desk and a phone; how it looks
//! * `kill`: the process dies at the worst points and is started again
//! * `pages`: commands of the documentation for operators, as they stand there
//! * `providers`: one journey against every kind of identity provider
//! * `bad_input`: what is refused, by name, over REST and gRPC, leaving nothing behind
//! * `contract`: linters, generated clients and gRPC clients of other languages understand what is served
//! * `secrets`: nothing of what was issued stands anywhere in clear
//! * `metrics`: every number that the dashboard and the alert rules name is there
//! * `seeds`: duplicates, delays and reordering on the bus end in the same state
//! * `traces`: one trace and one id from the approval to the mail, and nothing secret in it

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    clippy::cognitive_complexity,
    unreachable_pub,
    reason = "a program of tests: what goes wrong ends the test, and a journey is read from top to bottom"
)]

mod apart;
mod api_keys;
mod backup;
mod bad_input;
mod browser;
mod compose;
mod contract;
mod decision_table;
mod drift;
mod flow;
mod gateway_import;
mod hops;
mod join;
mod kill;
mod leaving;
mod many;
mod metrics;
mod operations;
mod orphans;
mod pages;
mod providers;
mod restore;
mod rotation;
mod screenshots;
mod secrets;
mod seeds;
mod support;
mod traces;

fn main() -> std::process::ExitCode {
    // The longest first, so that none of them is left over alone.
    portico_trials::run([
        seeds::trials(),
        many::trials(),
        apart::trials(),
        rotation::trials(),
        api_keys::trials(),
        backup::trials(),
        bad_input::trials(),
        browser::trials(),
        compose::trials(),
        contract::trials(),
        decision_table::trials(),
        drift::trials(),
        flow::trials(),
        gateway_import::trials(),
        hops::trials(),
        join::trials(),
        kill::trials(),
        leaving::trials(),
        metrics::trials(),
        providers::trials(),
        operations::trials(),
        orphans::trials(),
        restore::trials(),
        pages::trials(),
        screenshots::trials(),
        secrets::trials(),
        traces::trials(),
    ])
}
