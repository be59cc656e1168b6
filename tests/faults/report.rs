//! The table.

use std::{collections::BTreeSet, process::ExitCode, time::Duration};

use portico_eventstore::fault::{POINTS, STEPS};

use crate::{rows::Fault, runner::Done};

/// A row of the table.
pub struct Line {
    fault: &'static Fault,
    seeds: usize,
    kills: usize,
    failed: Vec<u64>,
    skipped: Option<String>,
    remarks: Vec<String>,
    seconds: f64,
}

impl Line {
    pub fn of(fault: &'static Fault) -> Self {
        Self {
            fault,
            seeds: 0,
            kills: 0,
            failed: Vec::new(),
            skipped: None,
            remarks: Vec::new(),
            seconds: 0.0,
        }
    }

    /// A fault whose servers are not here; `all`: that is a failure.
    pub fn skipped(fault: &'static Fault, why: String, all: bool) -> Self {
        let failed = if all { vec![0] } else { Vec::new() };
        Self {
            skipped: Some(why),
            failed,
            ..Self::of(fault)
        }
    }

    fn outcome(&self) -> String {
        match (&self.skipped, self.failed.is_empty()) {
            (Some(why), _) => format!("skipped: {why}"),
            (None, true) => "passed".to_owned(),
            (None, false) => format!("FAILED: seeds {:?}", self.failed),
        }
    }
}

/// Every row.
#[derive(Default)]
pub struct Table {
    lines: Vec<Line>,
    reached: BTreeSet<&'static str>,
    failures: Vec<String>,
}

impl Table {
    pub fn add(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Takes in what came of a round; a line of progress.
    pub fn take(&mut self, done: Done, count: usize, total: usize) -> String {
        let line = self
            .lines
            .iter_mut()
            .find(|line| line.fault.name == done.fault)
            .unwrap();
        line.seeds += 1;
        line.kills += done.noted.kills;
        line.seconds += done.time.as_secs_f64();
        for remark in done.noted.remarks {
            if !line.remarks.contains(&remark) {
                line.remarks.push(remark);
            }
        }
        self.reached.extend(done.noted.reached);
        let outcome = match &done.failure {
            None => "passed".to_owned(),
            Some((words, logs)) => {
                line.failed.push(done.seed);
                let words = format!(
                    "{} seed {}: {words}\n  logs: {}\n  again: cargo test -p portico --test faults -- {} --seed {}",
                    done.fault,
                    done.seed,
                    logs.display(),
                    done.fault,
                    done.seed
                );
                self.failures.push(words.clone());
                format!("FAILED\n{words}")
            }
        };
        let seconds = done.time.as_secs_f64();
        format!(
            "{count}/{total} {} seed {}: {outcome} ({seconds:.1} s, {} kills)",
            done.fault, done.seed, done.noted.kills
        )
    }

    /// Prints it; `complete`: every point must have been reached.
    pub fn print(&self, time: Duration, complete: bool) -> ExitCode {
        println!(
            "\n| fault | seeds | kills | outcome | seconds | remarks |\n|---|---|---|---|---|---|"
        );
        for line in &self.lines {
            println!(
                "| {} | {} | {} | {} | {:.0} | {} |",
                line.fault.title,
                line.seeds,
                line.kills,
                line.outcome(),
                line.seconds,
                line.remarks.join("; ")
            );
        }
        let kills: usize = self.lines.iter().map(|line| line.kills).sum();
        println!(
            "\n{kills} kills in {:.0} s; points reached: {} of {}",
            time.as_secs_f64(),
            self.points(),
            points().count()
        );
        let missed: Vec<&str> = points()
            .filter(|point| !self.reached.contains(point))
            .collect();
        let skipped = self.lines.iter().any(|line| line.skipped.is_some());
        let incomplete = complete && !skipped && !missed.is_empty();
        if incomplete {
            println!("no process died at {missed:?}");
        }
        for failure in &self.failures {
            eprintln!("\nFAILED {failure}");
        }
        let failed = self.lines.iter().any(|line| !line.failed.is_empty());
        if failed || incomplete {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }

    fn points(&self) -> usize {
        points()
            .filter(|point| self.reached.contains(point))
            .count()
    }
}

fn points() -> impl Iterator<Item = &'static str> {
    POINTS.into_iter().chain(STEPS)
}
