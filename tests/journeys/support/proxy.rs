//! A proxy between Portico and its identity provider that spoils, by a seed, what goes on between request and answer.

use std::{
    collections::HashMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch};

type Body = BoxBody<Bytes, io::Error>;

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Nothing.
    None,
    /// The provider does it; the connection ends without an answer.
    AnswerLost,
    /// The provider does it; the answer ends in its middle.
    AnswerCut,
    /// The provider does it; the answer does not come before the caller gives up.
    AnswerLate,
    /// The provider does it; the proxy says that it was away.
    BadGatewayAfter,
    /// The proxy says that the provider is away, and has not asked it.
    BadGatewayBefore,
    /// The connection ends; the provider was never asked.
    RequestLost,
    /// The provider is asked twice; the second answer comes back.
    Twice,
}

const FAULTS: [Fault; 7] = [
    Fault::AnswerLost,
    Fault::AnswerCut,
    Fault::AnswerLate,
    Fault::BadGatewayAfter,
    Fault::BadGatewayBefore,
    Fault::RequestLost,
    Fault::Twice,
];

/// Of a hundred calls, how many are spoiled.
const SPOILED: u64 = 35;

/// The running proxy; it ends with the test's runtime.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// Where it leads: `http://host:port`.
    upstream: String,
    /// How it is called itself.
    own: String,
    http: reqwest::Client,
    seed: u64,
    spoils: AtomicBool,
    calls: watch::Sender<usize>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// The names that clients were registered with, by id: ids are new in every run, names are not.
    names: HashMap<String, String>,
    /// Calls for each name.
    counts: HashMap<(String, Method), u64>,
    /// What was done.
    done: HashMap<Fault, usize>,
}

impl Proxy {
    /// Starts it before `upstream`; it spoils nothing yet.
    pub async fn start(upstream: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream: upstream.trim_end_matches('/').to_owned(),
            own: format!("http://{address}"),
            http: portico_sandbox::outgoing::http_client().unwrap(),
            seed,
            spoils: AtomicBool::new(false),
            calls: watch::Sender::new(0),
            seen: Mutex::default(),
        });
        tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { address, shared }
    }

    /// The same URL, but through the proxy.
    pub fn through(&self, url: &str) -> String {
        url.replace(&self.shared.upstream, &format!("http://{}", self.address))
    }

    /// Begins or ceases to spoil.
    pub fn spoil(&self, spoils: bool) {
        self.shared.spoils.store(spoils, Ordering::SeqCst);
    }

    /// Calls up to now that it could have spoiled.
    pub fn calls(&self) -> usize {
        *self.shared.calls.borrow()
    }

    /// Waits until there were so many calls.
    pub async fn calls_reach(&self, count: usize) {
        let mut calls = self.shared.calls.subscribe();
        calls.wait_for(|now| *now >= count).await.unwrap();
    }

    /// How often each fault was done.
    pub fn done(&self) -> Vec<(Fault, usize)> {
        let seen = self.shared.seen.lock().unwrap();
        let mut done: Vec<_> = seen.done.iter().map(|(fault, n)| (*fault, *n)).collect();
        done.sort_unstable();
        done
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls", self.calls())?;
        self.done()
            .into_iter()
            .try_for_each(|(fault, count)| write!(f, ", {fault:?} {count}"))
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&shared, request));
            // A connection that ends in the middle is what the proxy is for.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = head
        .uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let call = Call {
        method: head.method,
        path,
        headers: head.headers,
        body,
    };
    let fault = shared.fault(&call);
    match fault {
        Fault::RequestLost => return Err(lost()),
        Fault::BadGatewayBefore => return Ok(bad_gateway()),
        _ => {}
    }
    let mut answer = shared.forward(&call).await?;
    if fault == Fault::Twice {
        answer = shared.forward(&call).await?;
    }
    match fault {
        Fault::AnswerLost => Err(lost()),
        // Ends when the caller does: the connection is dropped, and this with it.
        Fault::AnswerLate => std::future::pending().await,
        Fault::BadGatewayAfter => Ok(bad_gateway()),
        Fault::AnswerCut => Ok(answer.cut()),
        _ => Ok(answer.whole()),
    }
}

struct Call {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

struct Answer {
    status: StatusCode,
    content_type: Option<header::HeaderValue>,
    body: Bytes,
}

impl Shared {
    /// What becomes of a call: it follows from the seed, the client that it is about, and how many calls of its kind
    /// there were.
    fn fault(&self, call: &Call) -> Fault {
        if !self.spoils.load(Ordering::SeqCst) || call.path.contains("/certs") {
            return Fault::None;
        }
        let mut seen = self.seen.lock().unwrap();
        let who = seen.who(call);
        let count = seen.counts.entry((who.clone(), call.method.clone()));
        let count = *count.and_modify(|n| *n += 1).or_insert(1);
        let mut hash = DefaultHasher::new();
        (self.seed, who, call.method.as_str(), count).hash(&mut hash);
        let hash = hash.finish();
        let fault = match hash % 100 < SPOILED {
            true => FAULTS[usize::try_from((hash / 100) % 7).unwrap()],
            false => Fault::None,
        };
        *seen.done.entry(fault).or_default() += 1;
        self.calls.send_modify(|calls| *calls += 1);
        fault
    }

    async fn forward(&self, call: &Call) -> io::Result<Answer> {
        let mut headers = call.headers.clone();
        for own in [
            header::HOST,
            header::CONTENT_LENGTH,
            header::CONNECTION,
            header::ACCEPT_ENCODING,
        ] {
            headers.remove(own);
        }
        let url = format!("{}{}", self.upstream, call.path);
        let request = self.http.request(call.method.clone(), url).headers(headers);
        let answer = request.body(call.body.clone()).send().await;
        let answer = answer.map_err(io::Error::other)?;
        let status = answer.status();
        let content_type = answer.headers().get(header::CONTENT_TYPE).cloned();
        let body = answer.bytes().await.map_err(io::Error::other)?;
        // The addresses in it lead through the proxy, too.
        let body = match String::from_utf8(body.to_vec()) {
            Ok(text) => text.replace(&self.upstream, &self.own).into(),
            Err(_) => body,
        };
        Ok(Answer {
            status,
            content_type,
            body,
        })
    }
}

impl Seen {
    fn who(&mut self, call: &Call) -> String {
        let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        if let (Some(id), Some(name)) = (body["clientId"].as_str(), body["name"].as_str()) {
            self.names.insert(id.to_owned(), name.to_owned());
        }
        let id = body["clientId"].as_str().unwrap_or_else(|| {
            let path = call.path.split('?').next().unwrap_or_default();
            path.rsplit('/').next().unwrap_or_default()
        });
        self.names.get(id).map_or(id, String::as_str).to_owned()
    }
}

impl Answer {
    fn whole(self) -> Response<Body> {
        let mut response = Response::new(Full::new(self.body).map_err(never).boxed());
        *response.status_mut() = self.status;
        if let Some(content_type) = self.content_type {
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, content_type);
        }
        response
    }

    fn cut(self) -> Response<Body> {
        let length = self.body.len();
        let half = self.body.slice(..length / 2);
        let frames = [Ok(Frame::data(half)), Err(lost())];
        let mut response = Response::new(StreamBody::new(stream::iter(frames)).boxed());
        *response.status_mut() = self.status;
        // One that has no body is cut before its end all the same.
        let length = length.max(2);
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length.into());
        response
    }
}

fn bad_gateway() -> Response<Body> {
    let page = "<html><body><h1>502 Bad Gateway</h1></body></html>";
    let mut response = Response::new(Full::new(Bytes::from(page)).map_err(never).boxed());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "spoiled")
}

fn never(never: std::convert::Infallible) -> io::Error {
    match never {}
}
