//! A client of the portal's public REST API, as an integrator would write one.

use http::{Method, StatusCode};
use serde_json::Value;

/// Somebody at the portal: anonymous, or signed in.
#[derive(Clone)]
pub struct Portal {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

/// What the portal answered.
#[derive(Debug)]
pub struct Answer {
    /// Status line.
    pub status: StatusCode,
    /// Body; null where there is none.
    pub body: Value,
}

impl Portal {
    /// Nobody yet.
    pub fn anonymous(http: reqwest::Client, url: String) -> Self {
        Self {
            http,
            url,
            token: None,
        }
    }

    /// Somebody with an API token.
    #[must_use]
    pub fn with_token(http: reqwest::Client, url: String, token: String) -> Self {
        Self {
            http,
            url,
            token: Some(token),
        }
    }

    /// The same portal, signed in.
    ///
    /// # Errors
    /// What the portal said instead.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<Self, String> {
        let body = serde_json::json!({"email": email, "password": password});
        let session = self
            .post("/api/v1/session", body)
            .await?
            .expect(StatusCode::OK)?;
        let token = session["token"].as_str().map(str::to_owned);
        Ok(Self {
            token,
            ..self.clone()
        })
    }

    /// GET.
    ///
    /// # Errors
    /// When there was no answer.
    pub async fn get(&self, path: &str) -> Result<Answer, String> {
        self.call(Method::GET, path, None).await
    }

    /// POST with a JSON body.
    ///
    /// # Errors
    /// When there was no answer.
    pub async fn post(&self, path: &str, body: Value) -> Result<Answer, String> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// PUT with a JSON body.
    ///
    /// # Errors
    /// When there was no answer.
    pub async fn put(&self, path: &str, body: Value) -> Result<Answer, String> {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// PATCH with a JSON body.
    ///
    /// # Errors
    /// When there was no answer.
    pub async fn patch(&self, path: &str, body: Value) -> Result<Answer, String> {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// DELETE.
    ///
    /// # Errors
    /// When there was no answer.
    pub async fn delete(&self, path: &str) -> Result<Answer, String> {
        self.call(Method::DELETE, path, None).await
    }

    /// The bearer token; none for an anonymous caller.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, String> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let failed = |error: reqwest::Error| format!("{method} {path}: {error}");
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let text = response.text().await.map_err(failed)?;
        Ok(Answer {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        })
    }
}

impl Answer {
    /// The body, where the status is the expected one.
    ///
    /// # Errors
    /// The status and the problem's code and words.
    pub fn expect(self, status: StatusCode) -> Result<Value, String> {
        if self.status == status {
            return Ok(self.body);
        }
        let detail = self.body["detail"].as_str().unwrap_or_default();
        let code = self.body["code"].as_str().unwrap_or_default();
        Err(format!(
            "expected {status}, got {} {code} {detail}",
            self.status
        ))
    }
}
