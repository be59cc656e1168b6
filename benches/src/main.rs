//! Benchmarks of Portico against its peers. Each is a ratio of two sides that take turns in one run, with equal
//! durability.
//!
//! `just bench` measures everything and writes `docs/benchmarks.md`; `just bench NAME…` measures that and prints it.
//!
//! Each row names the peer. What needs a missing server or peer says so in its row. Figures depend on the machine, so only
//! the ratio and its range mean something, and nothing here is a test.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table and the progress are the result"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark lives in real time and decides nothing"
)]

mod apart;
mod append;
mod bare;
mod bytes;
mod edge;
mod flow;
mod growth;
mod idle;
mod libraries;
mod load;
mod log;
mod ours;
mod overload;
mod peers;
mod plot;
mod portal;
mod proc;
mod ratio;
mod rebuild;
mod registration;
mod relay;
mod report;
mod rounds;
mod row;
mod stage;
mod start;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::rounds::Rounds;

/// Measures Portico against its peers, in one run.
#[derive(Parser)]
struct Arguments {
    /// What to measure and print; without a name everything but `growth` and `bytes`, into `docs/benchmarks.md`.
    #[arg(value_enum)]
    names: Vec<Name>,
    /// Rounds of each comparison; the two sides take turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds for one side of one round, unless the amount of work is fixed.
    #[arg(long, default_value_t = 1)]
    seconds: u64,
    /// Events in the log for `rebuild` and `relay`.
    #[arg(long, default_value_t = 100_000)]
    events: i64,
    /// Numbers of access requests for `growth`, in ascending order.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000])]
    requests: Vec<usize>,
    /// Access requests for `bytes`.
    #[arg(long, default_value_t = 100_000)]
    copies: i64,
    /// Serves the peer of the `edge` benchmarks, which start it.
    #[arg(long, hide = true)]
    bare: Option<std::path::PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Appends on PostgreSQL, against pgbench.
    Append,
    /// Appends, loads, reads and views on PostgreSQL, against other event stores.
    Libraries,
    /// Appends on SQLite, against plain SQL.
    Embedded,
    /// Appends, loads, reads and views on SQLite, against other event stores.
    EmbeddedLibraries,
    /// Rebuild of a view, against COPY.
    Rebuild,
    /// Relay to JetStream, against plain publishing.
    Relay,
    /// Catalogue over REST and gRPC, and sign-in.
    Edge,
    /// Registrations, against POSTs to the same provider.
    Registration,
    /// Approvals until active, against a script and with more replicas.
    Flow,
    /// Memory and start-up time.
    Start,
    /// Queries, wakeups and memory of an idle installation.
    Idle,
    /// Honest log-ins and memory under attack.
    Overload,
    /// Latency, start, backup and disk as the number of access requests grows; takes long.
    Growth,
    /// Bytes of an access request in PostgreSQL, its log and JetStream, before and after pruning; takes long.
    Bytes,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.bare {
        Some(answers) => bare::serve(answers).await,
        None => run(&arguments).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), String> {
    let rounds = Rounds::new(arguments.rounds, arguments.seconds);
    let all = arguments.names.is_empty();
    let outside = |name: &Name| matches!(name, Name::Growth | Name::Bytes);
    let names = match all {
        true => Name::value_variants()
            .iter()
            .copied()
            .filter(|name| !outside(name))
            .collect(),
        false => arguments.names.clone(),
    };
    for name in names {
        let text = name
            .to_possible_value()
            .map(|value| value.get_name().to_owned());
        let text = text.unwrap_or_default();
        rounds.begin(&text);
        match measure(name, &rounds, arguments).await {
            // One that fails does not take the others with it.
            Err(error) if all => rounds.skipped(&text, &error),
            result => result?,
        }
    }
    rounds.progress("end");
    if all { report::write(&rounds) } else { Ok(()) }
}

async fn measure(name: Name, rounds: &Rounds, arguments: &Arguments) -> Result<(), String> {
    match name {
        Name::Append => append::on_postgresql(rounds).await,
        Name::Libraries => libraries::on_postgresql(rounds).await,
        Name::Embedded => append::on_sqlite(rounds).await,
        Name::EmbeddedLibraries => libraries::on_sqlite(rounds).await,
        Name::Rebuild => rebuild::measure(rounds, arguments.events).await,
        Name::Relay => relay::measure(rounds, arguments.events).await,
        Name::Edge => edge::measure(rounds).await,
        Name::Registration => registration::measure(rounds).await,
        Name::Flow => flow::measure(rounds).await,
        Name::Start => start::measure(rounds).await,
        Name::Idle => idle::measure(rounds).await,
        Name::Overload => overload::measure(rounds).await,
        Name::Growth => growth::measure(rounds, &arguments.requests).await,
        Name::Bytes => bytes::measure(rounds, arguments.copies).await,
    }
}
