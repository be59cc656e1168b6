//! Clients that a provider has and nobody here knows, by Portico's marker: what is left at the provider of everything that
//! came after the instant that was restored. Only reads.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::{WorkError, Worker};
use crate::conformance::ConformanceCheck;
use crate::providers::access::NoSpool;
use crate::providers::{Access, Failure, MarkedClient};
use crate::views::oauth_clients as view;

/// Pages that one search reads, and the time after which it begins no other one: a call between services has a minute,
/// and a page at a slow provider may take a third of it.
const PAGES: usize = 20;
const TIME: Duration = Duration::from_secs(20);

/// A part of a provider's list.
#[derive(Debug, Default)]
pub(crate) struct UnknownClients {
    pub(crate) clients: Vec<MarkedClient>,
    /// Clients on the pages, whoever made them.
    pub(crate) looked_at: usize,
    /// Clients with a marker that are being worked on: the next search tells.
    pub(crate) undecided: usize,
    /// Where the next search goes on; none: the list was read to its end.
    pub(crate) next: Option<String>,
}

impl Worker {
    /// Looks through a part of the provider's list; `after`: `next` of the part before.
    ///
    /// A page that fails ends the part, and what was found before it counts; where it is the first one, its failure is
    /// the answer.
    pub(crate) async fn unknown_clients(
        &self,
        access: &Access,
        after: Option<String>,
    ) -> Result<Result<UnknownClients, Failure>, WorkError> {
        let mut search = UnknownClients {
            next: after,
            ..UnknownClients::default()
        };
        // A provider may list a client twice, as when others come and go between two pages.
        let mut found = BTreeMap::new();
        let began = Instant::now();
        for number in 0..PAGES {
            if number > 0 && began.elapsed() > TIME {
                break;
            }
            let since = self.deps.clock.now();
            let session = access.session(&NoSpool);
            let listed = access
                .driver()
                .list_clients(&session, search.next.as_deref());
            let page = match listed.await {
                Ok(page) => page,
                Err(failure) if number == 0 => return Ok(Err(failure)),
                Err(failure) => {
                    tracing::warn!(identity_provider_id = %access.id, pages = number, error = %failure,
                        "the provider's list of clients was not read to its end");
                    break;
                }
            };
            search.looked_at += page.count;
            search.next = page.next;
            let pool = self.store.database().pool();
            let listed = page.marked.iter();
            let listed: Vec<_> = listed
                .map(|one| (one.client_id.as_str(), one.marker.id.as_str()))
                .collect();
            let known = view::known_of(pool, access.id, &listed, since).await?;
            for one in page.marked {
                if known.clients.contains(&one.client_id) {
                    continue;
                }
                match one.stream().is_some_and(|id| known.changing.contains(&id)) {
                    true => search.undecided += 1,
                    false => drop(found.insert(one.client_id.clone(), one)),
                }
            }
            if search.next.is_none() {
                break;
            }
        }
        let check = self.store.load::<ConformanceCheck>(access.id).await?.state;
        if let Some(of_check) = check.left_behind {
            found.remove(&of_check.client_id);
        }
        search.clients = found.into_values().collect();
        Ok(Ok(search))
    }
}
