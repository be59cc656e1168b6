//! What the edge remembers of the services' answers: for two seconds, and not beyond a change that this process makes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::{
    body::{Body, to_bytes},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hashlink::LruCache;
use http::{HeaderMap, StatusCode, Uri};
use jiff::{SignedDuration, Timestamp};
use portico_proto::Error;
use portico_runtime::{Caller, Clock, Role, ServiceChannel, ServiceName};

use super::{problem::Result, request::RequestContext};

/// Another replica may change something meanwhile.
const LONGEST: SignedDuration = SignedDuration::from_secs(2);
/// Answers that are remembered at most.
const ANSWERS: usize = 1024;
/// Bytes of all of them at most, and of one.
const BYTES: usize = 16 << 20;
const LARGEST: usize = 256 << 10;

/// When a service was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) at: Timestamp,
    changes: u64,
}

impl Asked {
    /// To be taken before the call: a change that comes between makes its answer an old one.
    pub(super) fn now(clock: &Clock, service: &ServiceChannel) -> Self {
        Self {
            at: clock.now(),
            changes: service.changes(),
        }
    }

    /// Whether an answer from then may still be given.
    pub(super) fn holds(self, now: Self) -> bool {
        let age = now.at.duration_since(self.at);
        // A clock that was set back must not make it last longer.
        self.changes == now.changes && (SignedDuration::ZERO..LONGEST).contains(&age)
    }
}

/// Who gets the same answers of the catalogue. Admins do not get remembered ones: they see what they have just done, also
/// at another replica of the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Audience {
    Visitor,
    Developer,
}

impl Audience {
    fn of(caller: &Caller) -> Option<Self> {
        match caller {
            Caller::Anonymous => Some(Self::Visitor),
            Caller::User { role, .. } => match role {
                Role::Developer => Some(Self::Developer),
                Role::Admin => None,
            },
            Caller::Service(_) => None,
        }
    }
}

/// Answers of the catalogue over REST, as they were sent.
pub(super) struct Catalogue(Mutex<Remembered>);

struct Remembered {
    answers: LruCache<(Audience, Uri), Answer>,
    bytes: usize,
}

struct Answer {
    asked: Asked,
    headers: HeaderMap,
    body: Bytes,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self(Mutex::new(Remembered {
            answers: LruCache::new_unbounded(),
            bytes: 0,
        }))
    }
}

/// The remembered answer to the same question of the same audience, or a new one.
pub(super) async fn answer<A: IntoResponse>(
    ctx: &RequestContext,
    make: impl Future<Output = Result<A>>,
) -> Result<Response> {
    let Some(audience) = Audience::of(&ctx.caller()) else {
        return make.await.map(IntoResponse::into_response);
    };
    let edge = ctx.edge();
    let asked = Asked::now(
        &edge.deps.clock,
        &edge.deps.channels.to(ServiceName::Catalog),
    );
    let key = (audience, ctx.uri().clone());
    if let Some(known) = edge.catalogue.get(&key, asked) {
        return Ok(known);
    }
    let (parts, body) = make.await?.into_response().into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|error| {
        tracing::error!(%error, "an answer of the catalogue could not be written");
        Error::internal()
    })?;
    if parts.status == StatusCode::OK {
        let headers = parts.headers.clone();
        let body = body.clone();
        let answer = Answer {
            asked,
            headers,
            body,
        };
        edge.catalogue.put(key, answer);
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

impl Catalogue {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &(Audience, Uri), now: Asked) -> Option<Response> {
        let mut all = self.lock();
        let known = all
            .answers
            .get(key)
            .filter(|known| known.asked.holds(now))?;
        let mut response = Response::new(Body::from(known.body.clone()));
        *response.headers_mut() = known.headers.clone();
        Some(response)
    }

    fn put(&self, key: (Audience, Uri), answer: Answer) {
        let size = size(&key, &answer);
        if size > LARGEST {
            return;
        }
        let mut all = self.lock();
        all.bytes += size;
        if let Some(old) = all.answers.remove(&key) {
            all.bytes -= self::size(&key, &old);
        }
        all.answers.insert(key, answer);
        while all.bytes > BYTES || all.answers.len() > ANSWERS {
            let Some((key, old)) = all.answers.remove_lru() else {
                break;
            };
            all.bytes -= self::size(&key, &old);
        }
    }
}

/// What anybody can make larger.
fn size((_, uri): &(Audience, Uri), answer: &Answer) -> usize {
    let query = uri.query().map_or(0, str::len);
    uri.path().len() + query + answer.body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(catalogue: &Catalogue, number: usize, length: usize) {
        let uri = format!("/{number:05}").parse().unwrap();
        let channel = ServiceChannel::local(ServiceName::Catalog);
        let answer = Answer {
            asked: Asked::now(&Clock::fixed(Timestamp::UNIX_EPOCH), &channel),
            headers: HeaderMap::new(),
            body: vec![0; length].into(),
        };
        catalogue.put((Audience::Visitor, uri), answer);
    }

    fn held(catalogue: &Catalogue) -> (usize, usize) {
        let all = catalogue.lock();
        let bytes = all.answers.iter().map(|(key, answer)| size(key, answer));
        assert_eq!(bytes.sum::<usize>(), all.bytes);
        (all.answers.len(), all.bytes)
    }

    #[test]
    fn answers_are_bounded_by_number_and_bytes() {
        let catalogue = Catalogue::default();
        for number in 0..3 * ANSWERS {
            put(&catalogue, number, 10);
            put(&catalogue, number, 20);
        }
        assert_eq!(held(&catalogue), (ANSWERS, ANSWERS * 26));
        put(&catalogue, 9999, LARGEST);
        assert_eq!(held(&catalogue), (ANSWERS, ANSWERS * 26), "too large");
        for number in 0..ANSWERS {
            put(&catalogue, number, LARGEST - 6);
        }
        assert_eq!(held(&catalogue), (BYTES / LARGEST, BYTES));
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_younger() {
        let channel = ServiceChannel::local(ServiceName::Catalog);
        let at = |second| {
            let time = Timestamp::from_second(second).unwrap();
            Asked::now(&Clock::fixed(time), &channel)
        };
        assert!(at(10).holds(at(10)) && at(10).holds(at(11)));
        assert!(!at(10).holds(at(12)) && !at(10).holds(at(9)));
    }
}
