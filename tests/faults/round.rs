//! One run of one fault with one seed.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

/// What a row is given, and what it notes.
pub struct Round {
    pub seed: u64,
    /// Where data and logs are; stays when the round fails.
    pub folder: PathBuf,
    /// Processes that rounds of kills are to kill.
    pub kills_in_round: usize,
    /// Repetitions of rounds that count them.
    pub repetitions: usize,
    noted: Mutex<Noted>,
}

#[derive(Default, Clone)]
pub struct Noted {
    pub kills: usize,
    /// Points at which a process died.
    pub reached: BTreeSet<&'static str>,
    /// What was seen, for the table.
    pub remarks: Vec<String>,
}

impl Round {
    pub fn new(seed: u64, folder: PathBuf, kills_in_round: usize, repetitions: usize) -> Self {
        Self {
            seed,
            folder,
            kills_in_round,
            repetitions,
            noted: Mutex::default(),
        }
    }

    pub fn killed(&self) {
        self.note(|noted| noted.kills += 1);
    }

    pub fn reached(&self, point: &'static str) {
        self.note(|noted| {
            noted.reached.insert(point);
        });
    }

    pub fn remark(&self, words: String) {
        self.note(|noted| noted.remarks.push(words));
    }

    pub fn noted(&self) -> Noted {
        self.noted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, change: impl FnOnce(&mut Noted)) {
        change(&mut self.noted.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
