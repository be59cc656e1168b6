//! The fault runner: starts the real processes, injects each fault with seeds, checks the invariants after each round,
//! and prints what came of it. Without a flag it is the run of CI; `--long` has ten times the seeds, `--quick` one of
//! each. A seed that failed is named and can be played again, and its logs stay:
//! `cargo test -p portico --test faults -- NAME --seed N`. A seed decides who does what and who dies where; how the
//! processes interleave is decided anew each time.
//!
//! | fault | code |
//! |---|---|
//! | `kill -9` before and after approval commit, publish, ack, intent, POST sent, 201 received, spool, `Registered`, mail queued, SMTP 250, checkpoint, the reports of both halves and the join; at random | [`rows::kills`]: `kill-embedded`, `kill-servers`, `kill-steps`, `kill-replicas`, `kill-keycloak`, `kill-okta` (class B), `kill-all-real`; [`rows::apart`]: `kill-apart`; points in `portico_eventstore::fault` |
//! | `kill -9` during the rotation of keys | [`rows::kills`]: `kill-rewrap`; of a client's secret: point `rotating` in `kill-keycloak` |
//! | NATS down ten minutes, or its data deleted | [`rows::messages`]: `nats-away`, `nats-away-apart`; down for seconds |
//! | PostgreSQL restarted or killed | [`rows::database`]: `postgres-killed`, `postgres-killed-apart` |
//! | a replica told to end, each in turn | [`rows::apart`]: `restart-apart` |
//! | provider times out after it committed | [`rows::outside`]: `provider-times-out` |
//! | provider 500, 429, slow drip, garbage, 200 for 201, 10 MB, wrong types, duplicate answers | [`rows::outside`]: `provider-misbehaves`, `provider-duplicates` |
//! | initial access token used up | [`rows::outside`]: `token-used-up` |
//! | SMTP down, 451, 550 | [`rows::outside`]: `mail-server` |
//! | duplicates, shuffled order, late redelivery | [`rows::messages`]: `redelivery`; the journey `seeds` has two hundred seeds of the memory bus |
//! | poison message | [`rows::messages`]: `poison`, replayed by `portico parked replay` |
//! | two approvers at once, a thousand times | [`rows::approvers`]: `two-approvers`, on two replicas |
//! | the clock of one replica is off; certificates expire and are replaced | [`rows::trust`]: `clock-apart`, `certificates` |
//! | disk full, clock one hour off, long idle transaction | [`rows::database`]: `disk-full` (by `ulimit -f`, which needs no privilege), `clock` (by `FAULT_CLOCK_OFFSET_SECONDS`), `idle-transaction` |
//!
//! | invariant | code |
//! |---|---|
//! | I1 every acknowledged event is there, positions without a gap | `invariants/log.rs` |
//! | I2 one live client for each application and provider, others listed; the credentials work | `invariants/clients.rs` |
//! | I3 one final state per request | `invariants/states.rs` |
//! | I4 views equal a rebuild | `invariants/views.rs` |
//! | I5 no secret, no personal datum in logs, events, messages, databases | `invariants/secrets.rs` |
//! | I6 one e-mail for each fact | `invariants/mails.rs` |
//! | I7 one join for each revision; the gateway opens what is active | `invariants/join.rs` |
//!
//! [`workload`] is what people do meanwhile, through REST, repeating what gets a 503 or no answer with its
//! `Idempotency-Key`; [`ledger`] is what was acknowledged to them; [`settle`] waits until nothing is under way.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub,
    reason = "a program of tests: what goes wrong ends the round, and a round is read from top to bottom"
)]

mod client;
mod invariants;
mod ledger;
mod options;
mod process;
mod provider;
mod random;
mod report;
mod round;
mod rows;
mod runner;
mod settle;
mod stores;
mod workload;
mod world;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // Minutes of kills are not what `cargo test --workspace` is for.
    if std::env::args().len() == 1 && std::env::var_os("PORTICO_FAULTS").is_none() {
        eprintln!("SKIPPED: faults are injected with PORTICO_FAULTS=1, or by the name of a row");
        return ExitCode::SUCCESS;
    }
    let options = options::Options::parse();
    // The words of a round that failed stand in the report; here they tell when it was.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(runner::run(&options))
}
