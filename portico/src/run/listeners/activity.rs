//! What a connection does, and until when it has to do something. Observed above TLS: bytes and requests.
//!
//! hyper's own time-out for headers runs between requests, too, so that it cannot be shorter than the pause for which
//! load balancers keep a connection.

mod observed;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use portico_runtime::config::Connections;
use tokio::time::{Instant, sleep_until};

pub(super) use self::observed::{Answer, Observed};
use super::frames::Frames;

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
    /// Answers of which something waits for the peer to read it. HTTP/2 keeps that back by its flow control (RFC 9113
    /// section 5.2), so that nothing is to be written.
    unread: usize,
    /// When the first of them began to wait, or when the peer read something of any of them since.
    read: Instant,
    /// What is written.
    frames: Frames,
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
            read: Instant::now(),
            frames: Frames::default(),
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
        Work(self.clone())
    }
}

impl State {
    fn deadline(&self, limits: &Connections) -> Option<(Instant, Overdue)> {
        // Others go on, as streams do of which nothing is to be told. They have bounds of their own, and between services
        // they are those of other people.
        let all_wait = self.unread > 0 && self.unread == self.at_work;
        let unread = all_wait.then_some(self.read);
        // The earlier one: bytes that are no content, such as answers to pings, are taken while content waits.
        if let Some(since) = self.blocked.into_iter().chain(unread).min() {
            return Some((after(since, limits.stall_timeout), Overdue::Slow));
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

    /// Whether the peer takes what is written.
    fn is_taken(&mut self, taken: bool) {
        match taken {
            true => self.blocked = None,
            false => drop(self.blocked.get_or_insert_with(Instant::now)),
        }
    }

    /// So many bytes of these parts have been written.
    fn wrote<'a>(&mut self, mut count: usize, parts: impl Iterator<Item = &'a [u8]>) {
        for part in parts {
            let written = part.get(..count).unwrap_or(part);
            count -= written.len();
            let progress = match self.protocol {
                Protocol::Http2 => self.frames.have_content(written),
                Protocol::Http1 | Protocol::Unknown(_) => !written.is_empty(),
            };
            if progress {
                self.read = Instant::now();
            }
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
        if state.at_work == 0 {
            state.wait_for(Waiting::Request);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        pin::Pin,
        task::{Context, Poll, Waker},
    };

    use http_body::{Body, Frame};

    use super::{super::tests::limits, *};

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
            header_timeout: seconds(10),
            idle_timeout: seconds(75),
            ..limits(1, 1)
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

    /// Pieces, and then nothing.
    struct Pieces(u8);

    impl Body for Pieces {
        type Data = bytes::Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<bytes::Bytes>, io::Error>>> {
            let Some(left) = self.0.checked_sub(1) else {
                return Poll::Pending;
            };
            self.0 = left;
            let piece = bytes::Bytes::from_static(b"piece");
            Poll::Ready(Some(Ok(Frame::data(piece))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_waited_for_while_something_of_it_is_read() {
        let limits = Connections {
            stall_timeout: Duration::from_secs(30),
            ..limits(1, 1)
        };
        let (data, ping) = (b"\0\0\x01\0\0\0\0\0\x01x", b"\0\0\0\x06\0\0\0\0\0");
        let begin = Instant::now();
        let activity = Activity::new();
        activity.lock().received(PREFACE);
        let mut answer = Answer::new(Pieces(2), activity.request());
        let mut poll = || {
            let mut context = Context::from_waker(Waker::noop());
            Pin::new(&mut answer).poll_frame(&mut context).is_ready()
        };
        assert_eq!(activity.lock().deadline(&limits), None, "not made yet");
        for content in [true, false] {
            assert!(poll());
            tokio::time::advance(Duration::from_secs(20)).await;
            let written: &[u8] = if content { data } else { ping };
            activity.lock().wrote(written.len(), [written].into_iter());
        }
        let other = activity.request();
        assert_eq!(activity.lock().deadline(&limits), None, "another goes on");
        drop(other);
        // The first piece was read at the second 20, and so the second one was taken; of that nothing was.
        assert_eq!(activity.until_overdue(&limits).await, Overdue::Slow);
        assert_eq!(begin.elapsed().as_secs(), 50);
        assert!(!poll());
        assert_eq!(
            activity.lock().deadline(&limits),
            None,
            "has nothing to send"
        );
        drop(answer);
        assert_eq!(activity.lock().unread, 0);
    }
}
