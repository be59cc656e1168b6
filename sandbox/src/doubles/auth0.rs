//! A double of an Auth0 tenant: the clients and client grants of its Management API, open registration, and its token
//! endpoint. From <https://auth0.com/docs/api/management/v2/clients/post-clients>,
//! <https://auth0.com/docs/api/management/v2/clients/post-rotate-secret>,
//! <https://auth0.com/docs/api/management/v2/client-grants/post-client-grants>,
//! <https://auth0.com/docs/get-started/applications/dynamic-client-registration>,
//! <https://auth0.com/docs/get-started/authentication-and-authorization-flow/client-credentials-flow> and
//! <https://auth0.com/docs/troubleshoot/customer-support/operational-policies/rate-limit-policy>.
//!
//! - `management`, `grants`: the Management API

mod grants;
mod management;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use super::stage::{Answer, Double, Handle, ReceivedRequest, Reply, lock, oauth_error};
use super::tokens::{Mint, asked_scopes, claimed, has_client_credentials};
use crate::secret;
use crate::server::StartError;

/// Scopes of the Management API.
const MANAGEMENT_SCOPES: [&str; 9] = [
    "create:clients",
    "read:clients",
    "update:clients",
    "delete:clients",
    "update:client_keys",
    "create:client_grants",
    "read:client_grants",
    "update:client_grants",
    "delete:client_grants",
];

struct Client {
    members: Map<String, Value>,
    secret: Option<String>,
}

#[derive(Clone)]
struct Grant {
    client_id: String,
    audience: String,
    scope: BTreeSet<String>,
}

#[derive(Default)]
struct Tenant {
    clients: BTreeMap<String, Client>,
    grants: BTreeMap<String, Grant>,
    /// Tokens of the Management API and the scopes that they carry.
    tokens: BTreeMap<String, BTreeSet<String>>,
    open: bool,
}

/// A tenant with one API and one client for the portal.
pub struct Auth0 {
    url: String,
    mint: Mint,
    audience: String,
    scopes: BTreeSet<String>,
    portal: (String, String),
    tenant: Mutex<Tenant>,
}

/// Starts a tenant with an API of these scopes, and a client that may manage others.
///
/// # Errors
/// No port, or no key.
pub async fn start(
    portal: (&str, &str),
    audience: &str,
    scopes: &[&str],
) -> Result<Handle<Auth0>, StartError> {
    let portal = (portal.0.to_owned(), portal.1.to_owned());
    let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
    Handle::start(|url, key, clock| Auth0 {
        mint: Mint::new(format!("{url}/"), key, clock),
        url,
        audience: audience.to_owned(),
        scopes,
        portal,
        tenant: Mutex::default(),
    })
    .await
}

impl Double for Auth0 {
    fn answer(&self, asked: &ReceivedRequest) -> Answer {
        let path: Vec<&str> = asked.path.split('/').skip(1).collect();
        match (asked.method.as_str(), path.as_slice()) {
            ("GET", [".well-known", "openid-configuration"]) => Ok(self.document()),
            ("GET", [".well-known", "jwks.json"]) => Ok(self.mint.jwks()),
            ("POST", ["oauth", "token"]) => self.token(asked),
            ("POST", ["oidc", "register"]) => self.register_openly(asked),
            (_, ["api", "v2", rest @ ..]) => self.managed(asked, rest),
            _ => Err(Reply::text(404, "text/plain", "Not Found")),
        }
    }
}

impl Auth0 {
    /// Number of registered clients.
    #[must_use]
    pub fn client_count(&self) -> usize {
        lock(&self.tenant).clients.len()
    }

    /// The members of a client, as somebody else sees them.
    #[must_use]
    pub fn client(&self, id: &str) -> Option<Value> {
        let tenant = lock(&self.tenant);
        tenant.clients.get(id).map(|one| one.members.clone().into())
    }

    /// The scopes that a client is granted for the API.
    #[must_use]
    pub fn granted(&self, id: &str) -> Option<BTreeSet<String>> {
        let tenant = lock(&self.tenant);
        let mut grants = tenant.grants.values();
        grants
            .find(|grant| grant.client_id == id)
            .map(|grant| grant.scope.clone())
    }

    /// Somebody else deletes a client.
    pub fn remove(&self, id: &str) {
        management::delete(&mut lock(&self.tenant), id);
    }

    /// Anybody may register from now on.
    pub fn open(&self) {
        lock(&self.tenant).open = true;
    }

    fn document(&self) -> Reply {
        let url = &self.url;
        Reply::json(
            200,
            &json!({
                "issuer": format!("{url}/"),
                "authorization_endpoint": format!("{url}/authorize"),
                "token_endpoint": format!("{url}/oauth/token"),
                "registration_endpoint": format!("{url}/oidc/register"),
                "jwks_uri": format!("{url}/.well-known/jwks.json"),
                // Those of OpenID Connect; an API's are not announced.
                "scopes_supported": ["openid", "profile", "offline_access", "email"],
                "response_types_supported": ["code", "token", "id_token"],
                "token_endpoint_auth_methods_supported":
                    ["client_secret_basic", "client_secret_post", "private_key_jwt"],
            }),
        )
    }

    fn token(&self, asked: &ReceivedRequest) -> Answer {
        let unauthorized = || oauth_error(401, "access_denied", "Unauthorized");
        let who = claimed(asked).map_err(|_| unauthorized())?;
        let form = asked.form();
        let audience = form.get("audience").cloned().unwrap_or_default();
        if form.get("grant_type").map(String::as_str) != Some("client_credentials") {
            let why = "Unsupported grant type";
            return Err(oauth_error(403, "unsupported_grant_type", why));
        }
        let mut tenant = lock(&self.tenant);
        if who.client_id == self.portal.0 {
            if who.client_secret != self.portal.1 {
                return Err(unauthorized());
            }
            return self.management_token(&mut tenant, &audience);
        }
        let known = tenant.clients.get(&who.client_id).filter(|client| {
            client.secret.as_deref() == Some(&who.client_secret)
                && client.members["token_endpoint_auth_method"] == who.method
        });
        let client = known.ok_or_else(unauthorized)?;
        if !has_client_credentials(&client.members) {
            let why = "Grant type 'client_credentials' not allowed for the client.";
            return Err(oauth_error(403, "unauthorized_client", why));
        }
        let mut grants = tenant.grants.values();
        let Some(grant) =
            grants.find(|grant| grant.client_id == who.client_id && grant.audience == audience)
        else {
            let why = format!(
                "Client is not authorized to access \"{audience}\". You need to create a \"client-grant\""
            );
            return Err(oauth_error(403, "access_denied", &why));
        };
        let mut scopes = asked_scopes(asked);
        if scopes.iter().any(|scope| !grant.scope.contains(scope)) {
            let why = "Client has not been granted scopes";
            return Err(oauth_error(403, "access_denied", why));
        }
        if scopes.is_empty() {
            scopes.extend(grant.scope.iter().cloned());
        }
        let mut claims = Map::new();
        claims.insert("aud".into(), audience.into());
        claims.insert("gty".into(), "client-credentials".into());
        Ok(self.mint.issue(&who.client_id, &scopes, claims))
    }

    /// A token of the portal, for the Management API.
    fn management_token(&self, tenant: &mut Tenant, audience: &str) -> Answer {
        if audience != format!("{}/api/v2/", self.url) {
            let why = "Service not enabled within domain: no audience, or an unknown one";
            return Err(oauth_error(403, "access_denied", why));
        }
        let token = secret::random(30);
        let scopes: BTreeSet<String> = MANAGEMENT_SCOPES.map(str::to_owned).into();
        tenant.tokens.insert(token.clone(), scopes);
        let body = json!({"access_token": token, "token_type": "Bearer", "expires_in": 86400});
        Ok(Reply::json(200, &body))
    }

    fn register_openly(&self, asked: &ReceivedRequest) -> Answer {
        let mut tenant = lock(&self.tenant);
        if !tenant.open {
            let why = "Dynamic client registration is not enabled";
            return Err(oauth_error(404, "not_found", why));
        }
        let body = asked.object().filter(is_open).ok_or_else(bad_request)?;
        let method = body.get("token_endpoint_auth_method");
        let method = method.cloned().unwrap_or("client_secret_post".into());
        let grants = body.get("grant_types").cloned();
        let grants = grants.unwrap_or_else(|| json!(["authorization_code"]));
        let id = secret::random(24);
        let with_secret = (method != "none").then(|| secret::random(48));
        let members = json!({
            "name": body.get("client_name"), "callbacks": body["redirect_uris"], "grant_types": grants,
            "token_endpoint_auth_method": method, "is_first_party": false,
        });
        let mut shown = json!({
            "client_name": body.get("client_name"), "client_id": id, "redirect_uris": body["redirect_uris"],
            "token_endpoint_auth_method": method, "grant_types": grants, "client_secret_expires_at": 0,
        });
        if let Some(secret) = &with_secret {
            shown["client_secret"] = secret.clone().into();
        }
        let members = members.as_object().cloned().unwrap_or_default();
        let secret = with_secret;
        tenant.clients.insert(id, Client { members, secret });
        Ok(Reply::json(201, &shown))
    }
}

/// Whether open registration takes such a client: one for people who sign in.
fn is_open(body: &Map<String, Value>) -> bool {
    let known = [
        "client_name",
        "redirect_uris",
        "grant_types",
        "token_endpoint_auth_method",
        "response_types",
    ];
    let list = |member: &str| body.get(member).and_then(Value::as_array);
    let method = body.get("token_endpoint_auth_method");
    body.keys().all(|name| known.contains(&name.as_str()))
        && list("redirect_uris").is_some_and(|list| !list.is_empty())
        && method.is_none_or(|method| method == "none" || method == "client_secret_post")
        && body.get("grant_types").is_none_or(|grants| {
            let grants = grants.as_array();
            grants.is_some_and(|grants| {
                let mut grants = grants.iter();
                grants.all(|one| one == "authorization_code" || one == "refresh_token")
            })
        })
}

fn bad_request() -> Reply {
    Reply::text(400, "text/plain", "Bad Request")
}

fn bad(message: &str) -> Reply {
    let message = format!("Payload validation error: '{message}'");
    error(400, "Bad Request", &message, "invalid_body")
}

fn missing(what: &str, code: &str) -> Reply {
    let message = format!("The {what} does not exist");
    error(404, "Not Found", &message, code)
}

fn missing_client() -> Reply {
    missing("client", "inexistent_client")
}

/// Auth0's own format.
#[must_use]
pub fn error(status: u16, phrase: &str, message: &str, code: &str) -> Reply {
    let mut body = json!({"statusCode": status, "error": phrase, "message": message});
    if !code.is_empty() {
        body["errorCode"] = code.into();
    }
    Reply::json(status, &body)
}

/// Too many calls; the limit is lifted so many seconds later.
#[must_use]
pub fn too_many(seconds: i64) -> Reply {
    let reset = super::now() + seconds;
    error(
        429,
        "Too Many Requests",
        "Global limit has been reached",
        "too_many_requests",
    )
    .with("x-ratelimit-remaining", "0")
    .with("x-ratelimit-reset", reset.to_string())
}
