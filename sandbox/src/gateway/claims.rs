//! From the claims of a verified token to what it opens: the decision table of Tyk's JWT middleware. Pure.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::definition::Api;
use super::policies::{Policies, Session};

/// A refusal as the caller gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(super) fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }
}

/// A claim that is present, over nested objects where the name has dots.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let mut names = name.split('.');
        let first = claims.get(names.next()?)?;
        names.try_fold(first, |value, name| value.get(name))
    })
}

fn text_claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claim(claims, name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// `exp`, `iat` and `nbf`, each only where it is there; no leeway.
pub(super) fn check_time(claims: &Map<String, Value>, now: i64) -> Result<(), Refusal> {
    let time = |name: &str| claims.get(name).and_then(Value::as_f64);
    let now = now as f64;
    let wrong = if time("exp").is_some_and(|exp| now >= exp) {
        "token has expired"
    } else if time("iat").is_some_and(|iat| now < iat) {
        "token used before issued"
    } else if time("nbf").is_some_and(|nbf| now < nbf) {
        "token is not valid yet"
    } else {
        return Ok(());
    };
    Err(Refusal::new(
        StatusCode::UNAUTHORIZED,
        format!("Key not authorized: {wrong}"),
    ))
}

/// Who calls: the identity claim of the definition, or `sub`.
pub(super) fn identity(api: &Api, claims: &Map<String, Value>) -> Result<String, Refusal> {
    let named = text_claim(claims, &api.jwt_identity_base_field);
    named
        .or_else(|| text_claim(claims, "sub"))
        .map(str::to_owned)
        .ok_or_else(|| Refusal::forbidden("no suitable claims for user ID were found"))
}

/// The scopes in the claim: a string with spaces, or an array. `None` without the
/// claim; an empty string is one empty scope, which nothing is mapped to.
fn scopes(api: &Api, claims: &Map<String, Value>) -> Option<Vec<String>> {
    let found: Vec<String> = match claim(claims, api.scope_claim())? {
        Value::String(text) => text.split(' ').map(str::to_owned).collect(),
        Value::Array(items) => items
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    };
    (!found.is_empty()).then_some(found)
}

/// What the caller may do. `default_needed` is the gateway before 5.11, where an API
/// without a default policy admits nobody whose token names no policy itself.
pub(super) fn session(
    api: &Api,
    claims: &Map<String, Value>,
    policies: &Policies,
    default_needed: bool,
) -> Result<Session, Refusal> {
    let own = (!api.jwt_policy_field_name.is_empty())
        .then(|| text_claim(claims, &api.jwt_policy_field_name))
        .flatten();
    let base = base_session(api, own, policies, default_needed)?;
    let mapping = api.scope_to_policy();
    let Some(scopes) = scopes(api, claims).filter(|_| !mapping.is_empty()) else {
        return base
            .ok_or_else(|| Refusal::forbidden("key not authorized: no matching policy found"));
    };
    // The token's own policy comes with the mapped ones, the default policies do not.
    let mut ids: Vec<String> = own.map(str::to_owned).into_iter().collect();
    for id in scopes.iter().filter_map(|scope| mapping.get(scope)) {
        if !ids.contains(id) {
            ids.push(id.clone());
        }
    }
    if ids.is_empty() {
        return Err(Refusal::forbidden(
            "key not authorized: no matching policy found in scope claim",
        ));
    }
    let applied = base.unwrap_or_default().apply(&ids, policies, &api.org_id);
    applied.map_err(|error| {
        tracing::debug!(%error, api = api.api_id, "policies cannot be applied");
        Refusal::forbidden("key not authorized: could not apply several policies")
    })
}

/// The session before any scope is looked at: of the token's own policy, or of the default ones.
fn base_session(
    api: &Api,
    own: Option<&str>,
    policies: &Policies,
    default_needed: bool,
) -> Result<Option<Session>, Refusal> {
    let ids: Vec<String> = match own {
        Some(id) => vec![id.to_owned()],
        None if !api.jwt_default_policies.is_empty() => api.jwt_default_policies.clone(),
        None if default_needed => {
            return Err(Refusal::forbidden(
                "key not authorized: no matching policy found",
            ));
        }
        None => return Ok(None),
    };
    let first = ids
        .first()
        .and_then(|id| policies.get(id))
        .filter(|policy| policy.org_id == api.org_id);
    let Some(first) = first else {
        return Err(Refusal::forbidden("key not authorized: no matching policy"));
    };
    let start = Session {
        limit: first.limit,
        ..Session::default()
    };
    match start.apply(&ids, policies, &api.org_id) {
        Ok(session) => Ok(Some(session)),
        Err(error) => Err(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("failed to create key: {error}"),
        )),
    }
}

/// Whether the session opens this API, in its version.
pub(super) fn check_access(api: &Api, session: &Session) -> Result<(), Refusal> {
    if session.inactive {
        return Err(Refusal::forbidden("Key is inactive, please renew"));
    }
    let open = session.rights.get(&api.api_id).is_some_and(|right| {
        api.version_data.not_versioned || right.versions.contains(api.version_data.version())
    });
    if open {
        Ok(())
    } else {
        Err(Refusal::forbidden("Access to this API has been disallowed"))
    }
}
