//! Benchmarks of Portico against its peers. Each is a ratio of two sides that take turns in one run, with equal
//! durability.
//!
//! `cargo build --release -p portico -p portico-benches && target/release/portico-bench [NAME…]`
//!
//! Each row names the peer. Rows that need a missing server (PostgreSQL with `pgbench`, NATS) are skipped with a note.
//! Figures depend on the machine, so only the ratio and its range mean something, and nothing here is a test.

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark lives in real time and decides nothing"
)]

mod append;
mod bare;
mod edge;
mod growth;
mod load;
mod log;
mod portal;
mod ratio;
mod rebuild;
mod registration;
mod relay;
mod start;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::ratio::Rounds;

/// Measures Portico against its peers, in one run.
#[derive(Parser)]
struct Arguments {
    /// What to measure; everything except `growth` by default.
    #[arg(value_enum)]
    names: Vec<Name>,
    /// Rounds of each comparison; the two sides take turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds for one side of one round, unless the amount of work is fixed.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Events in the log for `rebuild` and `relay`.
    #[arg(long, default_value_t = 100_000)]
    events: i64,
    /// Numbers of access requests for `growth`, in ascending order.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000])]
    requests: Vec<usize>,
    /// Serves the peer of the `edge` benchmarks, which start it.
    #[arg(long, hide = true)]
    bare: Option<std::path::PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Appends on PostgreSQL, against pgbench.
    Append,
    /// Appends on SQLite, against plain SQL.
    Embedded,
    /// Rebuild of a view, against COPY.
    Rebuild,
    /// Relay to JetStream, against plain publishing.
    Relay,
    /// Catalogue over REST and gRPC, and sign-in.
    Edge,
    /// Registrations, against POSTs to the same provider.
    Registration,
    /// Memory and start-up time.
    Start,
    /// Latency as the number of access requests grows.
    Growth,
}

const DEFAULT: [Name; 7] = [
    Name::Append,
    Name::Embedded,
    Name::Rebuild,
    Name::Relay,
    Name::Edge,
    Name::Registration,
    Name::Start,
];

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(answers) = &arguments.bare {
        return finish(bare::serve(answers).await);
    }
    let names = if arguments.names.is_empty() {
        DEFAULT.to_vec()
    } else {
        arguments.names.clone()
    };
    let rounds = Rounds {
        count: arguments.rounds.max(1),
        seconds: arguments.seconds.max(1),
    };
    ratio::head();
    for name in names {
        if let Err(error) = measure(name, &rounds, &arguments).await {
            return finish(Err(error));
        }
    }
    ExitCode::SUCCESS
}

async fn measure(name: Name, rounds: &Rounds, arguments: &Arguments) -> Result<(), String> {
    match name {
        Name::Append => append::on_postgresql(rounds).await,
        Name::Embedded => append::on_sqlite(rounds).await,
        Name::Rebuild => rebuild::measure(rounds, arguments.events).await,
        Name::Relay => relay::measure(rounds, arguments.events).await,
        Name::Edge => edge::measure(rounds).await,
        Name::Registration => registration::measure(rounds).await,
        Name::Start => start::measure(rounds).await,
        Name::Growth => growth::measure(rounds, &arguments.requests).await,
    }
}

fn finish(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
