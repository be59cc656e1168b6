//! Users who were not allowed what they asked for: a line of the security log each, and an event for each user and
//! minute, which accounts is told once the minute is over.
//!
//! Every user comes through the edge, so it sees the refusals of all services. Nobody waits for the report, and what
//! cannot be reported is tried again a minute later. Visitors who are not signed in are only counted, by the metrics of
//! requests.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::extract::{MatchedPath, Request};
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use portico_proto::{
    Error, Kind,
    accounts::v1::{
        Refusals as Reported, ReportRefusalsRequest, accounts_service_client::AccountsServiceClient,
    },
    time,
};
use portico_runtime::{Caller, Deps, ServiceName, security};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::auth::Auth;
use crate::edge::problem::Failure;

/// Refusals within it make one event.
const MINUTE: Duration = Duration::from_mins(1);
/// Users and minutes that wait for the report; those of others are lines only.
const CAPACITY: usize = 10_000;
/// In one report.
const AT_ONCE: usize = 1000;

/// Cheap to clone; clones count together.
#[derive(Clone)]
pub(in crate::edge) struct Refusals {
    deps: Deps,
    /// Whose counts these are, so that a report that comes twice is known again.
    reporter: Uuid,
    counted: Arc<Mutex<Counted>>,
}

#[derive(Default)]
struct Counted {
    /// By user and the minute's number since 1970.
    counts: HashMap<(Uuid, i64), u32>,
    /// Whether there is somebody who reports.
    reporting: bool,
}

/// What a request says of its sender. Kept while it is worked on, so that one who is allowed it costs no look-up.
pub(in crate::edge) struct Sender {
    authorization: Vec<HeaderValue>,
    cookies: Vec<HeaderValue>,
    route: Option<MatchedPath>,
}

impl Sender {
    /// Of a request that is about to be worked on.
    pub(in crate::edge) fn of(request: &Request) -> Self {
        let all = |name| request.headers().get_all(name).iter().cloned().collect();
        Self {
            authorization: all(header::AUTHORIZATION),
            cookies: all(header::COOKIE),
            route: request.extensions().get().cloned(),
        }
    }

    async fn caller(self, auth: &Auth) -> Option<Caller> {
        let mut headers = HeaderMap::new();
        for value in self.authorization {
            headers.append(header::AUTHORIZATION, value);
        }
        for value in self.cookies {
            headers.append(header::COOKIE, value);
        }
        let credential = auth.credential(&headers).ok()?;
        let identity = auth.identify(&credential).await.ok()??;
        Some(identity.caller)
    }
}

impl Refusals {
    /// Reports to accounts.
    pub(in crate::edge) fn new(deps: &Deps) -> Self {
        Self {
            reporter: deps.clock.new_id(),
            deps: deps.clone(),
            counted: Arc::default(),
        }
    }

    /// Takes note of a failure where it is a refusal of authority. A forged request is none: its user did not ask.
    pub(in crate::edge) async fn failed(&self, auth: &Auth, sender: Sender, failure: &Failure) {
        let error = &failure.error;
        if error.kind != Kind::Forbidden || error.code == "csrf_failed" {
            return;
        }
        let route = sender.route.clone();
        if let Some(caller) = sender.caller(auth).await {
            let route = route.as_ref().map_or("none", MatchedPath::as_str);
            self.note(&caller, route);
        }
    }

    /// Takes note that a user was refused a method or route.
    pub(in crate::edge) fn note(&self, caller: &Caller, about: &str) {
        let Caller::User { id, .. } = caller else {
            return;
        };
        security::line("refused", Some(*id), None, Some(&about));
        let minute = minute_of(self.deps.clock.now());
        let mut counted = self.lock();
        let known = counted.counts.len() < CAPACITY || counted.counts.contains_key(&(*id, minute));
        if known {
            *counted.counts.entry((*id, minute)).or_default() += 1;
        }
        if !mem::replace(&mut counted.reporting, true) {
            let (refusals, shutdown) = (self.clone(), self.deps.shutdown.clone());
            self.deps
                .spawn(async move { refusals.report_on(&shutdown).await });
        }
    }

    /// Reports every minute, until there is nothing to report.
    async fn report_on(self, shutdown: &CancellationToken) {
        loop {
            let minute = self.deps.clock.sleep(MINUTE);
            if shutdown.run_until_cancelled(minute).await.is_none() {
                return self.report(i64::MAX).await;
            }
            self.report(minute_of(self.deps.clock.now())).await;
            let mut counted = self.lock();
            counted.reporting = !counted.counts.is_empty();
            if !counted.reporting {
                return;
            }
        }
    }

    /// Reports the minutes before this one.
    async fn report(&self, before: i64) {
        let ended: Vec<_> = {
            let mut counted = self.lock();
            let extracted = counted.counts.extract_if(|(_, minute), _| *minute < before);
            extracted.collect()
        };
        for some in ended.chunks(AT_ONCE) {
            if let Err(error) = self.send(some).await {
                tracing::warn!(%error, "refusals are not in the security log yet; they are reported again in a minute");
                let mut counted = self.lock();
                for (key, count) in some {
                    *counted.counts.entry(*key).or_default() += count;
                }
            }
        }
    }

    async fn send(&self, some: &[((Uuid, i64), u32)]) -> Result<(), Error> {
        let refusals = some.iter().map(|((user, minute), count)| Reported {
            user_id: user.to_string(),
            minute: Timestamp::from_second(minute * 60).ok().map(time::to_proto),
            count: *count,
        });
        let request = ReportRefusalsRequest {
            reporter: self.reporter.to_string(),
            refusals: refusals.collect(),
        };
        let edge = Caller::service("edge");
        let request = self.deps.identity.request(&edge, request);
        AccountsServiceClient::new(self.deps.channels.to(ServiceName::Accounts))
            .report_refusals(request)
            .await?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn minute_of(now: Timestamp) -> i64 {
    now.as_second().div_euclid(60)
}
