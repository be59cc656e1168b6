//! What every double stands on: it sees requests whole, and a test may have one of them refused, or its answer lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use axum::{Extension, Router};
use serde_json::{Value, json};

use crate::clock::SandboxClock;
use crate::jws::SigningKey;
use crate::server::{Bound, Hangup, Server, StartError, free_port};

/// Most bytes of a request.
const LONGEST: usize = 1 << 20;

/// A request as the double received it.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// `GET`, and so on.
    pub method: Method,
    /// Without the query.
    pub path: String,
    /// Decoded.
    pub query: BTreeMap<String, String>,
    /// All headers of the request.
    pub headers: HeaderMap,
    /// Raw body.
    pub body: Bytes,
}

impl ReceivedRequest {
    /// A header, or an empty text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// What follows the scheme in the Authorization header.
    #[must_use]
    pub fn authorization(&self, scheme: &str) -> Option<&str> {
        let (found, credentials) = self.header("authorization").split_once(' ')?;
        (found == scheme).then(|| credentials.trim())
    }

    /// The body, where it is said to be JSON and is an object.
    #[must_use]
    pub fn object(&self) -> Option<serde_json::Map<String, Value>> {
        let is_json = self.header("content-type").starts_with("application/json");
        serde_json::from_slice(&self.body).ok().filter(|_| is_json)
    }

    /// The body as a form.
    #[must_use]
    pub fn form(&self) -> BTreeMap<String, String> {
        url::form_urlencoded::parse(&self.body)
            .into_owned()
            .collect()
    }
}

/// A scripted response of the double.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Reply {
    /// With a JSON body.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    /// With a body of any kind.
    #[must_use]
    pub fn text(status: u16, kind: &str, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: vec![("content-type", kind.to_owned())],
            body: body.into(),
        }
    }

    /// Without a body.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn into_response(self) -> Response<Body> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        response.body(Body::from(self.body)).unwrap_or_else(|_| {
            let mut broken = Response::new(Body::empty());
            *broken.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            broken
        })
    }
}

/// What a double says; `Err` where it refuses.
pub type Answer = Result<Reply, Reply>;

/// One provider: an answer for each request. It takes no time and waits for nothing.
pub trait Double: Send + Sync + 'static {
    /// Decides.
    fn answer(&self, asked: &ReceivedRequest) -> Answer;
}

/// What goes wrong with one request.
#[derive(Debug, Clone)]
enum Fault {
    /// Nothing is done, and this is the answer.
    Refuse(Reply),
    /// It is done, and the connection breaks.
    Lose,
}

type Planned = (Method, String, Fault);

struct Stage<D> {
    double: D,
    faults: Mutex<Vec<Planned>>,
    seen: Mutex<Vec<(Method, String)>>,
}

/// A running double; it stops when this is dropped.
pub struct Handle<D> {
    server: Server,
    stage: Arc<Stage<D>>,
}

impl<D: Double> Handle<D> {
    /// Starts a double on a free port. `make` is given its URL, a key and a clock.
    ///
    /// # Errors
    /// No port, or no key.
    pub async fn start(
        make: impl FnOnce(String, SigningKey, SandboxClock) -> D,
    ) -> Result<Self, StartError> {
        let key = tokio::task::spawn_blocking(SigningKey::generate)
            .await
            .unwrap_or_else(|_| SigningKey::generate())?;
        let bound = Bound::bind(free_port()).await?;
        let stage = Arc::new(Stage {
            double: make(bound.url(), key, SandboxClock::default()),
            faults: Mutex::default(),
            seen: Mutex::default(),
        });
        let router = Router::new()
            .fallback(answer::<D>)
            .with_state(Arc::clone(&stage));
        Ok(Self {
            server: bound.serve(router),
            stage,
        })
    }

    /// `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The double that plays the provider.
    #[must_use]
    pub fn double(&self) -> &D {
        &self.stage.double
    }

    /// The next request of this kind is answered like this, and nothing is done.
    pub fn refuse_next(&self, method: Method, path: &str, reply: Reply) {
        lock(&self.stage.faults).push((method, path.to_owned(), Fault::Refuse(reply)));
    }

    /// The next request of this kind is done, and its answer gets lost.
    pub fn lose_next(&self, method: Method, path: &str) {
        lock(&self.stage.faults).push((method, path.to_owned(), Fault::Lose));
    }

    /// How many requests of this kind came, whatever became of them; the path starts like this.
    #[must_use]
    pub fn calls(&self, method: &Method, path: &str) -> usize {
        let seen = lock(&self.stage.seen);
        seen.iter()
            .filter(|(one, at)| one == method && at.starts_with(path))
            .count()
    }
}

/// Locks what a panicking test may have left locked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer<D: Double>(
    State(stage): State<Arc<Stage<D>>>,
    Extension(hangup): Extension<Hangup>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let asked = ReceivedRequest {
        query: url::form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes())
            .into_owned()
            .collect(),
        path: parts.uri.path().to_owned(),
        method: parts.method,
        headers: parts.headers,
        body: to_bytes(body, LONGEST).await.unwrap_or_default(),
    };
    lock(&stage.seen).push((asked.method.clone(), asked.path.clone()));
    let fault = {
        let mut faults = lock(&stage.faults);
        let found = faults
            .iter()
            .position(|(method, path, _)| *method == asked.method && asked.path.starts_with(path));
        found.map(|at| faults.remove(at).2)
    };
    match fault {
        Some(Fault::Refuse(reply)) => reply.into_response(),
        Some(Fault::Lose) => {
            let _lost = stage.double.answer(&asked);
            match hangup.now().await {}
        }
        None => {
            let reply = stage.double.answer(&asked);
            reply.unwrap_or_else(|refused| refused).into_response()
        }
    }
}

/// An OAuth error (RFC 6749 section 5.2, RFC 7591 section 3.2.2).
#[must_use]
pub fn oauth_error(status: u16, error: &str, description: &str) -> Reply {
    let body = json!({"error": error, "error_description": description});
    Reply::json(status, &body)
}

/// The metadata of a client is refused (RFC 7591 section 3.2.2).
#[must_use]
pub fn invalid(why: &str) -> Reply {
    oauth_error(400, "invalid_client_metadata", why)
}
