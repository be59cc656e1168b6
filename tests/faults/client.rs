//! A client of the REST API that takes no 503 and no broken connection for an answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Method, StatusCode};
use portico_tests::patience::Pauses;
use serde_json::{Value, json};

/// The longest that anything may take, in the background or in front.
pub const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(40);

/// Asks again until there is an answer.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let pauses = Pauses::begin();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(pauses.waited() < PATIENCE, "waited in vain: {what}");
        pauses.pause().await;
    }
}

/// Somebody at the portal.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Of the replicas; the next one is asked where one does not answer, as a load balancer would.
    urls: Arc<[String]>,
    at: Arc<AtomicUsize>,
    pub token: Option<String>,
    /// 503 answers so far.
    pub refused: Arc<AtomicU64>,
}

/// An idempotency key that nobody has used.
fn new_key() -> u64 {
    static KEYS: AtomicU64 = AtomicU64::new(0);
    KEYS.fetch_add(1, Ordering::Relaxed)
}

/// The one answer that counts.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

impl Client {
    /// Nobody yet.
    pub fn anonymous(urls: Vec<String>) -> Self {
        Self {
            http: portico_sandbox::outgoing::http_client().unwrap(),
            urls: urls.into(),
            at: Arc::default(),
            token: None,
            refused: Arc::default(),
        }
    }

    pub async fn sign_in(&self, email: &str, password: &str) -> Self {
        let body = json!({"email": email, "password": password});
        let session = self.post("/api/v1/session", body).await.expect(200);
        Self {
            token: Some(session["token"].as_str().unwrap().to_owned()),
            ..self.clone()
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// A 201 with an id.
    pub async fn make(&self, path: &str, body: Value) -> String {
        let made = self.post(path, body).await.expect(201);
        made["id"].as_str().unwrap().to_owned()
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let key = new_key();
        let deadline = Instant::now() + PATIENCE;
        let mut repeated = false;
        loop {
            let last = match self.once(&method, path, body.as_ref(), key).await {
                Ok(answer) if answer.status == StatusCode::SERVICE_UNAVAILABLE => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    answer.body.to_string()
                }
                Ok(answer) => {
                    assert!(
                        !answer.status.is_server_error(),
                        "{method} {path}: {} {} (repeated: {repeated})",
                        answer.status,
                        answer.body
                    );
                    return answer;
                }
                Err(error) => {
                    self.at.fetch_add(1, Ordering::Relaxed);
                    error.to_string()
                }
            };
            repeated = true;
            assert!(Instant::now() < deadline, "{method} {path} in vain: {last}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// One try, whatever it is answered with.
    pub async fn once(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        key: u64,
    ) -> Result<Answer, reqwest::Error> {
        let replica = self.at.load(Ordering::Relaxed) % self.urls.len();
        let url = format!("{}{path}", self.urls[replica]);
        let mut request = self.http.request(method.clone(), url).timeout(PATIENCE / 2);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if method == Method::POST {
            request = request.header("idempotency-key", format!("round-{key}"));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let retry_after = response.headers().contains_key("retry-after");
        let text = response.text().await?;
        assert!(
            status != StatusCode::SERVICE_UNAVAILABLE || retry_after,
            "{method} {path}: 503 without Retry-After: {text}"
        );
        Ok(Answer {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        })
    }
}

impl Answer {
    /// The body, where the status is the expected one.
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }
}
