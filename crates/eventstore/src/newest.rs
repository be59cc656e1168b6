//! The newest that another service said of one of its things. Messages come in any order, and may come before anybody
//! here needs the thing: the newest fact is kept, and looked up when it is needed.

use std::convert::Infallible;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::Aggregate;

/// What is followed of another service's thing, complete in each message.
pub trait Fact: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// As [`Aggregate::CATEGORY`].
    const CATEGORY: &'static str;

    /// Whether this was said after the other one, by the order of the service that said both.
    fn is_newer_than(&self, known: &Self) -> bool;
}

/// The newest fact, in a stream whose id is the thing's; none as long as nothing is known.
#[derive(Debug, Clone)]
pub struct Newest<F> {
    /// None: nothing was said yet.
    pub newest: Option<F>,
}

/// What happens to a [`Newest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Noted<F> {
    /// It is newer than what was known.
    Noted(F),
}

impl<F> Default for Newest<F> {
    fn default() -> Self {
        Self { newest: None }
    }
}

impl<F: Fact> Aggregate for Newest<F> {
    const CATEGORY: &'static str = F::CATEGORY;
    type Command = F;
    type Event = Noted<F>;
    type Rejection = Infallible;

    fn decide(&self, said: &F) -> Result<Vec<Noted<F>>, Infallible> {
        let known = self.newest.as_ref();
        let newer = known.is_none_or(|known| said.is_newer_than(known));
        let event = newer.then(|| Noted::Noted(said.clone()));
        Ok(event.into_iter().collect())
    }

    fn evolve(&mut self, Noted::Noted(fact): &Noted<F>) {
        self.newest = Some(fact.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    type Thing = (u64, String);

    impl Fact for Thing {
        const CATEGORY: &'static str = "thing";

        fn is_newer_than(&self, known: &Self) -> bool {
            self.0 > known.0
        }
    }

    #[test]
    fn only_what_is_newer_is_noted() {
        let said = |as_of, name: &str| (as_of, name.to_owned());
        let noted = Noted::Noted(said(7, "b"));
        given::<Newest<Thing>>([])
            .when(&said(7, "b"))
            .then([noted.clone()]);
        for late in [3, 7] {
            given::<Newest<Thing>>([noted.clone()])
                .when(&said(late, "a"))
                .then_nothing();
        }
        given::<Newest<Thing>>([noted])
            .when(&said(8, "c"))
            .then([Noted::Noted(said(8, "c"))]);
    }
}
