//! Open registration at `/oidc/register`, for tenants that have it and give nothing better.

use serde_json::Map;

use crate::providers::Method;
use crate::providers::client::{Prepared, RegisteredClient, WantedClient};
use crate::providers::failure::{Failure, Result};
use crate::providers::metadata::array;
use crate::providers::rfc7591;
use crate::providers::session::Session;
use crate::providers::site::Site;
use crate::providers::tokens::Need;

/// What such a client may use.
const GRANTS: [&str; 2] = ["authorization_code", "refresh_token"];
/// How it may authenticate.
const AUTH_METHODS: [&str; 2] = ["none", "client_secret_post"];

pub(super) fn prepare(site: Site<'_>, wanted: &WantedClient) -> Result<Prepared> {
    let refused = |code: &str, why: &str| {
        Err(Failure::fail(
            code,
            format!("{why}; give the identity provider credentials for the Management API"),
        ))
    };
    if wanted
        .grant_types
        .iter()
        .any(|grant| !GRANTS.contains(&grant.as_str()))
    {
        return refused(
            "grant_type_unsupported",
            "open registration at Auth0 makes clients for people who sign in: this client cannot use \
             client_credentials",
        );
    }
    if !AUTH_METHODS.contains(&wanted.auth_method()) {
        return refused(
            "auth_method_unsupported",
            "open registration at Auth0 takes the authentication methods none and client_secret_post",
        );
    }
    let mut body = Map::new();
    body.insert(
        "client_name".into(),
        rfc7591::marked_name(wanted, 255).into(),
    );
    body.insert("redirect_uris".into(), array(&wanted.redirect_uris));
    body.insert("grant_types".into(), array(&wanted.grant_types));
    body.insert(
        "token_endpoint_auth_method".into(),
        wanted.auth_method().into(),
    );
    Ok(Prepared::new(
        site.endpoints.registration_endpoint.clone(),
        wanted,
        body,
    ))
}

pub(super) async fn register(
    session: &Session<'_>,
    prepared: &Prepared,
) -> Result<RegisteredClient> {
    let mut registered = rfc7591::register(session, prepared, Need::default()).await?;
    // It says so in no answer.
    registered.granted = registered.granted.with("is_first_party", false);
    Ok(registered)
}

/// Whether there is anything to manage clients with.
pub(super) fn check(session: &Session<'_>) -> Result<()> {
    match session.method {
        Method::None => Err(Failure::unmanageable(
            "Auth0 gives nothing to manage an openly registered client with; give the identity provider credentials \
             for the Management API",
        )),
        _ => Ok(()),
    }
}
