//! A double of Gluu Server and Janssen: `/jans-auth/restv1/register` with its management, and the token endpoint. From
//! <https://docs.jans.io/stable/janssen-server/auth-server/endpoints/client-registration>,
//! <https://docs.jans.io/stable/janssen-server/auth-server/client-management/software-statements> and
//! <https://docs.jans.io/stable/janssen-server/auth-server/scopes/>.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use super::stage::{Answer, Double, Handle, ReceivedRequest, Reply, invalid, lock, oauth_error};
use super::tokens::{Mint, asked_scopes, claimed, has_client_credentials, words};
use crate::secret;
use crate::server::StartError;

const PATH: &str = "/jans-auth/restv1/register";

/// What only the server says of a client.
const OWN_MEMBERS: [&str; 4] = [
    "registration_access_token",
    "registration_client_uri",
    "client_id_issued_at",
    "client_secret_expires_at",
];

struct Client {
    metadata: Map<String, Value>,
    secret: String,
    token: String,
    expires_at: i64,
}

/// What an operator of the server decides.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Scopes that dynamic registration may give.
    pub scopes: BTreeSet<String>,
    /// Scopes that exist, and that dynamic registration leaves out.
    pub closed_scopes: BTreeSet<String>,
    /// `dynamicRegistrationExpirationTime`; 0 is never.
    pub lifetime_seconds: i64,
    /// A registration without this one is refused.
    pub software_statement: Option<String>,
}

/// An authorization server.
pub struct Gluu {
    url: String,
    mint: Mint,
    policy: Policy,
    clients: Mutex<BTreeMap<String, Client>>,
}

/// Starts a server.
///
/// # Errors
/// No port, or no key.
pub async fn start(policy: Policy) -> Result<Handle<Gluu>, StartError> {
    Handle::start(|url, key, clock| Gluu {
        mint: Mint::new(url.clone(), key, clock),
        url,
        policy,
        clients: Mutex::default(),
    })
    .await
}

impl Double for Gluu {
    fn answer(&self, asked: &ReceivedRequest) -> Answer {
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/.well-known/openid-configuration") => Ok(self.document()),
            ("GET", "/jans-auth/restv1/jwks") => Ok(self.mint.jwks()),
            ("POST", "/jans-auth/restv1/token") => self.token(asked),
            ("POST", PATH) => self.register(asked),
            ("GET" | "PUT" | "DELETE", PATH) => self.managed(asked),
            _ => {
                let page = "<html><body>HTTP Status 404</body></html>";
                Err(Reply::text(404, "text/html", page))
            }
        }
    }
}

impl Gluu {
    /// Number of registered clients.
    #[must_use]
    pub fn client_count(&self) -> usize {
        lock(&self.clients).len()
    }

    /// The metadata of a client, as somebody else sees it.
    #[must_use]
    pub fn client(&self, id: &str) -> Option<Value> {
        let clients = lock(&self.clients);
        clients.get(id).map(|one| one.metadata.clone().into())
    }

    /// Somebody else deletes a client.
    pub fn remove(&self, id: &str) {
        lock(&self.clients).remove(id);
    }

    fn document(&self) -> Reply {
        let url = &self.url;
        Reply::json(
            200,
            &json!({
                "issuer": url,
                "authorization_endpoint": format!("{url}/jans-auth/restv1/authorize"),
                "token_endpoint": format!("{url}/jans-auth/restv1/token"),
                "registration_endpoint": format!("{url}{PATH}"),
                "jwks_uri": format!("{url}/jans-auth/restv1/jwks"),
                "scopes_supported": self.policy.scopes.union(&self.policy.closed_scopes).collect::<Vec<_>>(),
                "token_endpoint_auth_methods_supported":
                    ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"],
            }),
        )
    }

    fn token(&self, asked: &ReceivedRequest) -> Answer {
        let who = claimed(asked)?;
        let clients = lock(&self.clients);
        let known = clients.get(&who.client_id).filter(|client| {
            client.secret == who.client_secret
                && client.metadata["token_endpoint_auth_method"] == who.method
                && (client.expires_at == 0 || client.expires_at > self.mint.now())
        });
        let Some(client) = known else {
            let why = "Client authentication failed (e.g. unknown client).";
            return Err(oauth_error(401, "invalid_client", why));
        };
        if !has_client_credentials(&client.metadata) {
            let why = "The authenticated client is not authorized to use this grant type.";
            return Err(oauth_error(400, "unauthorized_client", why));
        }
        // Scopes that the client does not have are left out without a word.
        let granted = words(client.metadata.get("scope"));
        let mut scopes = asked_scopes(asked);
        scopes.retain(|scope| granted.contains(scope));
        if client.metadata.get("access_token_as_jwt") != Some(&Value::Bool(true)) {
            let body = json!({
                "access_token": secret::random(24), "token_type": "Bearer", "expires_in": 299, "scope": scopes.join(" "),
            });
            return Ok(Reply::json(200, &body));
        }
        Ok(self.mint.issue(&who.client_id, &scopes, Map::new()))
    }

    fn register(&self, asked: &ReceivedRequest) -> Answer {
        let body = asked.object().ok_or_else(unreadable)?;
        if let Some(expected) = &self.policy.software_statement
            && body.get("software_statement").and_then(Value::as_str) != Some(expected)
        {
            let why = "The software statement presented is invalid.";
            return Err(oauth_error(400, "invalid_software_statement", why));
        }
        let metadata = self.granted(body)?;
        let expires_at = match self.policy.lifetime_seconds {
            0 => 0,
            seconds => self.mint.now() + seconds,
        };
        let id = secret::random(18);
        let client = Client {
            metadata,
            secret: secret::random(24),
            token: secret::random(18),
            expires_at,
        };
        let reply = Reply::json(201, &self.shown(&id, &client));
        lock(&self.clients).insert(id, client);
        Ok(reply)
    }

    /// The metadata that a client gets: the server's defaults, and what it asks for.
    fn granted(&self, body: Map<String, Value>) -> Result<Map<String, Value>, Reply> {
        let defaults = json!({
            "application_type": "web", "subject_type": "pairwise", "grant_types": ["authorization_code"],
            "response_types": ["code"], "token_endpoint_auth_method": "client_secret_basic",
            "access_token_as_jwt": false, "rpt_as_jwt": false, "spontaneous_scopes": [], "require_par": false,
            "redirect_uris": [],
        });
        let mut metadata = defaults.as_object().cloned().unwrap_or_default();
        let grants = body
            .get("grant_types")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let signs_in = grants.is_empty() || grants.iter().any(|one| one == "authorization_code");
        if !signs_in {
            metadata.insert("response_types".into(), json!([]));
        }
        metadata.extend(body);
        metadata.remove("software_statement");
        let redirects = metadata["redirect_uris"]
            .as_array()
            .is_none_or(Vec::is_empty);
        if signs_in && redirects {
            let why = "The value of one or more redirect_uris is invalid.";
            return Err(oauth_error(400, "invalid_redirect_uri", why));
        }
        let mut scopes = words(metadata.get("scope"));
        scopes.retain(|scope| self.policy.scopes.contains(scope));
        metadata.insert("scope".into(), scopes.join(" ").into());
        Ok(metadata)
    }

    fn shown(&self, id: &str, client: &Client) -> Value {
        let mut members = client.metadata.clone();
        for (name, value) in [
            ("client_id", id.into()),
            ("client_secret", client.secret.clone().into()),
            ("client_secret_expires_at", client.expires_at.into()),
            ("client_id_issued_at", self.mint.now().into()),
            (
                "registration_client_uri",
                format!("{}{PATH}?client_id={id}", self.url).into(),
            ),
            ("registration_access_token", client.token.clone().into()),
        ] {
            members.insert(name.into(), value);
        }
        members.into()
    }

    fn managed(&self, asked: &ReceivedRequest) -> Answer {
        let mut clients = lock(&self.clients);
        let id = asked.query.get("client_id").cloned().unwrap_or_default();
        let token = asked.authorization("Bearer");
        let Some(client) = clients
            .get_mut(&id)
            .filter(|client| Some(client.token.as_str()) == token)
        else {
            let why = "The access token provided is invalid";
            return Err(oauth_error(401, "invalid_token", why));
        };
        match asked.method.as_str() {
            "DELETE" => {
                clients.remove(&id);
                return Ok(Reply::empty(204));
            }
            "PUT" => {
                let body = asked.object().ok_or_else(unreadable)?;
                client.metadata = self.granted(replacing(client, &id, body)?)?;
            }
            _ => {}
        }
        Ok(Reply::json(200, &self.shown(&id, client)))
    }
}

/// The members of an update. What is left out is what the server makes of it: the whole document counts.
fn replacing(
    client: &Client,
    id: &str,
    mut body: Map<String, Value>,
) -> Result<Map<String, Value>, Reply> {
    if OWN_MEMBERS.iter().any(|name| body.contains_key(*name)) {
        let why = "members of the server must not be sent";
        return Err(oauth_error(400, "invalid_request", why));
    }
    for name in ["grant_types", "token_endpoint_auth_method", "subject_type"] {
        if !body.contains_key(name) {
            return Err(invalid(&format!("{name} is missing")));
        }
    }
    let secret = body.remove("client_secret");
    let another = secret.is_some_and(|secret| secret != client.secret);
    if body.remove("client_id") != Some(id.into()) || another {
        return Err(invalid("client_id or client_secret is not the client's"));
    }
    Ok(body)
}

fn unreadable() -> Reply {
    invalid("Unable to parse the request")
}
