//! Where a connection is observed: at its bytes, and at the bodies of its answers.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{Activity, Work};

/// The body of an answer, at work until it is sent or given up.
pub(in crate::run::listeners) struct Answer<B> {
    body: B,
    work: Work,
    /// The last piece waits for the peer: hyper asks for another one only when that is on its way.
    unread: bool,
}

impl<B> Answer<B> {
    pub(in crate::run::listeners) fn new(body: B, work: Work) -> Self {
        Self {
            body,
            work,
            unread: false,
        }
    }

    fn set_unread(&mut self, unread: bool) {
        let mut state = self.work.0.lock();
        if self.unread || state.unread == 0 {
            state.read = Instant::now();
        }
        state.unread += usize::from(unread);
        state.unread -= usize::from(self.unread);
        drop(state);
        self.unread = unread;
    }
}

impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        self.set_unread(false);
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let unread = matches!(&polled, Poll::Ready(Some(Ok(frame))) if frame.is_data());
        self.set_unread(unread);
        polled
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
    fn wrote<'a>(
        &self,
        result: Poll<io::Result<usize>>,
        parts: impl Iterator<Item = &'a [u8]>,
    ) -> Poll<io::Result<usize>> {
        let mut state = self.activity.lock();
        state.is_taken(result.is_ready());
        if let Poll::Ready(Ok(count)) = &result {
            state.wrote(*count, parts);
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
        self.wrote(written, [bytes].into_iter())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.activity.lock().is_taken(flushed.is_ready());
        flushed
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
        self.wrote(written, parts.iter().map(|part| &**part))
    }
}
