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

use super::stage::{Answer, Double, Handle, ReceivedRequest, Reply, invalid, lock, oauth_error};
use super::tokens::{Mint, asked_scopes, claimed, has_client_credentials};
use crate::secret;
use crate::server::StartError;
use secrets::Secrets;
use settings::{check, has_secret};

/// Clients in a page, where nothing else is asked for.
const PAGE: usize = 20;

struct Application {
    settings: Map<String, Value>,
    /// None for a public client.
    secrets: Option<Secrets>,
    issued_at: i64,
    active: bool,
}

type Applications = BTreeMap<String, Application>;

/// An Okta org with one custom authorization server, `default`.
pub struct Okta {
    url: String,
    mint: Mint,
    api_token: Mutex<String>,
    secrets_hidden: Mutex<bool>,
    scopes: BTreeSet<String>,
    applications: Mutex<Applications>,
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
    fn answer(&self, asked: &ReceivedRequest) -> Answer {
        let path: Vec<&str> = asked.path.split('/').skip(1).collect();
        match (asked.method.as_str(), path.as_slice()) {
            ("GET", ["oauth2", "default", ".well-known", "openid-configuration"]) => {
                Ok(self.document())
            }
            ("GET", ["oauth2", "default", "v1", "keys"]) => Ok(self.mint.jwks()),
            ("POST", ["oauth2", "default", "v1", "token"]) => self.token(asked),
            (_, ["oauth2", "v1", "clients", rest @ ..]) => self.clients(asked, rest),
            (_, ["api", "v1", "apps", id, rest @ ..]) => self.application(asked, id, rest),
            _ => Err(no_method(404)),
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

    /// Every call of Okta's own APIs has the API token.
    fn authorized(&self, asked: &ReceivedRequest) -> Result<(), Reply> {
        let token = asked.authorization("SSWS");
        if token != Some(lock(&self.api_token).as_str()) {
            return Err(error(401, "E0000011", "Invalid token provided"));
        }
        if asked.header("accept") != "application/json" {
            let why = "Accept and/or Content-Type headers likely do not match supported values.";
            return Err(error(406, "E0000056", why));
        }
        Ok(())
    }

    fn clients(&self, asked: &ReceivedRequest, path: &[&str]) -> Answer {
        self.authorized(asked)?;
        let mut applications = lock(&self.applications);
        match (asked.method.as_str(), path) {
            ("POST", []) => self.create(&mut applications, asked),
            ("GET", []) => self.list(&applications, asked),
            ("GET", [id]) => {
                let one = applications.get(*id).ok_or_else(wrong_id)?;
                Ok(Reply::json(200, &shown(id, one, false)))
            }
            ("PUT", [id]) => replace(&mut applications, id, asked),
            ("DELETE", [id]) => {
                applications.remove(*id).ok_or_else(wrong_id)?;
                Ok(Reply::empty(204))
            }
            ("POST", [id, "lifecycle", "newSecret"]) => {
                let one = applications.get_mut(*id).ok_or_else(|| not_found(id))?;
                if one.secrets.is_none() {
                    return Err(not_valid("the client has no secret"));
                }
                one.secrets = Some(Secrets::new(self.mint.now()));
                Ok(Reply::json(200, &shown(id, one, true)))
            }
            _ => Err(no_method(405)),
        }
    }

    /// The application that a client is.
    fn application(&self, asked: &ReceivedRequest, id: &str, path: &[&str]) -> Answer {
        self.authorized(asked)?;
        let mut applications = lock(&self.applications);
        let found = applications.get_mut(id).ok_or_else(|| not_found(id));
        match (asked.method.as_str(), path) {
            ("POST", ["lifecycle", what @ ("activate" | "deactivate")]) => {
                found?.active = *what == "activate";
                Ok(Reply::json(200, &json!({})))
            }
            (method, ["credentials", "secrets", rest @ ..]) => {
                if *lock(&self.secrets_hidden) {
                    let why = "You do not have permission to perform the requested action";
                    return Err(error(403, "E0000006", why));
                }
                let secrets = found?.secrets.as_mut();
                let secrets = secrets.ok_or_else(|| invalid("the client has no secrets"))?;
                secrets.answer(method, rest, asked, self.mint.now())
            }
            _ => Err(no_method(405)),
        }
    }

    fn create(&self, applications: &mut Applications, asked: &ReceivedRequest) -> Answer {
        let settings = asked.object().ok_or_else(not_well_formed)?;
        if settings.contains_key("client_id") {
            return Err(invalid("client_id: The field cannot be set"));
        }
        check(&settings, applications, None)?;
        let id = format!("0oa{}", secret::random(12).replace(['-', '_'], "x"));
        let one = Application {
            secrets: has_secret(&settings).then(|| Secrets::new(self.mint.now())),
            settings,
            issued_at: self.mint.now(),
            active: true,
        };
        let reply = Reply::json(201, &shown(&id, &one, true));
        applications.insert(id, one);
        Ok(reply)
    }

    fn list(&self, applications: &Applications, asked: &ReceivedRequest) -> Answer {
        let number = |name: &str| {
            asked
                .query
                .get(name)
                .and_then(|text| text.parse::<usize>().ok())
        };
        let (q, limit) = (asked.query.get("q"), number("limit").unwrap_or(PAGE));
        if limit == 0 || limit > 200 {
            return Err(not_valid("limit"));
        }
        let after = asked.query.get("after").cloned().unwrap_or_default();
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
        Ok(match (found.next(), page.last(), q) {
            (Some(_), Some((last, _)), q) => {
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                query
                    .append_pair("after", last)
                    .append_pair("limit", &limit.to_string());
                query.extend_pairs(q.map(|q| ("q", q)));
                reply.with("link", format!("{}; rel=\"next\"", at(query.finish())))
            }
            _ => reply,
        })
    }

    /// Scopes are the authorization server's; a policy gives each client all of them.
    fn token(&self, asked: &ReceivedRequest) -> Answer {
        let who = claimed(asked)?;
        let applications = lock(&self.applications);
        let known = applications.get(&who.client_id).filter(|one| {
            let secrets = one.secrets.as_ref();
            one.active
                && secrets.is_some_and(|all| all.work(&who.client_secret))
                && one.settings["token_endpoint_auth_method"] == who.method
        });
        let Some(one) = known else {
            let why = "The client secret supplied for a confidential client is invalid.";
            return Err(oauth_error(401, "invalid_client", why));
        };
        if !has_client_credentials(&one.settings) {
            let why = "The client is not authorized to use the provided grant type.";
            return Err(oauth_error(400, "unauthorized_client", why));
        }
        let scopes = self.grant(asked_scopes(asked))?;
        Ok(self.mint.issue(&who.client_id, &scopes, Map::new()))
    }

    fn grant(&self, scopes: Vec<String>) -> Result<Vec<String>, Reply> {
        let why = if scopes.is_empty() {
            "The authorization server resource does not have any configured default scopes, 'scope' must be provided."
        } else if scopes.iter().any(|scope| !self.scopes.contains(scope)) {
            "One or more scopes are not configured for the authorization server resource."
        } else {
            return Ok(scopes);
        };
        Err(oauth_error(400, "invalid_scope", why))
    }
}

fn replace(applications: &mut Applications, id: &str, asked: &ReceivedRequest) -> Answer {
    let mut settings = asked.object().ok_or_else(not_well_formed)?;
    let before = applications.get(id).ok_or_else(wrong_id)?;
    if settings.remove("client_id") != Some(id.into()) {
        return Err(invalid("client_id: does not match the client"));
    }
    if settings.get("application_type") != before.settings.get("application_type") {
        return Err(invalid("application_type: The field cannot be changed"));
    }
    let mut needed = before.settings.keys();
    if let Some(name) = needed.find(|name| !settings.contains_key(*name)) {
        return Err(invalid(&format!("{name}: The field cannot be left blank")));
    }
    check(&settings, applications, Some(id))?;
    let one = applications.get_mut(id).ok_or_else(wrong_id)?;
    one.settings = settings;
    Ok(Reply::json(200, &shown(id, one, true)))
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
    let why = "Invalid value for 'client_id' parameter.";
    oauth_error(401, "invalid_client", why)
}

fn not_found(id: &str) -> Reply {
    let why = format!("Not found: Resource not found: {id} (PublicClientApp)");
    error(404, "E0000007", &why)
}

fn not_well_formed() -> Reply {
    error(400, "E0000003", "The request body was not well-formed.")
}

fn not_valid(why: &str) -> Reply {
    error(400, "E0000001", &format!("Api validation failed: {why}"))
}

fn no_method(status: u16) -> Reply {
    let why = "The endpoint does not support the provided HTTP method";
    error(status, "E0000022", why)
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
