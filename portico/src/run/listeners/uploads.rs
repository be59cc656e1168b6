//! Bodies of requests on their way: none may be silent for long, and all that are not answered yet have so much memory
//! together.
//!
//! A body that goes against it breaks off for whoever reads it. What that one answers is replaced, since only here it is
//! known why.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use portico_runtime::config::Connections;
use tokio::time::{Instant, Sleep, sleep};

use super::places::Full;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Bytes of bodies, counted for a listener and for each address. Cheap to clone.
#[derive(Clone)]
pub(super) struct Uploads {
    limits: Connections,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    all: usize,
    addresses: HashMap<IpAddr, usize>,
}

/// The body of one request; what it holds is given back with the last clone.
#[derive(Clone)]
pub(super) struct Upload(Arc<Shared>);

struct Shared {
    uploads: Uploads,
    /// Whose share counts; `None`: no share, as for proxies.
    address: Option<IpAddr>,
    bytes: Mutex<usize>,
    fault: OnceLock<Fault>,
}

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing came of it for too long.
    Stalled,
    /// There is no room for it.
    Full(Full),
}

/// A body as its reader gets it.
pub(super) struct Watched<B> {
    body: B,
    upload: Upload,
    /// Runs while the reader waits.
    silence: Pin<Box<Sleep>>,
    waits: bool,
}

impl Uploads {
    pub(super) fn new(limits: Connections) -> Self {
        Self {
            limits,
            held: Arc::default(),
        }
    }

    /// For a request from this address.
    pub(super) fn begin(&self, address: Option<IpAddr>) -> Upload {
        Upload(Arc::new(Shared {
            uploads: self.clone(),
            address,
            bytes: Mutex::default(),
            fault: OnceLock::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, address: Option<IpAddr>, bytes: usize) -> Result<(), Full> {
        if bytes == 0 {
            return Ok(());
        }
        let mut held = self.lock();
        if held.all + bytes > self.limits.max_body_bytes {
            return Err(Full::All);
        }
        if let Some(address) = address {
            let of_address = held.addresses.entry(address).or_default();
            if *of_address + bytes > self.limits.max_body_bytes_per_address() {
                return Err(Full::Address);
            }
            *of_address += bytes;
        }
        held.all += bytes;
        Ok(())
    }
}

impl Upload {
    /// Reads the body with these limits.
    pub(super) fn watch<B>(&self, body: B) -> Watched<B> {
        Watched {
            body,
            upload: self.clone(),
            silence: Box::pin(sleep(Duration::ZERO)),
            waits: false,
        }
    }

    /// Why it broke off, if it did.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.0.fault.get().copied()
    }

    fn take(&self, bytes: usize) -> Result<(), Fault> {
        let Shared {
            uploads, address, ..
        } = &*self.0;
        uploads.take(*address, bytes).map_err(Fault::Full)?;
        *self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner) += bytes;
        Ok(())
    }

    fn broken_off(&self, fault: Fault) -> Cause {
        let fault = self.0.fault.get_or_init(|| fault);
        io::Error::other(format!("the body was not read to its end: {fault:?}")).into()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut().unwrap_or_else(PoisonError::into_inner);
        if bytes == 0 && self.fault.get().is_none() {
            return;
        }
        let mut held = self.uploads.lock();
        held.all -= bytes;
        let Some(address) = self.address else {
            return;
        };
        if let Some(of_address) = held.addresses.get_mut(&address) {
            *of_address -= bytes;
            if *of_address == 0 {
                held.addresses.remove(&address);
            }
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B>
where
    B::Error: Into<Cause>,
{
    type Data = Bytes;
    type Error = Cause;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.waits = false;
            let data = frame
                .as_ref()
                .and_then(|frame| frame.as_ref().ok()?.data_ref());
            let taken = this.upload.take(data.map_or(0, |data| data.remaining()));
            return Poll::Ready(match taken {
                Ok(()) => frame.map(|frame| frame.map_err(Into::into)),
                Err(fault) => Some(Err(this.upload.broken_off(fault))),
            });
        }
        if !this.waits {
            // Not while its reader does something else, such as asking who the caller is.
            let stall = this.upload.0.uploads.limits.stall_timeout;
            let day = Duration::from_hours(24);
            this.silence.as_mut().reset(Instant::now() + stall.min(day));
            this.waits = true;
        }
        ready!(this.silence.as_mut().poll(context));
        Poll::Ready(Some(Err(this.upload.broken_off(Fault::Stalled))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
