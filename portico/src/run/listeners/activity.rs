//! What a connection does, and until when it has to do something. Observed above TLS: bytes and requests.
//!
//! hyper's own time-out for headers runs between requests, too, so that it cannot be shorter than the pause for which
//! load balancers keep a connection.

mod observed;
mod pace;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use portico_runtime::config::Connections;
use tokio::time::{Instant, sleep_until};

pub(super) use self::observed::{Answer, Observed};
use self::pace::Pace;

/// How an HTTP/2 connection begins (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Shared by the connection's bytes, its requests and whoever ends it. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Requests whose answer is not finished.
    at_work: usize,
    /// What is waited for while none is at work.
    waiting: Waiting,
    since: Instant,
    /// From when on the peer has taken no byte of what is to be written.
    blocked: Option<Instant>,
    /// Answers of which something waits for the peer to read it.
    unread: usize,
    pace: Pace,
    protocol: Protocol,
}

/// What a connection without a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The rest of a request's head, of the preface or of a handshake: nobody who means well needs long for it.
    Head,
    /// Another request.
    Request,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// So many bytes of the preface have come.
    Unknown(usize),
    Http1,
    Http2,
}

/// Why a connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// It has waited for a request for long enough.
    Idle,
    /// The peer is too slow.
    Slow,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            at_work: 0,
            waiting: Waiting::Head,
            since: Instant::now(),
            blocked: None,
            unread: 0,
            pace: Pace::default(),
            protocol: Protocol::Unknown(0),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it waits for, and since when; `None` while a request is at work, or an answer on its way.
    pub(super) fn waiting(&self) -> Option<(Waiting, Instant)> {
        let state = self.lock();
        let waits = state.at_work == 0 && state.blocked.is_none();
        waits.then_some((state.waiting, state.since))
    }

    /// Why it has to end already, if so.
    pub(super) fn overdue(&self, limits: &Connections) -> Option<Overdue> {
        let (at, why) = self.lock().deadline(limits)?;
        (at <= Instant::now()).then_some(why)
    }

    /// Resolves when it has to end, with the reason.
    pub(super) async fn until_overdue(&self, limits: &Connections) -> Overdue {
        // No deadline that begins from now on is earlier than this, so none is missed by looking no sooner.
        let shortest = limits.header_timeout.min(limits.idle_timeout);
        let shortest = shortest.min(limits.stall_timeout);
        loop {
            let deadline = self.lock().deadline(limits);
            let now = Instant::now();
            let look_again = after(now, shortest);
            match deadline {
                Some((at, why)) if at <= now => return why,
                Some((at, _)) => sleep_until(at.min(look_again)).await,
                None => sleep_until(look_again).await,
            }
        }
    }

    /// Counts a request until what is returned is dropped.
    pub(super) fn request(&self) -> Work {
        let mut state = self.lock();
        state.at_work += 1;
        state.look_who_waits();
        Work(self.clone())
    }
}

impl State {
    fn deadline(&mut self, limits: &Connections) -> Option<(Instant, Overdue)> {
        let blocked = self.blocked.map(|since| after(since, limits.stall_timeout));
        // The earlier one: bytes that are no content, such as answers to pings, are taken while content waits.
        if let Some(at) = blocked.into_iter().chain(self.pace.deadline(limits)).min() {
            return Some((at, Overdue::Slow));
        }
        if self.at_work > 0 {
            return None;
        }
        Some(match self.waiting {
            Waiting::Head => (after(self.since, limits.header_timeout), Overdue::Slow),
            Waiting::Request => (after(self.since, limits.idle_timeout), Overdue::Idle),
        })
    }

    /// Where others go on, as streams do of which nothing is to be told, the peer is not hurried: they have bounds of their
    /// own, and between services they are those of other people.
    fn look_who_waits(&mut self) {
        let all_wait = self.unread > 0 && self.unread == self.at_work;
        self.pace.waits(all_wait);
    }

    fn wait_for(&mut self, what: Waiting) {
        self.waiting = what;
        self.since = Instant::now();
    }

    /// Whether the peer takes what is written.
    fn is_taken(&mut self, taken: bool) {
        match taken {
            true => self.blocked = None,
            false => drop(self.blocked.get_or_insert_with(Instant::now)),
        }
    }

    fn received(&mut self, bytes: &[u8]) {
        if let Protocol::Unknown(seen) = self.protocol {
            self.protocol = protocol(seen, bytes);
            if self.protocol == Protocol::Http2 {
                // From now on frames come that are no requests, so bytes say nothing about what is waited for.
                self.wait_for(Waiting::Request);
            }
        }
        let head_begins = self.at_work == 0 && self.waiting == Waiting::Request;
        if self.protocol == Protocol::Http1 && head_begins && !bytes.is_empty() {
            self.wait_for(Waiting::Head);
        }
    }
}

/// A day later, where a limit is longer than any time can be.
fn after(since: Instant, limit: Duration) -> Instant {
    let day = Duration::from_hours(24);
    since.checked_add(limit).unwrap_or_else(|| since + day)
}

/// After `seen` bytes of the preface.
fn protocol(seen: usize, bytes: &[u8]) -> Protocol {
    let expected = PREFACE.get(seen..).unwrap_or_default();
    let common = expected.len().min(bytes.len());
    if expected.get(..common) != bytes.get(..common) {
        Protocol::Http1
    } else if common == expected.len() {
        Protocol::Http2
    } else {
        Protocol::Unknown(seen + common)
    }
}

/// A request at work.
#[derive(Debug)]
pub(super) struct Work(Activity);

impl Drop for Work {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.at_work -= 1;
        state.look_who_waits();
        if state.at_work == 0 {
            state.wait_for(Waiting::Request);
        }
    }
}

#[cfg(test)]
mod tests;
