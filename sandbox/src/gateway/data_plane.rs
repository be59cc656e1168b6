//! The data plane: decides about a request, then hands it to the upstream API.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::claims::{self, Refusal};
use super::definition::Api;
use super::keys;
use super::limits::{Quota, Verdict};
use super::policies::Session;
use super::state::{Gateway, Loaded, lock};
use crate::jws::VerifyError;

/// Headers that belong to one connection (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) async fn serve(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let loaded = gateway.loaded();
    let Some((api, rest)) = loaded.api_at(request.uri().path()) else {
        return (StatusCode::NOT_FOUND, "Not Found").into_response();
    };
    let answered = match decide(&gateway, &loaded, api, request.headers()).await {
        Ok(quota) => forward(&gateway, api, &rest, request)
            .await
            .map(|response| with_quota(response, quota)),
        Err(refusal) => Err(refusal),
    };
    answered.unwrap_or_else(|refusal| refused(&refusal))
}

fn refused(refusal: &Refusal) -> Response {
    let body = format!(
        "{{\n    \"error\": {}\n}}",
        Value::from(refusal.message.clone())
    );
    let headers = [
        ("content-type", "application/json"),
        ("x-generator", "tyk.io"),
    ];
    (refusal.status, headers, body).into_response()
}

/// The decision table of the JWT middleware, then access rights, then limits.
async fn decide(
    gateway: &Gateway,
    loaded: &Loaded,
    api: &Api,
    headers: &HeaderMap,
) -> Result<Option<Quota>, Refusal> {
    if api.use_keyless {
        return Ok(None);
    }
    let (identity, session) = match key_of(api, headers)? {
        Some(key) => keys::session(gateway, api, &loaded.policies, &key)?,
        None => by_token(gateway, loaded, api, headers).await?,
    };
    claims::check_access(api, &session)?;
    let Some(right) = session.rights.get(&api.api_id) else {
        return Ok(None);
    };
    let mut limit = right.limit;
    if api.disable_rate_limit {
        limit.rate = 0.0;
    }
    if api.disable_quota {
        limit.quota_max = 0;
    }
    let bucket = json!([api.org_id, identity, right.allowance_scope]).to_string();
    match lock(&gateway.limits).count(&bucket, &limit, gateway.clock.now()) {
        Verdict::Allowed(quota) => Ok(quota),
        Verdict::RateExceeded => Err(Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Rate Limit Exceeded",
        )),
        Verdict::QuotaExceeded => Err(Refusal::forbidden("Quota exceeded")),
    }
}

/// The key where the API takes keys and the request does not carry a token instead.
fn key_of(api: &Api, headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    if api.enable_jwt && !api.use_standard_auth {
        return Ok(None);
    }
    let missing = || Refusal::new(StatusCode::UNAUTHORIZED, "Authorization field missing");
    let value = headers
        .get(api.key_header())
        .and_then(|value| value.to_str().ok());
    let value = value.unwrap_or_default();
    let key = value.strip_prefix("Bearer ").unwrap_or(value);
    let is_token = api.enable_jwt && key.split('.').count() == 3;
    match (is_token || (api.enable_jwt && key.is_empty()), key) {
        (true, _) => Ok(None),
        (false, "") => Err(missing()),
        (false, _) if !api.use_standard_auth => Err(missing()),
        (false, key) => Ok(Some(key.to_owned())),
    }
}

async fn by_token(
    gateway: &Gateway,
    loaded: &Loaded,
    api: &Api,
    headers: &HeaderMap,
) -> Result<(String, Session), Refusal> {
    let claims = verified_claims(gateway, api, headers).await?;
    claims::check_time(&claims, gateway.clock.epoch_seconds())?;
    let identity = claims::identity(api, &claims)?;
    let session = claims::session(
        api,
        &claims,
        &loaded.policies,
        gateway.default_policy_needed,
    )?;
    Ok((identity, session))
}

async fn verified_claims(
    gateway: &Gateway,
    api: &Api,
    headers: &HeaderMap,
) -> Result<Map<String, Value>, Refusal> {
    let value = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if value.is_empty() {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "Authorization field missing",
        ));
    }
    let token = match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token,
        _ => value,
    };
    let refused = || Refusal::forbidden("Key not authorized");
    let url = api
        .jwks_url()
        .filter(|_| api.jwt_signing_method == "rsa")
        .ok_or_else(refused)?;
    let fetched = gateway
        .jwks
        .keys(&gateway.http, &api.api_id, &url, gateway.clock.now())
        .await;
    let keys = fetched.map_err(|error| {
        tracing::warn!(%error, api = api.api_id, "the keys of the identity provider cannot be read");
        refused()
    })?;
    keys.verify(token).map_err(|error| match error {
        VerifyError::Algorithm => {
            Refusal::forbidden("Key not authorized: Unexpected signing method")
        }
        VerifyError::Malformed | VerifyError::UnknownKey | VerifyError::Signature => refused(),
    })
}

async fn forward(
    gateway: &Gateway,
    api: &Api,
    rest: &str,
    request: Request,
) -> Result<Response, Refusal> {
    let failed = |error: reqwest::Error| {
        tracing::warn!(%error, api = api.api_id, "the upstream API does not answer");
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "there was a problem proxying the request",
        )
    };
    let (parts, body) = request.into_parts();
    let path = if api.proxy.strip_listen_path {
        rest
    } else {
        parts.uri.path()
    };
    let query = parts
        .uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let url = format!(
        "{}{path}{query}",
        api.proxy.target_url.trim_end_matches('/')
    );
    let mut headers = end_to_end(&parts.headers);
    headers.remove(HOST);
    if api.strip_auth_data {
        headers.remove(AUTHORIZATION);
        headers.remove(api.key_header());
    }
    let mut call = gateway.http.request(parts.method, url).headers(headers);
    if body.size_hint().exact() != Some(0) {
        call = call.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    let upstream = call.send().await.map_err(failed)?;
    let (status, headers) = (upstream.status(), end_to_end(upstream.headers()));
    let mut response = Response::new(Body::from_stream(upstream.bytes_stream()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Without what is meant for the next hop alone, the names in `Connection` included.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    let listed = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    for name in listed
        .flat_map(|names| names.split(','))
        .map(str::trim)
        .chain(HOP_BY_HOP)
    {
        kept.remove(name);
    }
    kept
}

/// Tyk's `X-RateLimit-*` headers, which tell of the quota.
fn with_quota(mut response: Response, quota: Option<Quota>) -> Response {
    if let Some(quota) = quota {
        let headers = [
            ("x-ratelimit-limit", quota.max),
            ("x-ratelimit-remaining", quota.remaining),
            ("x-ratelimit-reset", quota.renews_at),
        ];
        for (name, number) in headers {
            response
                .headers_mut()
                .insert(HeaderName::from_static(name), HeaderValue::from(number));
        }
    }
    response
}
