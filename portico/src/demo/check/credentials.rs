//! The client's credentials: read, used for tokens and calls through the gateway, refused when they should be.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::Value;

use super::{PATIENCE, Request, Walk, text};

/// What the developer copies from the application's page.
pub(super) struct Credentials {
    client_id: String,
    client_secret: String,
    token_endpoint: String,
}

impl Walk<'_> {
    pub(super) async fn credentials(
        &mut self,
        request: &Request,
        scopes: &str,
    ) -> Result<Credentials, String> {
        let body = self.read_credentials(request).await?;
        expect_scopes(&body, scopes)?;
        let credentials = Credentials {
            client_id: text(&body, "client_id").to_owned(),
            client_secret: text(&body, "client_secret").to_owned(),
            token_endpoint: text(&body, "token_endpoint").to_owned(),
        };
        self.say(
            "developer reads the credentials",
            format!("200, client {}, scopes {scopes}", credentials.client_id),
        );
        Ok(credentials)
    }

    pub(super) async fn read_credentials(&self, request: &Request) -> Result<Value, String> {
        let path = format!(
            "/api/v1/applications/{}/credentials",
            request.application_id
        );
        self.developer.get(&path).await?.expect(StatusCode::OK)
    }

    pub(super) fn same_client(
        &mut self,
        first: &Credentials,
        second: &Credentials,
    ) -> Result<(), String> {
        if first.client_id != second.client_id || self.world.client_count() != 1 {
            return Err("the second approval made a second client".to_owned());
        }
        self.say(
            "the same client has grown",
            "1 client at the identity provider",
        );
        Ok(())
    }

    async fn token(
        &self,
        credentials: &Credentials,
        scope: Option<&str>,
    ) -> Result<(StatusCode, Value), String> {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(scope.map(|scope| ("scope", scope)));
        let response = self
            .http
            .post(&credentials.token_endpoint)
            .basic_auth(&credentials.client_id, Some(&credentials.client_secret))
            .form(&form)
            .send()
            .await
            .map_err(|error| format!("token endpoint: {error}"))?;
        let status = response.status();
        Ok((status, response.json().await.unwrap_or(Value::Null)))
    }

    /// A token with these scopes, then a call through the gateway.
    pub(super) async fn call(
        &mut self,
        credentials: &Credentials,
        scope: &str,
        api: &str,
        expected: StatusCode,
    ) -> Result<(), String> {
        let (status, body) = self.token(credentials, Some(scope)).await?;
        if status != StatusCode::OK {
            return Err(format!(
                "no token for `{scope}`: {status} {}",
                text(&body, "error")
            ));
        }
        let token = text(&body, "access_token");
        let claims = claims(token)?;
        let bearer = format!("Bearer {token}");
        let came_back = self.call_gateway(api, &bearer, expected).await?;
        self.say(
            &format!("token with `{}` calls /{api}/", text(&claims, "scope")),
            came_back,
        );
        Ok(())
    }

    pub(super) async fn token_refused(
        &mut self,
        credentials: &Credentials,
        scope: Option<&str>,
        expected: StatusCode,
    ) -> Result<(), String> {
        let (status, body) = self.token(credentials, scope).await?;
        if status != expected {
            return Err(format!(
                "the token endpoint answered {status}, expected {expected}"
            ));
        }
        let what = scope.map_or_else(String::new, |scope| format!(" with `{scope}`"));
        self.say(
            &format!("token{what} is refused"),
            format!("{} {}", status.as_u16(), text(&body, "error")),
        );
        Ok(())
    }

    pub(super) async fn wait_for_scopes(
        &mut self,
        request: &Request,
        scopes: &str,
    ) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let body = self.read_credentials(request).await?;
            match expect_scopes(&body, scopes) {
                Ok(()) => break,
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        self.say("the client's scopes have shrunk", scopes);
        Ok(())
    }
}

fn expect_scopes(credentials: &Value, wanted: &str) -> Result<(), String> {
    let mut granted: Vec<&str> = text(credentials, "scopes").split(' ').collect();
    granted.sort_unstable();
    let granted = granted.join(" ");
    if granted == wanted {
        Ok(())
    } else {
        Err(format!("the client has `{granted}`, expected `{wanted}`"))
    }
}

/// The claims of a JWT, unverified: the gateway verifies it.
fn claims(token: &str) -> Result<Value, String> {
    let payload = token
        .split('.')
        .nth(1)
        .ok_or("the access token is not a JWT")?;
    let bytes = URL_SAFE_NO_PAD
        .decode(payload)
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}
