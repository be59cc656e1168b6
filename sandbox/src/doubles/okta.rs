//! A double of Okta's Dynamic Client Registration API, of the parts of its applications API that switch a client off
//! and on and keep its secrets, and of the token endpoint of a custom authorization server. From
//! <https://developer.okta.com/docs/api/openapi/okta-oauth/oauth/tag/Client/>,
//! <https://developer.okta.com/docs/reference/api/oauth-clients/>,
//! <https://developer.okta.com/docs/reference/error-codes/> and
//! <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/Application/>.
//! The secrets of a client are in `secrets`.

mod secrets;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use super::stage::{Double, Handle, ReceivedRequest, Reply, lock, oauth_error};
use super::tokens::{Mint, asked_scopes, claimed};
use crate::secret;
use crate::server::StartError;
use secrets::Secrets;
use settings::{has_secret, invalid, refused};

/// Clients in a page, where nothing else is asked for.
const PAGE: usize = 20;

struct Application {
    settings: Map<String, Value>,
    /// None for a public client.
    secrets: Option<Secrets>,
    issued_at: i64,
    active: bool,
}

/// An Okta org with one custom authorization server, `default`.
pub struct Okta {
    url: String,
    mint: Mint,
    api_token: Mutex<String>,
    secrets_hidden: Mutex<bool>,
    scopes: BTreeSet<String>,
    applications: Mutex<BTreeMap<String, Application>>,
}

/// Starts an org with an API token and the scopes of its authorization server.
///
/// # Errors
/// No port, or no key.
pub async fn start(api_token: &str, scopes: &[&str]) -> Result<Handle<Okta>, StartError> {
    let api_token = Mutex::new(api_token.to_owned());
    let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
    Handle::start(|url, key, clock| Okta {
        mint: Mint::new(format!("{url}/oauth2/default"), key, clock),
        url,
        api_token,
        secrets_hidden: Mutex::default(),
        scopes,
        applications: Mutex::default(),
    })
    .await
}

impl Double for Okta {
    fn answer(&self, asked: &ReceivedRequest) -> Reply {
        let path: Vec<&str> = asked.path.split('/').skip(1).collect();
        match (asked.method.as_str(), path.as_slice()) {
            ("GET", ["oauth2", "default", ".well-known", "openid-configuration"]) => {
                self.document()
            }
            ("GET", ["oauth2", "default", "v1", "keys"]) => self.mint.jwks(),
            ("POST", ["oauth2", "default", "v1", "token"]) => self.token(asked),
            (_, ["oauth2", "v1", "clients", ..] | ["api", "v1", "apps", ..]) => {
                self.managed(asked, &path)
            }
            _ => error(
                404,
                "E0000022",
                "The endpoint does not support the provided HTTP method",
            ),
        }
    }
}

impl Okta {
    /// Number of registered clients.
    #[must_use]
    pub fn client_count(&self) -> usize {
        lock(&self.applications).len()
    }

    /// Ids of the registered clients.
    #[must_use]
    pub fn client_ids(&self) -> Vec<String> {
        lock(&self.applications).keys().cloned().collect()
    }

    /// Secrets of the registered clients.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let applications = lock(&self.applications);
        let secrets = applications.values().filter_map(|one| one.secrets.as_ref());
        secrets.flat_map(Secrets::all).collect()
    }

    /// The settings of a client, as somebody else sees them.
    #[must_use]
    pub fn client(&self, id: &str) -> Option<Value> {
        let applications = lock(&self.applications);
        applications.get(id).map(|one| one.settings.clone().into())
    }

    /// The API token is of a role that may not see or change secrets.
    pub fn hide_secrets(&self) {
        *lock(&self.secrets_hidden) = true;
    }

    /// Somebody else deletes a client.
    pub fn remove(&self, id: &str) {
        lock(&self.applications).remove(id);
    }

    /// The API token is revoked, and there is another one.
    pub fn set_api_token(&self, token: &str) {
        token.clone_into(&mut lock(&self.api_token));
    }

    fn document(&self) -> Reply {
        let url = &self.url;
        Reply::json(
            200,
            &json!({
                "issuer": format!("{url}/oauth2/default"),
                "authorization_endpoint": format!("{url}/oauth2/default/v1/authorize"),
                "token_endpoint": format!("{url}/oauth2/default/v1/token"),
                "registration_endpoint": format!("{url}/oauth2/v1/clients"),
                "jwks_uri": format!("{url}/oauth2/default/v1/keys"),
                "scopes_supported": self.scopes,
                "response_types_supported": ["code", "id_token", "code id_token", "code token", "id_token token"],
                "grant_types_supported": ["authorization_code", "implicit", "refresh_token", "password", "client_credentials"],
                "token_endpoint_auth_methods_supported":
                    ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"],
            }),
        )
    }

    fn managed(&self, asked: &ReceivedRequest, path: &[&str]) -> Reply {
        let token = asked.authorization("SSWS");
        if token != Some(lock(&self.api_token).as_str()) {
            return error(401, "E0000011", "Invalid token provided");
        }
        if asked.header("accept") != "application/json" {
            return error(
                406,
                "E0000056",
                "Accept and/or Content-Type headers likely do not match supported values.",
            );
        }
        match (asked.method.as_str(), path) {
            ("POST", ["oauth2", "v1", "clients"]) => self.create(asked),
            ("GET", ["oauth2", "v1", "clients"]) => self.list(asked),
            ("GET", ["oauth2", "v1", "clients", id]) => {
                self.with(id, |one| Reply::json(200, &shown(id, one, false)))
            }
            ("PUT", ["oauth2", "v1", "clients", id]) => self.replace(id, asked),
            ("DELETE", ["oauth2", "v1", "clients", id]) => {
                match lock(&self.applications).remove(*id) {
                    Some(_) => Reply::empty(204),
                    None => wrong_id(),
                }
            }
            ("POST", ["oauth2", "v1", "clients", id, "lifecycle", "newSecret"]) => {
                self.new_secret(id)
            }
            (
                "POST",
                [
                    "api",
                    "v1",
                    "apps",
                    id,
                    "lifecycle",
                    what @ ("activate" | "deactivate"),
                ],
            ) => match lock(&self.applications).get_mut(*id) {
                Some(one) => {
                    one.active = *what == "activate";
                    Reply::json(200, &json!({}))
                }
                None => not_found(id),
            },
            (method, ["api", "v1", "apps", id, "credentials", "secrets", rest @ ..]) => {
                if *lock(&self.secrets_hidden) {
                    return error(
                        403,
                        "E0000006",
                        "You do not have permission to perform the requested action",
                    );
                }
                let mut applications = lock(&self.applications);
                match applications.get_mut(*id).map(|one| &mut one.secrets) {
                    Some(Some(secrets)) => secrets.answer(method, rest, asked, self.mint.now()),
                    Some(None) => invalid("the client has no secrets"),
                    None => not_found(id),
                }
            }
            _ => error(
                405,
                "E0000022",
                "The endpoint does not support the provided HTTP method",
            ),
        }
    }

    fn with(&self, id: &str, answer: impl FnOnce(&Application) -> Reply) -> Reply {
        lock(&self.applications)
            .get(id)
            .map_or_else(wrong_id, answer)
    }

    fn create(&self, asked: &ReceivedRequest) -> Reply {
        let Some(settings) = asked.object() else {
            return error(400, "E0000003", "The request body was not well-formed.");
        };
        if settings.contains_key("client_id") {
            return invalid("client_id: The field cannot be set");
        }
        let mut applications = lock(&self.applications);
        if let Some(refused) = refused(&settings, &applications, None) {
            return refused;
        }
        let id = format!("0oa{}", secret::random(12).replace(['-', '_'], "x"));
        let one = Application {
            secrets: has_secret(&settings).then(|| Secrets::new(self.mint.now())),
            settings,
            issued_at: self.mint.now(),
            active: true,
        };
        let reply = Reply::json(201, &shown(&id, &one, true));
        applications.insert(id, one);
        reply
    }

    fn list(&self, asked: &ReceivedRequest) -> Reply {
        let number = |name: &str| {
            asked
                .query
                .get(name)
                .and_then(|text| text.parse::<usize>().ok())
        };
        let (q, limit) = (asked.query.get("q"), number("limit").unwrap_or(PAGE));
        if limit == 0 || limit > 200 {
            return error(400, "E0000001", "Api validation failed: limit");
        }
        let after = asked.query.get("after").cloned().unwrap_or_default();
        let applications = lock(&self.applications);
        let named = |one: &Application| {
            one.settings["client_name"]
                .as_str()
                .unwrap_or("")
                .to_owned()
        };
        let mut found = applications.iter().filter(|(id, one)| {
            id.as_str() > after.as_str() && q.is_none_or(|q| named(one).starts_with(q.as_str()))
        });
        let page: Vec<_> = found.by_ref().take(limit).collect();
        let shown: Vec<Value> = page.iter().map(|(id, one)| shown(id, one, false)).collect();
        let reply = Reply::json(200, &Value::Array(shown));
        let at = |query: String| format!("<{}/oauth2/v1/clients?{query}>", self.url);
        let reply = reply.with(
            "link",
            format!("{}; rel=\"self\"", at(format!("limit={limit}"))),
        );
        match (found.next(), page.last(), q) {
            (Some(_), Some((last, _)), q) => {
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                query
                    .append_pair("after", last)
                    .append_pair("limit", &limit.to_string());
                query.extend_pairs(q.map(|q| ("q", q)));
                reply.with("link", format!("{}; rel=\"next\"", at(query.finish())))
            }
            _ => reply,
        }
    }

    fn replace(&self, id: &str, asked: &ReceivedRequest) -> Reply {
        let Some(mut settings) = asked.object() else {
            return error(400, "E0000003", "The request body was not well-formed.");
        };
        let mut applications = lock(&self.applications);
        let Some(before) = applications.get(id) else {
            return wrong_id();
        };
        if settings.remove("client_id") != Some(id.into()) {
            return invalid("client_id: does not match the client");
        }
        if settings.get("application_type") != before.settings.get("application_type") {
            return invalid("application_type: The field cannot be changed");
        }
        for name in before.settings.keys() {
            if !settings.contains_key(name) {
                return invalid(&format!("{name}: The field cannot be left blank"));
            }
        }
        if let Some(refused) = refused(&settings, &applications, Some(id)) {
            return refused;
        }
        match applications.get_mut(id) {
            Some(one) => {
                one.settings = settings;
                Reply::json(200, &shown(id, one, true))
            }
            None => wrong_id(),
        }
    }

    fn new_secret(&self, id: &str) -> Reply {
        match lock(&self.applications).get_mut(id) {
            None => not_found(id),
            Some(one) if one.secrets.is_none() => error(
                400,
                "E0000001",
                "Api validation failed: the client has no secret",
            ),
            Some(one) => {
                one.secrets = Some(Secrets::new(self.mint.now()));
                Reply::json(200, &shown(id, one, true))
            }
        }
    }

    /// Scopes are the authorization server's; a policy gives each client all of them.
    fn token(&self, asked: &ReceivedRequest) -> Reply {
        let who = match claimed(asked) {
            Ok(who) => who,
            Err(refused) => return refused,
        };
        let applications = lock(&self.applications);
        let Some(one) = applications.get(&who.client_id).filter(|one| {
            one.active
                && one
                    .secrets
                    .as_ref()
                    .is_some_and(|all| all.work(&who.client_secret))
                && one.settings["token_endpoint_auth_method"] == who.method
        }) else {
            return oauth_error(
                401,
                "invalid_client",
                "The client secret supplied for a confidential client is invalid.",
            );
        };
        let grants = one.settings["grant_types"].as_array();
        if !grants.is_some_and(|grants| grants.iter().any(|one| one == "client_credentials")) {
            return oauth_error(
                400,
                "unauthorized_client",
                "The client is not authorized to use the provided grant type.",
            );
        }
        let scopes = asked_scopes(asked);
        if scopes.is_empty() {
            return oauth_error(
                400,
                "invalid_scope",
                "The authorization server resource does not have any configured default scopes, 'scope' must be provided.",
            );
        }
        if scopes.iter().any(|scope| !self.scopes.contains(scope)) {
            return oauth_error(
                400,
                "invalid_scope",
                "One or more scopes are not configured for the authorization server resource.",
            );
        }
        self.mint.issue(&who.client_id, &scopes, Map::new())
    }
}

fn shown(id: &str, one: &Application, with_secret: bool) -> Value {
    let mut members = one.settings.clone();
    members.insert("client_id".into(), id.into());
    members.insert("client_id_issued_at".into(), one.issued_at.into());
    if let Some(secrets) = one.secrets.as_ref().filter(|_| with_secret) {
        members.insert("client_secret".into(), secrets.newest().into());
        members.insert("client_secret_expires_at".into(), 0.into());
    }
    members.into()
}

fn wrong_id() -> Reply {
    oauth_error(
        401,
        "invalid_client",
        "Invalid value for 'client_id' parameter.",
    )
}

fn not_found(id: &str) -> Reply {
    error(
        404,
        "E0000007",
        &format!("Not found: Resource not found: {id} (PublicClientApp)"),
    )
}

/// Okta's own format.
#[must_use]
pub fn error(status: u16, code: &str, summary: &str) -> Reply {
    let body = json!({
        "errorCode": code, "errorSummary": summary, "errorLink": code, "errorId": "oae_of_the_double", "errorCauses": [],
    });
    Reply::json(status, &body)
}

/// Too many calls; the limit is lifted so many seconds later.
#[must_use]
pub fn too_many(seconds: i64) -> Reply {
    let reset = super::now() + seconds;
    error(
        429,
        "E0000047",
        "API call exceeded rate limit due to too many requests.",
    )
    .with("x-rate-limit-limit", "100")
    .with("x-rate-limit-remaining", "0")
    .with("x-rate-limit-reset", reset.to_string())
}
