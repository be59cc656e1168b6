//! Whether the person whom an access request belongs to may have access, as accounts published it last. Pure.

use portico_eventstore::{Fact, Newest};
use serde::{Deserialize, Serialize};

/// What a requester's account means for their access requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    /// They may have access. Also where nothing was ever published of them.
    #[default]
    Active,
    /// Their access is suspended, and nothing is granted to them, until they are activated.
    Suspended,
    /// Their access is revoked; nobody is left to grant anything to.
    Erased,
}

/// The account changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountChange {
    /// Position in the log of accounts.
    pub position: i64,
    /// What it is from then on.
    pub status: AccountStatus,
}

/// The newest that is known of a requester, with or without access requests: a submission or an approval that races with
/// a suspension finds it here. Its id is the user's.
pub(crate) type Requester = Newest<AccountChange>;

impl Fact for AccountChange {
    const CATEGORY: &'static str = "requester";

    fn is_newer_than(&self, known: &Self) -> bool {
        self.position > known.position
    }
}

#[cfg(test)]
mod tests {
    use portico_eventstore::testing::{given, reread};

    use super::*;

    #[test]
    fn of_two_messages_the_later_one_in_the_log_counts_in_either_order() {
        let suspended = AccountChange {
            position: 7,
            status: AccountStatus::Suspended,
        };
        let activated = AccountChange {
            position: 8,
            status: AccountStatus::Active,
        };
        for order in [[suspended, activated], [activated, suspended]] {
            let mut events = Vec::new();
            for said in order {
                let known = given::<Requester>(events.clone()).state();
                events.extend(portico_eventstore::Aggregate::decide(&known, &said).unwrap());
            }
            let state = given::<Requester>(events).state();
            assert_eq!(state.newest, Some(activated));
        }
    }

    #[test]
    fn stored_changes_are_read() {
        reread::<Requester>(include_str!("../tests/fixtures/events.jsonl"));
    }
}
