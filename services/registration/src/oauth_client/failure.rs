//! What comes of an attempt that failed. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::grant::{Grant, Outcome, report};
use super::state::{Delay, OauthClient, Problem, Refusal, Wanted};
use super::{Event as Any, only_if};

/// When to try again what is never given up, and now.
pub(super) type Times = (Timestamp, Timestamp);

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    /// Code and message of the failure.
    pub problem: Problem,
    /// The attempt has an outcome: nothing came of it.
    pub attempt_over: bool,
}

/// What an attempt was about: how many grants had come, and what they wanted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    order: u64,
    wanted: Option<Wanted>,
}

/// An attempt failed.
#[derive(Debug, Clone)]
pub enum Command {
    /// It is repeated.
    Delay {
        /// The attempt and its failure.
        failed: FailedAttempt,
        /// Time of the next attempt.
        next_try_at: Timestamp,
        /// It is one of so many after which it is given up.
        counted: bool,
    },
    /// The provider refused for good.
    Refuse {
        /// The attempt and its failure.
        failed: FailedAttempt,
        /// When to try again, if something is to be taken away: that is never given up.
        again_at: Timestamp,
        /// Clock reading of the caller.
        at: Timestamp,
        /// What was known when it was tried. What has been wanted since then was not refused.
        tried: Option<Tried>,
    },
    /// The provider takes no registrations.
    Pause(FailedAttempt),
}

/// An attempt failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// It is repeated.
    Delayed {
        /// With back-off and jitter, and not before the provider said.
        #[serde(flatten)]
        delay: Delay,
        /// Nothing came of the attempt.
        attempt_over: bool,
    },
    /// Trying again changes nothing: parked until something changes or an admin retries.
    Refused {
        /// Code and message of the failure.
        problem: Problem,
        /// Nothing came of the attempt.
        attempt_over: bool,
        /// It may be due to one of several requests: from now on they are tried one at a time.
        one_at_a_time: bool,
        /// Time of parking.
        at: Timestamp,
    },
    /// The provider takes no registrations: this one waits, and is not counted.
    Paused {
        /// The provider's refusal.
        problem: Problem,
        /// Nothing came of the attempt.
        attempt_over: bool,
    },
}

impl OauthClient {
    pub(super) fn decide_failure(&self, command: &Command) -> Vec<Any> {
        match command {
            Command::Delay {
                failed,
                next_try_at,
                counted,
            } => self.put_off(failed, *next_try_at, *counted),
            Command::Refuse {
                failed,
                again_at,
                at,
                tried,
            } => {
                if tried.as_ref().is_some_and(|tried| *tried != self.tried()) {
                    return self.put_off(failed, *at, false);
                }
                // One of several requests may spoil it for the others; then each is tried on its own.
                let several = self.uncovered().count() > 1 && !self.one_at_a_time;
                if several && failed.attempt_over {
                    return vec![refused(failed, true, *at).into()];
                }
                self.refused_together(failed, (*again_at, *at))
            }
            Command::Pause(failed) => {
                let problem = Problem {
                    reason: format!(
                        "the identity provider is paused until an admin sees to it: {}",
                        failed.problem.reason
                    ),
                    code: failed.problem.code.clone(),
                };
                let paused = Event::Paused {
                    problem: problem.clone(),
                    attempt_over: failed.attempt_over,
                };
                let mut events = only_if(self.paused.is_none() || failed.attempt_over, paused);
                if !events.is_empty() {
                    events.extend(self.tell_uncovered(&Outcome::Delayed {
                        problem,
                        next_try_at: None,
                    }));
                }
                events
            }
        }
    }

    /// What an attempt that begins now is about.
    pub(crate) fn tried(&self) -> Tried {
        Tried {
            order: self.order,
            wanted: self.wanted(),
        }
    }

    pub(super) fn apply_failure(&mut self, event: &Event) {
        let over = match event {
            Event::Delayed {
                delay,
                attempt_over,
            } => {
                self.delay = Some(delay.clone());
                *attempt_over
            }
            Event::Refused {
                problem,
                attempt_over,
                one_at_a_time,
                at,
            } => {
                self.delay = None;
                if *one_at_a_time {
                    self.one_at_a_time = true;
                } else {
                    self.refused = Some(Refusal {
                        wanted: self.wanted(),
                        problem: problem.clone(),
                        at: *at,
                    });
                }
                *attempt_over
            }
            Event::Paused {
                problem,
                attempt_over,
            } => {
                self.paused = Some(problem.clone());
                *attempt_over
            }
        };
        if over {
            self.attempt_over();
        }
    }

    /// It is repeated; `counts`: as a failed attempt, which a search that found nothing is not.
    pub(super) fn put_off(
        &self,
        failed: &FailedAttempt,
        next_try_at: Timestamp,
        counts: bool,
    ) -> Vec<Any> {
        let told = Outcome::Delayed {
            problem: failed.problem.clone(),
            next_try_at: Some(next_try_at),
        };
        let delayed = self.delayed(failed, next_try_at, None, counts).into();
        let told = self.tell_uncovered(&told);
        std::iter::once(delayed).chain(told).collect()
    }

    pub(super) fn refused_together(&self, failed: &FailedAttempt, times: Times) -> Vec<Any> {
        let told = Outcome::Failed(failed.problem.clone());
        let waits = self.uncovered().next().is_some();
        if !waits
            && self
                .to_take_away()
                .any(|(_, grant)| !self.is_released(grant))
        {
            return self.stuck(failed, times);
        }
        let unknown = self.intended().filter(|_| !failed.attempt_over);
        let listed =
            unknown.map(|intended| intended.suspected(&failed.problem.reason, true).into());
        let refused = refused(failed, false, times.1).into();
        listed
            .into_iter()
            .chain([refused])
            .chain(self.tell_uncovered(&told))
            .collect()
    }

    /// What is to be taken away is tried for ever, and said once.
    fn stuck(&self, failed: &FailedAttempt, (again_at, at): Times) -> Vec<Any> {
        let since = self.delay.as_ref().and_then(|delay| delay.stuck_since);
        let told = self
            .to_take_away()
            .filter(|(_, grant): &(_, &Grant)| grant.failure().is_none())
            .map(|(id, grant)| report(id, grant, Outcome::Failed(failed.problem.clone())).into());
        let delayed = self.delayed(failed, again_at, Some(since.unwrap_or(at)), true);
        told.chain([delayed.into()]).collect()
    }

    fn delayed(
        &self,
        failed: &FailedAttempt,
        next_try_at: Timestamp,
        stuck_since: Option<Timestamp>,
        counts: bool,
    ) -> Event {
        let before = self.delay.as_ref().map_or(0, |delay| delay.attempts);
        let delay = Delay {
            problem: failed.problem.clone(),
            next_try_at,
            attempts: before + u32::from(counts),
            stuck_since,
        };
        Event::Delayed {
            delay,
            attempt_over: failed.attempt_over,
        }
    }
}

fn refused(failed: &FailedAttempt, one_at_a_time: bool, at: Timestamp) -> Event {
    Event::Refused {
        problem: failed.problem.clone(),
        attempt_over: failed.attempt_over,
        one_at_a_time,
        at,
    }
}
