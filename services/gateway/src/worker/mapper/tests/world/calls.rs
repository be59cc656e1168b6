//! Calls through the gateway, as developers make them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use portico_runtime::outgoing::OutgoingRequest;
use serde_json::{Value, json};

use super::World;

impl World {
    /// A token that the provider's key signed.
    pub(crate) fn token(&self, scope: &str) -> String {
        let expires = self.provider.clock().epoch_seconds() + 300;
        let claims = json!({"sub": format!("client of {scope}"), "exp": expires, "scope": scope});
        self.provider.sign(&claims).unwrap()
    }

    /// A token that a newly registered client asked for.
    pub(crate) async fn token_of_a_client(&self, scope: &str) -> String {
        let metadata =
            json!({"grant_types": ["client_credentials"], "scope": scope, "client_name": "a"});
        let json = ("content-type", "application/json".to_owned());
        let client = self.post("register", &[json], metadata.to_string()).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let pair = format!(
            "{}:{}",
            text(&client["client_id"]),
            text(&client["client_secret"])
        );
        let headers = [
            (
                "content-type",
                "application/x-www-form-urlencoded".to_owned(),
            ),
            (
                "authorization",
                format!("Basic {}", BASE64_STANDARD.encode(pair)),
            ),
        ];
        let form = format!(
            "grant_type=client_credentials&scope={}",
            scope.replace(' ', "+")
        );
        text(&self.post("token", &headers, form).await["access_token"])
    }

    async fn post(&self, path: &str, headers: &[(&'static str, String)], body: String) -> Value {
        let url = format!("{}/{path}", self.provider.url()).parse().unwrap();
        let mut request = OutgoingRequest::new(Method::POST, url);
        for (name, value) in headers {
            request.headers.insert(*name, value.parse().unwrap());
        }
        request.body = body.into();
        let answer = self.deps.outgoing.send(request).await.unwrap();
        assert!(
            answer.status.is_success(),
            "{path}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// The status of a call through the gateway.
    pub(crate) async fn call(&self, api: &str, token: &str) -> u16 {
        let before = self.upstream.calls();
        let url = format!("{}/{api}/x", self.gateway.url()).parse().unwrap();
        let mut request = OutgoingRequest::new(Method::GET, url);
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.headers.insert("authorization", bearer);
        let status = self
            .deps
            .outgoing
            .send(request)
            .await
            .unwrap()
            .status
            .as_u16();
        let reached = self.upstream.calls() > before;
        assert_eq!(
            reached,
            status == 200,
            "only what is allowed reaches the API"
        );
        status
    }
}
