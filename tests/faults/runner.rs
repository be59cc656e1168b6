//! Runs rounds, several at once, and keeps what they leave where they fail.

use std::{
    any::Any,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};

use crate::{
    options::Options,
    report::{Line, Table},
    round::{Noted, Round},
    rows::{FAULTS, Fault},
};

/// What came of a round.
pub struct Done {
    pub fault: &'static str,
    pub seed: u64,
    pub noted: Noted,
    pub time: Duration,
    /// What was violated, and where the logs are.
    pub failure: Option<(String, PathBuf)>,
}

pub async fn run(options: &Options) -> ExitCode {
    let wanted = FAULTS.iter().filter(|fault| {
        options
            .only
            .as_ref()
            .is_none_or(|only| fault.name.contains(only.as_str()))
    });
    if options.list {
        wanted.for_each(|fault| println!("{}: fault", fault.name));
        return ExitCode::SUCCESS;
    }
    let all = std::env::var("PORTICO_TESTS").is_ok_and(|tests| tests == "all");
    let start = Instant::now();
    let mut table = Table::default();
    let mut rounds = Vec::new();
    for fault in wanted {
        let missing: Vec<String> = fault
            .needs
            .iter()
            .filter_map(|server| (server.missing)().map(|why| format!("{}: {why}", server.name)))
            .collect();
        if missing.is_empty() {
            rounds.extend(
                options
                    .seeds_of(fault.seeds)
                    .into_iter()
                    .map(|seed| (fault, seed)),
            );
            table.add(Line::of(fault));
        } else {
            table.add(Line::skipped(fault, missing.join("; "), all));
        }
    }
    // Long rounds first, so that the last ones are short.
    rounds.sort_by_key(|(fault, seed)| (std::cmp::Reverse(fault.seconds), *seed));
    let total = rounds.len();
    let mut finished = stream::iter(rounds)
        .map(|(fault, seed)| one(fault, seed, options))
        .buffer_unordered(options.jobs.max(1))
        .enumerate();
    while let Some((count, done)) = finished.next().await {
        println!("{}", table.take(done, count + 1, total));
    }
    let complete = options.only.is_none() && options.seed.is_none() && !options.quick;
    table.print(start.elapsed(), complete)
}

async fn one(fault: &'static Fault, seed: u64, options: &Options) -> Done {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("faults/{}-{seed}", fault.name));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let start = Instant::now();
    let repetitions = if options.quick { 50 } else { 1000 };
    let round = Arc::new(Round::new(seed, folder.clone(), options.kills, repetitions));
    let result = tokio::spawn((fault.run)(Arc::clone(&round))).await;
    let failure = result
        .err()
        .map(|error| (words(error), folder.join("logs")));
    if failure.is_none() && !options.keep {
        let _ = std::fs::remove_dir_all(&folder);
    }
    Done {
        fault: fault.name,
        seed,
        noted: round.noted(),
        time: start.elapsed(),
        failure,
    }
}

fn words(error: tokio::task::JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else {
        return "cancelled".to_owned();
    };
    let panic: &(dyn Any + Send) = &*panic;
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    text.unwrap_or_else(|| "a panic without words".to_owned())
}
