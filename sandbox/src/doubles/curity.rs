//! A double of the Curity Identity Server: registration by template or freely, management, and its token endpoint. From
//! <https://curity.io/resources/learn/using-dynamic-client-registration/>,
//! <https://curity.io/resources/learn/dynamic-client-registration-management/>,
//! <https://curity.io/docs/identity-server/profiles/token-profile/clients/dcr/dcr-api> and
//! <https://curity.io/resources/learn/templatized-dcr/>.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use super::stage::{Answer, Double, Handle, ReceivedRequest, Reply, invalid, lock, oauth_error};
use super::tokens::{Mint, asked_scopes, claimed, has_client_credentials, words};
use crate::secret;
use crate::server::StartError;

/// Parameters of a free registration that are used here; the reference names more.
const MEMBERS: [&str; 9] = [
    "client_id",
    "client_secret",
    "client_name",
    "grant_types",
    "redirect_uris",
    "require_proof_key",
    "response_types",
    "scope",
    "token_endpoint_auth_method",
];
const PATH: &str = "/oauth/v2/oauth-registration";

struct Client {
    metadata: Map<String, Value>,
    secret: String,
    token: String,
}

#[derive(Default)]
struct State {
    clients: BTreeMap<String, Client>,
    /// Tokens with the scope `dcr` that were not used yet.
    initial: BTreeSet<String>,
}

/// A token profile with one client for the portal and one template.
pub struct Curity {
    url: String,
    mint: Mint,
    portal: (String, String),
    scopes: BTreeSet<String>,
    template: String,
    state: Mutex<State>,
}

/// Starts a token profile with these scopes. The template, which has all of them, is called `template`.
///
/// # Errors
/// No port, or no key.
pub async fn start(
    portal: (&str, &str),
    scopes: &[&str],
    template: &str,
) -> Result<Handle<Curity>, StartError> {
    let portal = (portal.0.to_owned(), portal.1.to_owned());
    let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
    Handle::start(|url, key, clock| Curity {
        mint: Mint::new(format!("{url}/oauth/v2/oauth-anonymous"), key, clock),
        url,
        portal,
        scopes,
        template: template.to_owned(),
        state: Mutex::default(),
    })
    .await
}

impl Double for Curity {
    fn answer(&self, asked: &ReceivedRequest) -> Answer {
        let id = asked
            .path
            .strip_prefix(PATH)
            .and_then(|rest| rest.strip_prefix('/'));
        match (asked.method.as_str(), asked.path.as_str(), id) {
            ("GET", "/oauth/v2/oauth-anonymous/.well-known/openid-configuration", _) => {
                Ok(self.document())
            }
            ("GET", "/oauth/v2/oauth-anonymous/jwks", _) => Ok(self.mint.jwks()),
            ("POST", "/oauth/v2/oauth-token", _) => self.token(asked),
            ("POST", PATH, _) => self.register(asked),
            ("GET" | "PUT" | "DELETE", _, Some(id)) => self.managed(asked, id),
            _ => {
                let page = "<html><body>Not found</body></html>";
                Err(Reply::text(404, "text/html", page))
            }
        }
    }
}

impl Curity {
    /// Number of registered clients.
    #[must_use]
    pub fn client_count(&self) -> usize {
        lock(&self.state).clients.len()
    }

    /// Somebody else deletes a client.
    pub fn remove(&self, id: &str) {
        lock(&self.state).clients.remove(id);
    }

    fn document(&self) -> Reply {
        let url = &self.url;
        Reply::json(
            200,
            &json!({
                "issuer": format!("{url}/oauth/v2/oauth-anonymous"),
                "authorization_endpoint": format!("{url}/oauth/v2/oauth-authorize"),
                "token_endpoint": format!("{url}/oauth/v2/oauth-token"),
                "registration_endpoint": format!("{url}{PATH}"),
                "jwks_uri": format!("{url}/oauth/v2/oauth-anonymous/jwks"),
                "scopes_supported": self.scopes,
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            }),
        )
    }

    fn token(&self, asked: &ReceivedRequest) -> Answer {
        let who = claimed(asked)?;
        let scopes = asked_scopes(asked);
        let mut state = lock(&self.state);
        if who.client_id == self.portal.0 && who.client_secret == self.portal.1 {
            let token = secret::random(24);
            // Without the scope the token is good for nothing here.
            if scopes == ["dcr"] {
                state.initial.insert(token.clone());
            }
            let body = json!({"access_token": token, "token_type": "bearer", "expires_in": 299});
            return Ok(Reply::json(200, &body));
        }
        let known = state.clients.get(&who.client_id).filter(|client| {
            let method = client.metadata.get("token_endpoint_auth_method");
            let method = method.and_then(Value::as_str);
            client.secret == who.client_secret && method.is_none_or(|method| method == who.method)
        });
        let refused = || oauth_error(401, "invalid_client", "client authentication failed");
        let client = known.ok_or_else(refused)?;
        if !has_client_credentials(&client.metadata) {
            let why = "client_credentials is not a capability of the client";
            return Err(oauth_error(400, "unauthorized_client", why));
        }
        let granted = words(client.metadata.get("scope"));
        if scopes.iter().any(|scope| !granted.contains(scope)) {
            let why = "the client may not have this scope";
            return Err(oauth_error(400, "invalid_scope", why));
        }
        let scopes = if scopes.is_empty() { granted } else { scopes };
        Ok(self.mint.issue(&who.client_id, &scopes, Map::new()))
    }

    fn register(&self, asked: &ReceivedRequest) -> Answer {
        let mut state = lock(&self.state);
        let token = asked.authorization("Bearer");
        if !token.is_some_and(|token| state.initial.contains(token)) {
            let why = "The access token is missing, used up, or does not have the scope dcr";
            return Err(oauth_error(401, "invalid_token", why));
        }
        let metadata = self.granted(asked.object().ok_or_else(unreadable)?)?;
        // One use, counted when a client is made of it.
        if let Some(token) = token {
            state.initial.remove(token);
        }
        let id = secret::random(18);
        let client = Client {
            metadata,
            secret: secret::random(24),
            token: secret::random(18),
        };
        let reply = Reply::json(201, &self.shown(&id, &client));
        state.clients.insert(id, client);
        Ok(reply)
    }

    /// The metadata that a client gets.
    fn granted(&self, body: Map<String, Value>) -> Result<Map<String, Value>, Reply> {
        if let Some(template) = body.get("software_id") {
            if *template != self.template {
                return Err(invalid("software_id: no such template client"));
            }
            if body.len() > 1 {
                return Err(invalid(
                    "parameters of an instance are those of its template",
                ));
            }
            let scope = self.scopes.iter().cloned().collect::<Vec<_>>().join(" ");
            let metadata = json!({
                "software_id": self.template, "client_name": "Template client", "grant_types": ["client_credentials"],
                "scope": scope, "token_endpoint_auth_method": "client_secret_basic",
            });
            return Ok(metadata.as_object().cloned().unwrap_or_default());
        }
        if let Some(name) = body.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
            return Err(invalid(&format!("{name}: unsupported parameter")));
        }
        if body.get("response_types") == Some(&json!([])) {
            return Err(invalid("response_types: must not be empty"));
        }
        if let Some(unknown) = words(body.get("scope"))
            .iter()
            .find(|scope| !self.scopes.contains(*scope))
        {
            return Err(invalid(&format!("scope: {unknown} is not configured")));
        }
        Ok(body)
    }

    fn shown(&self, id: &str, client: &Client) -> Value {
        let mut members = client.metadata.clone();
        for (name, value) in [
            ("client_id", id.into()),
            ("client_secret", client.secret.clone().into()),
            ("client_secret_expires_at", 0.into()),
            ("client_id_issued_at", self.mint.now().into()),
            (
                "registration_client_uri",
                format!("{}{PATH}/{id}", self.url).into(),
            ),
            ("registration_access_token", client.token.clone().into()),
            ("registration_access_token_expires_in", 31_536_000.into()),
        ] {
            members.insert(name.into(), value);
        }
        members.into()
    }

    /// A read and an update replace the token and the secret.
    fn managed(&self, asked: &ReceivedRequest, id: &str) -> Answer {
        let mut state = lock(&self.state);
        let token = asked.authorization("Bearer");
        let Some(client) = state
            .clients
            .get_mut(id)
            .filter(|client| Some(client.token.as_str()) == token)
        else {
            let why = "The access token is missing, invalid or expired";
            return Err(oauth_error(401, "invalid_token", why));
        };
        match asked.method.as_str() {
            "DELETE" => {
                state.clients.remove(id);
                return Ok(Reply::empty(204));
            }
            "PUT" => {
                let mut body = asked.object().ok_or_else(unreadable)?;
                if body.remove("client_id") != Some(id.into()) {
                    return Err(invalid("client_id: is not the client's"));
                }
                let secret = body.remove("client_secret");
                if secret.is_some_and(|secret| secret != client.secret) {
                    return Err(invalid("client_secret: is not the client's"));
                }
                if client.metadata.contains_key("software_id") {
                    return Err(invalid("an instance of a template cannot be updated"));
                }
                body.remove("registration_access_token_expires_in");
                client.metadata = self.granted(body)?;
            }
            _ => {}
        }
        client.token = secret::random(18);
        client.secret = secret::random(24);
        Ok(Reply::json(200, &self.shown(id, client)))
    }
}

fn unreadable() -> Reply {
    invalid("the body is no JSON object")
}
