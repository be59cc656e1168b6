//! Lines that would come many times a second, from what peers do: each once in a while.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Subjects that are told apart. Peers can make up more, which then share one.
const SUBJECTS: usize = 64;
/// What they share.
const OTHERS: &str = "";

/// Says when a line about a subject is due.
pub struct Seldom {
    every: Duration,
    said: Mutex<BTreeMap<String, Said>>,
}

struct Said {
    at: Instant,
    unsaid: u64,
}

impl Seldom {
    /// One line about a subject in this time.
    #[must_use]
    pub const fn every(every: Duration) -> Self {
        Self {
            every,
            said: Mutex::new(BTreeMap::new()),
        }
    }

    /// Whether a line about the subject is due, and how many were left out since the last one.
    pub fn say(&self, subject: &str) -> Option<u64> {
        let now = Instant::now();
        let mut all = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.contains_key(subject);
        if !known && all.len() >= SUBJECTS {
            all.retain(|_, said| now.duration_since(said.at) < self.every);
        }
        let subject = match known || all.len() < SUBJECTS {
            true => subject,
            false => OTHERS,
        };
        match all.get_mut(subject) {
            Some(said) if now.duration_since(said.at) < self.every => {
                said.unsaid += 1;
                None
            }
            Some(said) => {
                said.at = now;
                Some(std::mem::take(&mut said.unsaid))
            }
            None => {
                let said = Said { at: now, unsaid: 0 };
                all.insert(subject.to_owned(), said);
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_subject_is_due_once_in_a_while_and_what_was_left_out_is_counted() {
        let seldom = Seldom::every(Duration::from_secs(10));
        assert_eq!(seldom.say("catalog"), Some(0));
        assert_eq!(seldom.say("catalog"), None);
        assert_eq!(seldom.say("edge"), Some(0));
        assert_eq!(seldom.say("catalog"), None);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(seldom.say("catalog"), Some(2));
        assert_eq!(seldom.say("catalog"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn peers_that_make_up_subjects_fill_neither_log_nor_memory() {
        let seldom = Seldom::every(Duration::from_secs(10));
        let said = (0..1000).filter(|number| seldom.say(&format!("made up {number}")).is_some());
        assert_eq!(said.count(), SUBJECTS + 1);
        assert!(seldom.said.lock().unwrap().len() <= SUBJECTS + 1);
    }
}
