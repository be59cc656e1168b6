//! How much is measured, and what came of it.

use std::{cell::RefCell, time::Instant};

use crate::row::{Aim, Row, Spread, median};

/// Extent of the comparisons, and their results.
pub(crate) struct Rounds {
    /// Turns of each side.
    pub(crate) count: usize,
    /// Length of a turn that is limited by time.
    pub(crate) seconds: u64,
    began: Instant,
    group: RefCell<String>,
    rows: RefCell<Vec<Row>>,
}

impl Rounds {
    /// No results yet.
    pub(crate) fn new(count: usize, seconds: u64) -> Self {
        Self {
            count: count.max(1),
            seconds: seconds.max(1),
            began: Instant::now(),
            group: RefCell::default(),
            rows: RefCell::default(),
        }
    }

    /// The rows that follow belong to this name.
    pub(crate) fn begin(&self, group: &str) {
        *self.group.borrow_mut() = group.to_owned();
    }

    /// Tells on standard error what goes on.
    pub(crate) fn progress(&self, what: &str) {
        let seconds = self.began.elapsed().as_secs();
        eprintln!("{seconds:>5} s  {}: {what}", self.group.borrow());
    }

    /// Keeps and prints a row.
    pub(crate) fn push(&self, mut row: Row) {
        row.group.clone_from(&self.group.borrow());
        println!("{row}");
        self.rows.borrow_mut().push(row);
    }

    /// Keeps and prints figures without a peer and their upper bound.
    pub(crate) fn bound(&self, what: &str, unit: &str, mut values: Vec<f64>, at_most: f64) {
        let ours = median(&mut values);
        let aim = Aim::AtMost(at_most);
        let of_limit = values.iter().map(|value| value / at_most).collect();
        self.push(Row {
            ours: Some(ours),
            ratio: Some(Spread::of(of_limit)),
            met: aim.met(ours),
            ..Row::new(what, unit, aim)
        });
    }

    /// Keeps and prints a figure that has neither peer nor aim.
    pub(crate) fn figure(&self, what: &str, unit: &str, mut values: Vec<f64>) {
        let ours = Some(median(&mut values));
        self.push(Row {
            ours,
            ..Row::new(what, unit, Aim::Open)
        });
    }

    /// Keeps and prints a row that could not be measured.
    pub(crate) fn skipped(&self, what: &str, why: &str) {
        self.push(Row::missing(what, "", Aim::Open, why));
    }

    /// Everything that was measured.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.rows.borrow().clone()
    }
}
