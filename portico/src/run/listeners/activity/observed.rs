//! Where a connection is observed: at its bytes, and at the bodies of its answers.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Activity, Work};

/// The body of an answer, at work until it is sent or given up.
pub(in crate::run::listeners) struct Answer<B> {
    body: B,
    unread: Arc<Unread>,
}

/// What of an answer waits for the peer: HTTP/2 keeps it back by its flow control (RFC 9113 section 5.2), also after the
/// body has come to its end.
struct Unread {
    bytes: AtomicUsize,
    work: Work,
}

/// A piece of the body, until its last byte is written or it is given up.
pub(in crate::run::listeners) struct Piece<D: Buf> {
    data: D,
    unread: Arc<Unread>,
}

impl<B> Answer<B> {
    pub(in crate::run::listeners) fn new(body: B, work: Work) -> Self {
        let bytes = AtomicUsize::new(0);
        let unread = Arc::new(Unread { bytes, work });
        Self { body, unread }
    }
}

impl Unread {
    fn grow(&self, bytes: usize) {
        let mut state = self.work.0.lock();
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before == 0 && bytes > 0 {
            state.unread += 1;
            state.look_who_waits();
        }
    }

    fn shrink(&self, bytes: usize) {
        let mut state = self.work.0.lock();
        let before = self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if before == bytes && bytes > 0 {
            state.unread -= 1;
            state.look_who_waits();
        }
    }

    fn is_read(&self, bytes: usize) {
        self.work.0.lock().pace.is_read(bytes);
        self.shrink(bytes);
    }
}

impl<D: Buf> Buf for Piece<D> {
    fn remaining(&self) -> usize {
        self.data.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.data.chunk()
    }

    fn chunks_vectored<'a>(&'a self, parts: &mut [io::IoSlice<'a>]) -> usize {
        self.data.chunks_vectored(parts)
    }

    fn advance(&mut self, count: usize) {
        self.data.advance(count);
        self.unread.is_read(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        let bytes = self.data.copy_to_bytes(length);
        self.unread.is_read(length);
        bytes
    }
}

impl<D: Buf> Drop for Piece<D> {
    fn drop(&mut self) {
        self.unread.shrink(self.data.remaining());
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = Piece<B::Data>;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(context));
        let observed = |data: B::Data| {
            self.unread.grow(data.remaining());
            let unread = Arc::clone(&self.unread);
            Piece { data, unread }
        };
        Poll::Ready(polled.map(|frame| frame.map(|frame| frame.map_data(observed))))
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
pub(in crate::run::listeners) struct Observed<T> {
    pub(in crate::run::listeners) io: T,
    pub(in crate::run::listeners) activity: Activity,
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
    fn tried<O>(&self, result: Poll<io::Result<O>>) -> Poll<io::Result<O>> {
        self.activity.lock().is_taken(result.is_ready());
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
        self.tried(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.tried(flushed)
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
        self.tried(written)
    }
}
