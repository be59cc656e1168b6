//! What a connection does, and until when it has to do something. Observed above TLS: bytes and requests.
//!
//! hyper's own time-out for headers runs between requests, too, so that it cannot be shorter than the pause for which
//! load balancers keep a connection.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use portico_runtime::config::Connections;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, sleep_until},
};

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
    /// From when on the peer has read nothing of what is to be written.
    blocked: Option<Instant>,
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
        Work(self.clone())
    }
}

impl State {
    fn deadline(&self, limits: &Connections) -> Option<(Instant, Overdue)> {
        if let Some(since) = self.blocked {
            return Some((after(since, limits.idle_timeout), Overdue::Slow));
        }
        if self.at_work > 0 {
            return None;
        }
        Some(match self.waiting {
            Waiting::Head => (after(self.since, limits.header_timeout), Overdue::Slow),
            Waiting::Request => (after(self.since, limits.idle_timeout), Overdue::Idle),
        })
    }

    fn wait_for(&mut self, what: Waiting) {
        self.waiting = what;
        self.since = Instant::now();
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
        if state.at_work == 0 {
            state.wait_for(Waiting::Request);
        }
    }
}

/// The body of an answer, at work until it is sent or given up.
pub(super) struct Answer<B> {
    pub(super) body: B,
    pub(super) _work: Work,
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    // As the body says it: an answer of headers only must stay one, since gRPC clients read its status there.
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection's bytes, observed.
pub(super) struct Observed<T> {
    pub(super) io: T,
    pub(super) activity: Activity,
}

impl<T: AsyncRead + Unpin> AsyncRead for Observed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        let received = buffer.filled().get(before..).unwrap_or_default();
        self.activity.lock().received(received);
        Poll::Ready(Ok(()))
    }
}

impl<T> Observed<T> {
    fn wrote<R>(&self, result: Poll<R>) -> Poll<R> {
        let mut state = self.activity.lock();
        if result.is_pending() {
            state.blocked.get_or_insert_with(Instant::now);
        } else {
            state.blocked = None;
        }
        result
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Observed<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.wrote(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, parts);
        self.wrote(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_recognised_in_pieces() {
        let of = |pieces: &[&[u8]]| {
            let mut found = Protocol::Unknown(0);
            for piece in pieces {
                if let Protocol::Unknown(seen) = found {
                    found = protocol(seen, piece);
                }
            }
            found
        };
        assert_eq!(of(&[PREFACE]), Protocol::Http2);
        assert_eq!(
            of(&[&PREFACE[..5], &PREFACE[5..], b"more"]),
            Protocol::Http2
        );
        assert_eq!(of(&[b"P"]), Protocol::Unknown(1));
        assert_eq!(of(&[b"P", b"OST / HTTP/1.1"]), Protocol::Http1);
        assert_eq!(of(&[b"GET / HTTP/1.1\r\n"]), Protocol::Http1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_less_time_than_a_pause_between_requests() {
        let seconds = Duration::from_secs;
        let limits = Connections {
            max: 1,
            max_per_address: 1,
            header_timeout: seconds(10),
            idle_timeout: seconds(75),
            streams_per_user: 1,
        };
        let begin = Instant::now();
        let passed = || begin.elapsed().as_secs();
        let activity = Activity::new();
        assert_eq!(activity.until_overdue(&limits).await, Overdue::Slow);
        assert_eq!(passed(), 10);
        activity.lock().received(b"GET / HTTP/1.1");
        let work = activity.request();
        assert_eq!(
            (activity.waiting(), activity.overdue(&limits)),
            (None, None)
        );
        drop(work);
        let waiting = activity.waiting().map(|(what, _)| what);
        assert_eq!(waiting, Some(Waiting::Request));
        assert_eq!(activity.until_overdue(&limits).await, Overdue::Idle);
        assert_eq!(passed(), 85);
        // The next head begins late in the pause, and has its own time from then on.
        activity.lock().received(b"G");
        activity.lock().received(b"E");
        assert_eq!(activity.until_overdue(&limits).await, Overdue::Slow);
        assert_eq!(passed(), 95);
    }
}
