//! What the portal has acknowledged to the clients of a round, and so must be there for ever.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

/// Where a request must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Pending,
    Active,
    /// Parked with a reason.
    Failed,
    Rejected,
    Withdrawn,
    Revoked,
}

impl Expected {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Revoked => "revoked",
        }
    }
}

/// An acknowledged request.
#[derive(Debug, Clone)]
pub struct Request {
    pub application: String,
    /// Empty: it is for an API key.
    pub scope: String,
    pub expected: Expected,
    /// Types of the events whose commands were answered.
    pub acknowledged: Vec<&'static str>,
}

/// Shared by the clients of a round.
#[derive(Default)]
pub struct Ledger(Mutex<BTreeMap<String, Request>>);

impl Ledger {
    pub fn submitted(&self, id: &str, application: &str, scope: &str) {
        let request = Request {
            application: application.to_owned(),
            scope: scope.to_owned(),
            expected: Expected::Pending,
            acknowledged: vec!["submitted"],
        };
        let before = self.lock().insert(id.to_owned(), request);
        assert!(before.is_none(), "two submissions got the same id {id}");
    }

    pub fn decided(&self, id: &str, event: &'static str, expected: Expected) {
        let mut requests = self.lock();
        let request = requests.get_mut(id).unwrap();
        request.acknowledged.push(event);
        request.expected = expected;
    }

    pub fn requests(&self) -> BTreeMap<String, Request> {
        self.lock().clone()
    }

    /// How many API keys there must be.
    pub fn keys(&self) -> usize {
        let requests = self.lock();
        let active = |one: &&Request| one.scope.is_empty() && one.expected == Expected::Active;
        requests.values().filter(active).count()
    }

    /// The scopes that each application with a client must have at the provider, those without any included.
    pub fn scopes(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut scopes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for request in self.lock().values().filter(|one| !one.scope.is_empty()) {
            let of_application = scopes.entry(request.application.clone()).or_default();
            if request.expected == Expected::Active {
                of_application.insert(request.scope.clone());
                of_application.insert("free_plan".to_owned());
            }
        }
        scopes
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Request>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
