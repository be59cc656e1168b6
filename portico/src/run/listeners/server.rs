//! Takes connections and serves a router on them, each within its time.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
};
use http::{Extensions, Response};
use http_body::Body as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use ipnet::IpNet;
use portico_runtime::{Config, Deps, config::Connections, tls::Certificates};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::server::Connected as _;
use tower::ServiceExt as _;

use super::{
    activity::{Activity, Answer, Observed, Overdue},
    descriptors, handshake,
    places::{Full, Place, Places},
    refusal,
    uploads::{Upload, Uploads},
};

/// After an `accept` that failed: for want of descriptors it would fail again at once.
const PAUSE: Duration = Duration::from_millis(100);
/// For an idle connection to be taken leave of, and how often it is looked at whether what has begun is finished.
const GRACE: Duration = Duration::from_secs(1);
/// An HTTP/2 peer that sends nothing for so long is asked for a sign of life, and has as long to give it. Streams have
/// no other way to learn that a peer is gone.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// Head of a request, in bytes (RFC 9113 section 6.5.2), and what is kept of an HTTP/1.1 connection's bytes.
const HEAD: u32 = 16 << 10;
const BUFFER: usize = 64 << 10;
/// What an HTTP/2 peer may send of a body, and of all on a connection, before it is read (RFC 9113 section 6.9.2).
const WINDOW: u32 = 64 << 10;
const WINDOWS: u32 = 128 << 10;

/// Serves routers until shutdown, within the limits of connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Server {
    limits: Connections,
    proxies: Vec<IpNet>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// Serves one listener.
struct Listening {
    limits: Connections,
    places: Arc<Places>,
    uploads: Uploads,
    tls: Option<Certificates>,
    router: Router,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Server {
    /// Until the process ends.
    pub(crate) fn of(deps: &Deps) -> Self {
        Self::new(&deps.config, deps.tasks.clone(), deps.shutdown.clone())
    }

    /// Until `shutdown`; what has begun finishes among the `tasks`.
    pub(crate) fn new(config: &Config, tasks: TaskTracker, shutdown: CancellationToken) -> Self {
        let mut limits = config.connections;
        limits.max = limits.max.min(descriptors::connections(config));
        limits.max_per_address = limits.max_per_address.min(limits.max);
        Self::within(limits, config.trusted_proxies.clone(), tasks, shutdown)
    }

    /// The same for other services: an edge has one connection to this process, and on it a stream for each of those
    /// that people have open at its two listeners.
    pub(crate) fn for_services(mut self) -> Self {
        // Everybody who comes by an edge has its address.
        self.limits.max_per_address = self.limits.max;
        let streams = u32::try_from(self.limits.streams() * 2).unwrap_or(u32::MAX);
        self.limits.requests_per_connection = self.limits.requests_per_connection.max(streams);
        self
    }

    /// Within these limits, which the proxies have not for themselves.
    pub(super) fn within(
        limits: Connections,
        proxies: Vec<IpNet>,
        tasks: TaskTracker,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            limits,
            proxies,
            tasks,
            shutdown,
        }
    }

    /// Begins to serve HTTP/1.1 and HTTP/2 on a listener.
    pub(crate) fn serve(&self, listener: TcpListener, tls: Option<Certificates>, router: Router) {
        let listening = Arc::new(Listening {
            limits: self.limits,
            places: Arc::new(Places::new(self.limits, self.proxies.clone())),
            uploads: Uploads::new(self.limits),
            tls,
            router,
            tasks: self.tasks.clone(),
            shutdown: self.shutdown.clone(),
        });
        self.tasks.spawn(listening.accept(listener));
    }
}

impl Listening {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let shutdown = self.shutdown.clone();
        while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => {
                    let activity = Activity::new();
                    // Before the task begins, so that those that came first count first.
                    let place = self.places.take(peer.ip(), &activity);
                    let connection = Arc::clone(&self).connection(stream, peer, place, activity);
                    self.tasks.spawn(connection);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not taken");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// From the handshake to the end.
    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        place: Place,
        activity: Activity,
    ) {
        // Otherwise an answer of several small writes, as gRPC's are, waits for the client's acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
        let evicted = place.evicted.clone();
        let mut known = Extensions::new();
        known.insert(ConnectInfo(peer));
        let served = async {
            let Some(tls) = &self.tls else {
                return self.http(stream, known, &place, activity).await;
            };
            let handshake = handshake::take(tls, stream, peer, self.limits.header_timeout);
            let stream = self.shutdown.run_until_cancelled(handshake).await;
            if let Some(stream) = stream.flatten() {
                // What authorization reads the peer's certificate from.
                known.insert(stream.connect_info());
                self.http(stream, known, &place, activity).await;
            }
        };
        evicted.run_until_cancelled(served).await;
    }

    async fn http<T>(&self, io: T, known: Extensions, place: &Place, activity: Activity)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (refused, address) = (place.refused, place.limited);
        let requests = activity.clone();
        let service = service_fn(|request: http::Request<Incoming>| {
            let work = requests.request();
            let upload = self.uploads.begin(address);
            let answer = self.answer(request, upload, &known, refused);
            async move {
                let response = answer.await;
                Ok::<_, Infallible>(response.map(|body| Answer::new(body, work)))
            }
        });
        let builder = self.builder(refused);
        let io = TokioIo::new(Observed {
            io,
            activity: activity.clone(),
        });
        let mut connection = pin!(builder.serve_connection(io, service));
        let ended = tokio::select! {
            _ = connection.as_mut() => return,
            why = activity.until_overdue(&self.limits) => Some(why),
            // Who is refused is to connect anew, and not to be refused on this connection for ever.
            () = sleep(GRACE), if refused.is_some() => None,
            () = self.shutdown.cancelled() => None,
        };
        if ended == Some(Overdue::Slow) {
            // There is nothing that it could be told, or it does not listen.
            return;
        }
        connection.as_mut().graceful_shutdown();
        self.finish(connection, &activity).await;
    }

    fn builder(&self, refused: Option<Full>) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .keep_alive(refused.is_none())
            .max_buf_size(BUFFER);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(SIGN_OF_LIFE)
            .keep_alive_timeout(SIGN_OF_LIFE)
            .max_concurrent_streams(self.limits.requests_per_connection)
            .max_header_list_size(HEAD)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOWS);
        builder
    }

    /// Waits for what has begun, as long as that is in time.
    async fn finish(
        &self,
        mut connection: Pin<&mut impl Future<Output = impl Sized>>,
        activity: &Activity,
    ) {
        while timeout(GRACE, connection.as_mut()).await.is_err() {
            if activity.overdue(&self.limits).is_some() {
                return;
            }
        }
    }

    fn answer(
        &self,
        request: http::Request<Incoming>,
        upload: Upload,
        known: &Extensions,
        refused: Option<Full>,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        let (version, grpc) = (request.version(), refusal::is_grpc(request.headers()));
        let mut request: Request = request.map(|body| match body.is_end_stream() {
            true => Body::empty(),
            false => Body::new(upload.watch(body)),
        });
        request.extensions_mut().extend(known.clone());
        let refused = refused.and_then(|full| refusal::answer(full, &request));
        let router = self.router.clone();
        async move {
            if let Some(response) = refused {
                return response;
            }
            let response = match router.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            match upload.fault() {
                Some(fault) => refusal::broken_off(fault, version, grpc),
                None => response,
            }
        }
    }
}
