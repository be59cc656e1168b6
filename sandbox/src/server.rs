//! The accept loop of every HTTP server here. It is our own because a request must be able to end its connection
//! without an answer, which is how a test plays a provider that commits and then dies.

use std::net::SocketAddr;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Requests still running after a stop get this long before their connection is cut.
const GRACE: Duration = Duration::from_secs(3);

/// Why a sandbox server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Address that could not be bound.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The data file cannot be read or is not ours.
    #[error("data file {path}: {reason}")]
    DataFile {
        /// Path of the data file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No signing key could be made.
    #[error("signing key: {0}")]
    Key(#[from] crate::jws::KeyError),
    /// The HTTP client for outgoing calls could not be made.
    #[error("outgoing HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// Loopback, any free port: what tests want.
#[must_use]
pub fn free_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Drops the connection that the request came on, unanswered.
#[derive(Clone, Debug)]
pub(crate) struct Hangup(CancellationToken);

impl Hangup {
    /// Cuts the connection. Never returns: the task that awaits it is dropped.
    pub(crate) async fn now(&self) -> std::convert::Infallible {
        self.0.cancel();
        std::future::pending().await
    }
}

/// A listener that is bound but not yet served, so that its address is known first.
pub(crate) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    pub(crate) async fn bind(listen: SocketAddr) -> Result<Self, StartError> {
        let failed = |source| StartError::Listen {
            address: listen,
            source,
        };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// `http://127.0.0.1:port`, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn into_parts(self) -> (TcpListener, Server) {
        let server = Server {
            address: self.address,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        (self.listener, server)
    }

    /// Serves `router` until the returned server is stopped or dropped.
    pub(crate) fn serve(self, router: Router) -> Server {
        let (listener, server) = self.into_parts();
        let stop = server.stop.clone();
        let tasks = server.tasks.clone();
        server.tasks.spawn(accept(listener, router, stop, tasks));
        server
    }
}

/// A running server. Dropping it stops it without waiting.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Server {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets requests finish within [`GRACE`], and returns when the port is free again.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(connection(stream, router.clone(), stop.clone()));
            }
            Err(error) => tracing::debug!(%error, "accept failed"),
        }
    }
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    let hangup = Hangup(CancellationToken::new());
    let service = TowerToHyperService::new(router.layer(Extension(hangup.clone())));
    let builder = Builder::new(TokioExecutor::new());
    let served = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = hangup.0.cancelled() => return,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            tokio::select! {
                ended = served.as_mut() => ended,
                () = hangup.0.cancelled() => return,
                () = tokio::time::sleep(GRACE) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}
