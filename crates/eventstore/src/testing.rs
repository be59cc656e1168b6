//! given / when / then for deciders.

#[cfg(feature = "testing")]
pub mod postgres;

use std::fmt::Debug;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{Aggregate, Context, Metadata};

/// Past events of a decider test.
pub struct Given<A>(A);

/// What a command led to.
#[derive(Debug)]
#[must_use]
pub struct Then<A: Aggregate>(Result<Vec<A::Event>, A::Rejection>)
where
    A::Event: Debug;

/// Starts a decider test from past events.
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let mut state = A::default();
    for event in events {
        state.evolve(&event);
    }
    Given(state)
}

impl<A: Aggregate> Given<A>
where
    A::Event: Debug,
{
    /// Decides a command.
    pub fn when(self, command: &A::Command) -> Then<A> {
        Then(self.0.decide(command))
    }

    /// The folded state.
    pub fn state(self) -> A {
        self.0
    }
}

impl<A: Aggregate> Then<A>
where
    A::Event: Debug + PartialEq,
    A::Rejection: Debug,
{
    /// It does it: exactly these events.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>) {
        let expected: Vec<_> = expected.into_iter().collect();
        match self.0 {
            Ok(events) => assert_eq!(events, expected),
            Err(rejection) => panic!("refused: {rejection:?}, expected {expected:?}"),
        }
    }

    /// It stays quiet: no events, and success.
    #[track_caller]
    pub fn then_nothing(self) {
        self.then([]);
    }

    /// It refuses it: the rejection is for a closer look.
    #[track_caller]
    pub fn then_refused(self) -> A::Rejection {
        match self.0 {
            Err(rejection) => rejection,
            Ok(events) => panic!("not refused, events: {events:?}"),
        }
    }
}

/// A context for store tests: the given command id, a fixed time.
pub fn context(command_id: Uuid) -> Context {
    Context {
        metadata: Metadata {
            actor: "test".to_owned(),
            ..Metadata::default()
        },
        now: Timestamp::UNIX_EPOCH,
        command_id,
    }
}
