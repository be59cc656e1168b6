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
use portico_runtime::{Caller, Clock, Deps, Role, ServiceChannel, ServiceName};

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

    /// Of the catalogue.
    pub(super) fn catalogue(deps: &Deps) -> Self {
        Self::now(&deps.clock, &deps.channels.to(ServiceName::Catalog))
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
    Developer {
        /// What is internal is in the answer.
        let_in: bool,
    },
}

impl Audience {
    fn of(caller: &Caller) -> Option<Self> {
        match caller {
            Caller::Anonymous => Some(Self::Visitor),
            Caller::User {
                role: Role::Developer,
                let_in,
                ..
            } => Some(Self::Developer { let_in: *let_in }),
            Caller::User {
                role: Role::Admin, ..
            }
            | Caller::Service(_) => None,
        }
    }
}

/// What the catalogue is asked, and for whom. Over REST the address is all of it, over gRPC the message belongs to it.
/// Copies: what was received is a part of the buffer that the whole request was read into, and would keep all of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    audience: Audience,
    /// Path and query; the same whatever host the caller gives.
    address: Box<str>,
    message: Box<[u8]>,
}

impl Question {
    /// `None` where the caller gets no remembered answers.
    pub(super) fn of(caller: &Caller, uri: &Uri, message: &[u8]) -> Option<Self> {
        Some(Self {
            audience: Audience::of(caller)?,
            address: uri.path_and_query()?.as_str().into(),
            message: message.into(),
        })
    }

    /// The size of what is remembered, as far as anybody can make it larger.
    fn size_with(&self, answer: &Answer) -> usize {
        self.address.len() + self.message.len() + answer.body.len()
    }
}

/// A good answer, as it was sent.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Of gRPC.
    pub(super) trailers: HeaderMap,
}

/// Answers of the catalogue, over REST or over gRPC.
pub(super) struct Catalogue(Mutex<Remembered>);

struct Remembered {
    answers: LruCache<Question, (Asked, Answer)>,
    bytes: usize,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self(Mutex::new(Remembered {
            answers: LruCache::new_unbounded(),
            bytes: 0,
        }))
    }
}

/// The remembered answer to the same question over REST, or a new one.
pub(super) async fn answer<A: IntoResponse>(
    ctx: &RequestContext,
    make: impl Future<Output = Result<A>>,
) -> Result<Response> {
    let Some(question) = Question::of(&ctx.caller(), ctx.uri(), &[]) else {
        return make.await.map(IntoResponse::into_response);
    };
    let edge = ctx.edge();
    let asked = Asked::catalogue(&edge.deps);
    if let Some(known) = edge.catalogue.get(&question, asked) {
        let mut response = Response::new(Body::from(known.body));
        *response.headers_mut() = known.headers;
        return Ok(response);
    }
    let (parts, body) = make.await?.into_response().into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|error| {
        tracing::error!(%error, "an answer of the catalogue could not be written");
        Error::internal()
    })?;
    if parts.status == StatusCode::OK {
        let answer = Answer {
            headers: parts.headers.clone(),
            body: body.clone(),
            trailers: HeaderMap::new(),
        };
        edge.catalogue.put(question, asked, answer);
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

impl Catalogue {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was answered before, where it still holds.
    pub(super) fn get(&self, question: &Question, now: Asked) -> Option<Answer> {
        let mut all = self.lock();
        let (asked, answer) = all.answers.get(question)?;
        asked.holds(now).then(|| answer.clone())
    }

    /// Remembers an answer to what was asked then; what was used least gives way.
    pub(super) fn put(&self, question: Question, asked: Asked, answer: Answer) {
        let size = question.size_with(&answer);
        if size > LARGEST {
            return;
        }
        let mut all = self.lock();
        all.bytes += size;
        if let Some((_, old)) = all.answers.remove(&question) {
            all.bytes -= question.size_with(&old);
        }
        all.answers.insert(question, (asked, answer));
        while all.bytes > BYTES || all.answers.len() > ANSWERS {
            let Some((question, (_, old))) = all.answers.remove_lru() else {
                break;
            };
            all.bytes -= question.size_with(&old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(catalogue: &Catalogue, number: usize, length: usize) {
        let uri: Uri = format!("/{number:05}").parse().unwrap();
        let channel = ServiceChannel::local(ServiceName::Catalog);
        let asked = Asked::now(&Clock::fixed(Timestamp::UNIX_EPOCH), &channel);
        let answer = Answer {
            headers: HeaderMap::new(),
            body: vec![0; length].into(),
            trailers: HeaderMap::new(),
        };
        let question = Question::of(&Caller::Anonymous, &uri, &[]);
        catalogue.put(question.unwrap(), asked, answer);
    }

    fn held(catalogue: &Catalogue) -> (usize, usize) {
        let all = catalogue.lock();
        let sizes = all.answers.iter();
        let sizes = sizes.map(|(question, (_, answer))| question.size_with(answer));
        assert_eq!(sizes.sum::<usize>(), all.bytes);
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
    fn an_answer_does_not_depend_on_the_host_that_was_asked() {
        let of = |uri: &str| Question::of(&Caller::Anonymous, &uri.parse().unwrap(), &[]);
        assert_eq!(of("http://a.example/plans?q=1"), of("/plans?q=1"));
        assert_ne!(of("/plans?q=1"), of("/plans?q=2"));
        assert_eq!(of("a.example:443"), None);
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
