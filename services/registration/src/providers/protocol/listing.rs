//! The clients of a provider that have a marker of Portico's, page by page.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use super::credentials::is_client_id;
use super::failure::{Failure, Result};
use super::session::{RawAnswer, Session};
use crate::client_metadata::Marker;
use crate::providers::Driver;

/// Pages that one search reads. A provider whose list has no end is left there.
pub const PAGES: usize = 200;

/// A client that Portico made, or that has the marker of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkedClient {
    /// RFC 7591 section 3.2.1.
    pub client_id: String,
    /// What it is marked with.
    pub marker: Marker,
    /// What it may be able to do, as far as the list says so.
    pub scopes: BTreeSet<String>,
}

impl MarkedClient {
    /// The stream of the client that it was meant to be.
    #[must_use]
    pub fn stream(&self) -> Option<Uuid> {
        self.marker.id.parse().ok()
    }
}

/// One page of a provider's list of clients.
#[derive(Debug, Clone, Default)]
pub struct ClientPage {
    /// Those with a marker.
    pub marked: Vec<MarkedClient>,
    /// Clients on the page, whoever made them.
    pub count: usize,
    /// What the driver needs for the next page; none: this was the last.
    pub next: Option<String>,
}

impl ClientPage {
    /// What of the listed clients has a marker and an id that can be kept. `read` gives a client's id, marker and scopes.
    pub(crate) fn of(
        answer: &RawAnswer,
        clients: &[Value],
        next: Option<String>,
        read: impl Fn(&Value) -> Option<(&str, Marker, BTreeSet<String>)>,
    ) -> Self {
        let marked = clients.iter().filter_map(|client| {
            let (id, marker, scopes) = read(client)?;
            // It is stored and shown; a provider must not put a token of ours there.
            let is_sent = answer.sent.iter().any(|sent| id.contains(sent.expose()));
            (is_client_id(id) && !is_sent).then(|| MarkedClient {
                client_id: id.to_owned(),
                marker,
                scopes,
            })
        });
        Self {
            marked: marked.collect(),
            count: clients.len(),
            next,
        }
    }
}

/// The id of the client with this marker. The application's name plays no part: it may have been changed or erased since.
///
/// # Errors
/// Those of [`Driver::list_clients`]; `search_too_long` where the list goes on after [`PAGES`] pages.
pub(crate) async fn find_marked(
    driver: &dyn Driver,
    session: &Session<'_>,
    marker: &Marker,
) -> Result<Option<String>> {
    let mut after = None;
    for _ in 0..PAGES {
        let page = driver.list_clients(session, after.as_deref()).await?;
        let found = page.marked.into_iter().find(|one| one.marker == *marker);
        match (found, page.next) {
            (Some(found), _) => return Ok(Some(found.client_id)),
            (None, Some(next)) => after = Some(next),
            (None, None) => return Ok(None),
        }
    }
    Err(too_long())
}

/// The list did not end where a search must.
pub(crate) fn too_long() -> Failure {
    let why = "the provider lists more clients than one search reads; look for the client by hand";
    Failure::fail("search_too_long", why)
}
