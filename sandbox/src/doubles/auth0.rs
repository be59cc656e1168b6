//! A double of an Auth0 tenant: the clients and client grants of its Management API, open registration, and its token
//! endpoint. From <https://auth0.com/docs/api/management/v2/clients/post-clients>,
//! <https://auth0.com/docs/api/management/v2/clients/post-rotate-secret>,
//! <https://auth0.com/docs/api/management/v2/client-grants/post-client-grants>,
//! <https://auth0.com/docs/get-started/applications/dynamic-client-registration>,
//! <https://auth0.com/docs/get-started/authentication-and-authorization-flow/client-credentials-flow> and
//! <https://auth0.com/docs/troubleshoot/customer-support/operational-policies/rate-limit-policy>.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use super::stage::{Asked, Double, Handle, Reply, lock, oauth_error};
use super::tokens::{Mint, asked_scopes, claimed};
use crate::secret;
use crate::server::StartError;

/// Members of a client that may be given.
const MEMBERS: [&str; 16] = [
    "allowed_origins",
    "app_type",
    "callbacks",
    "client_metadata",
    "client_secret",
    "description",
    "grant_types",
    "initiate_login_uri",
    "is_first_party",
    "jwt_configuration",
    "logo_uri",
    "name",
    "oidc_conformant",
    "refresh_token",
    "token_endpoint_auth_method",
    "web_origins",
];
const APP_TYPES: [&str; 4] = ["native", "spa", "regular_web", "non_interactive"];
const AUTH_METHODS: [&str; 3] = ["none", "client_secret_post", "client_secret_basic"];
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
    fn answer(&self, asked: &Asked) -> Reply {
        let path: Vec<&str> = asked.path.split('/').skip(1).collect();
        match (asked.method.as_str(), path.as_slice()) {
            ("GET", [".well-known", "openid-configuration"]) => self.document(),
            ("GET", [".well-known", "jwks.json"]) => self.mint.jwks(),
            ("POST", ["oauth", "token"]) => self.token(asked),
            ("POST", ["oidc", "register"]) => self.register_openly(asked),
            (_, ["api", "v2", rest @ ..]) => self.managed(asked, rest),
            _ => Reply::text(404, "text/plain", "Not Found"),
        }
    }
}

impl Auth0 {
    /// Clients that are there.
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
        delete(&mut lock(&self.tenant), id);
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

    fn token(&self, asked: &Asked) -> Reply {
        let who = match claimed(asked) {
            Ok(who) => who,
            Err(_) => return oauth_error(401, "access_denied", "Unauthorized"),
        };
        let form = asked.form();
        let audience = form.get("audience").cloned().unwrap_or_default();
        if form.get("grant_type").map(String::as_str) != Some("client_credentials") {
            return oauth_error(403, "unsupported_grant_type", "Unsupported grant type");
        }
        let mut tenant = lock(&self.tenant);
        if who.client_id == self.portal.0 {
            if who.client_secret != self.portal.1 {
                return oauth_error(401, "access_denied", "Unauthorized");
            }
            if audience != format!("{}/api/v2/", self.url) {
                return oauth_error(
                    403,
                    "access_denied",
                    "Service not enabled within domain: no audience, or an unknown one",
                );
            }
            let token = secret::random(30);
            let scopes: BTreeSet<String> = MANAGEMENT_SCOPES.map(str::to_owned).into();
            tenant.tokens.insert(token.clone(), scopes);
            return Reply::json(
                200,
                &json!({"access_token": token, "token_type": "Bearer", "expires_in": 86400}),
            );
        }
        let Some(client) = tenant.clients.get(&who.client_id).filter(|client| {
            client.secret.as_deref() == Some(&who.client_secret)
                && client.members["token_endpoint_auth_method"] == who.method
        }) else {
            return oauth_error(401, "access_denied", "Unauthorized");
        };
        let grants = client.members.get("grant_types").and_then(Value::as_array);
        if !grants.is_some_and(|grants| grants.iter().any(|one| one == "client_credentials")) {
            return oauth_error(
                403,
                "unauthorized_client",
                "Grant type 'client_credentials' not allowed for the client.",
            );
        }
        let grant = tenant
            .grants
            .values()
            .find(|grant| grant.client_id == who.client_id && grant.audience == audience);
        let Some(grant) = grant else {
            let why = format!(
                "Client is not authorized to access \"{audience}\". You need to create a \"client-grant\""
            );
            return oauth_error(403, "access_denied", &why);
        };
        let asked = asked_scopes(asked);
        let scopes: Vec<String> = match asked.is_empty() {
            true => grant.scope.iter().cloned().collect(),
            false if asked.iter().all(|scope| grant.scope.contains(scope)) => asked,
            false => {
                return oauth_error(403, "access_denied", "Client has not been granted scopes");
            }
        };
        let mut claims = Map::new();
        claims.insert("aud".into(), audience.into());
        claims.insert("gty".into(), "client-credentials".into());
        self.mint.issue(&who.client_id, &scopes, claims)
    }

    fn register_openly(&self, asked: &Asked) -> Reply {
        let mut tenant = lock(&self.tenant);
        if !tenant.open {
            return oauth_error(
                404,
                "not_found",
                "Dynamic client registration is not enabled",
            );
        }
        let Some(body) = asked.object() else {
            return Reply::text(400, "text/plain", "Bad Request");
        };
        let known = [
            "client_name",
            "redirect_uris",
            "grant_types",
            "token_endpoint_auth_method",
            "response_types",
        ];
        let redirects = body.get("redirect_uris").and_then(Value::as_array);
        let method = body
            .get("token_endpoint_auth_method")
            .and_then(Value::as_str)
            .unwrap_or("client_secret_post");
        let grants = body
            .get("grant_types")
            .cloned()
            .unwrap_or_else(|| json!(["authorization_code"]));
        let fits = grants.as_array().is_some_and(|grants| {
            grants
                .iter()
                .all(|one| one == "authorization_code" || one == "refresh_token")
        });
        let sound = body.keys().all(|name| known.contains(&name.as_str()))
            && redirects.is_some_and(|list| !list.is_empty())
            && ["none", "client_secret_post"].contains(&method)
            && fits;
        if !sound {
            return Reply::text(400, "text/plain", "Bad Request");
        }
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
        tenant.clients.insert(
            id,
            Client {
                members,
                secret: with_secret,
            },
        );
        Reply::json(201, &shown)
    }

    fn managed(&self, asked: &Asked, path: &[&str]) -> Reply {
        let scope = match (asked.method.as_str(), path) {
            ("POST", ["clients"]) => "create:clients",
            ("GET", ["clients"] | ["clients", _]) => "read:clients",
            ("PATCH", ["clients", _]) => "update:clients",
            ("DELETE", ["clients", _]) => "delete:clients",
            ("POST", ["clients", _, "rotate-secret"]) => "update:client_keys",
            ("POST", ["client-grants"]) => "create:client_grants",
            ("GET", ["client-grants"]) => "read:client_grants",
            ("PATCH", ["client-grants", _]) => "update:client_grants",
            ("DELETE", ["client-grants", _]) => "delete:client_grants",
            _ => return error(404, "Not Found", "Not Found", ""),
        };
        let mut tenant = lock(&self.tenant);
        let Some(token) = asked.authorization("Bearer") else {
            return error(401, "Unauthorized", "Missing authentication", "");
        };
        match tenant.tokens.get(token) {
            None => return error(401, "Unauthorized", "Invalid token", "invalid_token"),
            Some(scopes) if !scopes.contains(scope) => {
                return error(
                    403,
                    "Forbidden",
                    &format!("Insufficient scope, expected any of: {scope}"),
                    "insufficient_scope",
                );
            }
            Some(_) => {}
        }
        match (asked.method.as_str(), path) {
            ("POST", ["clients"]) => create(&mut tenant, asked),
            ("GET", ["clients"]) => list(&tenant, asked),
            ("GET", ["clients", id]) => found(&tenant, id, false, 200),
            ("PATCH", ["clients", id]) => change(&mut tenant, id, asked),
            ("DELETE", ["clients", id]) => {
                delete(&mut tenant, id);
                Reply::empty(204)
            }
            ("POST", ["clients", id, _]) => rotate(&mut tenant, id),
            ("POST", ["client-grants"]) => self.grant(&mut tenant, asked),
            ("GET", ["client-grants"]) => grants(&tenant, asked),
            ("PATCH", ["client-grants", id]) => self.regrant(&mut tenant, id, asked),
            (_, ["client-grants", id]) => {
                tenant.grants.remove(*id);
                Reply::empty(204)
            }
            _ => error(404, "Not Found", "Not Found", ""),
        }
    }

    fn unknown(&self, scope: &BTreeSet<String>) -> Option<Reply> {
        let unknown = scope.iter().find(|scope| !self.scopes.contains(*scope))?;
        let why = format!("Scope {unknown} is not defined on the resource server");
        Some(error(
            400,
            "Bad Request",
            &why,
            "invalid_scope_on_resource_server",
        ))
    }

    fn grant(&self, tenant: &mut Tenant, asked: &Asked) -> Reply {
        let Some(body) = asked.object() else {
            return bad("Payload validation error");
        };
        let text = |member: &str| {
            body.get(member)
                .and_then(Value::as_str)
                .unwrap_or("")
                .to_owned()
        };
        let (client_id, audience) = (text("client_id"), text("audience"));
        let Some(scope) = scopes(&body) else {
            return bad("Payload validation error: 'Missing required property: scope'.");
        };
        if !tenant.clients.contains_key(&client_id) {
            return error(
                404,
                "Not Found",
                "The client does not exist",
                "inexistent_client",
            );
        }
        if audience != self.audience {
            return error(
                404,
                "Not Found",
                "The resource server does not exist",
                "inexistent_resource_server",
            );
        }
        if let Some(refused) = self.unknown(&scope) {
            return refused;
        }
        let grant = Grant {
            client_id,
            audience,
            scope,
        };
        if tenant
            .grants
            .values()
            .any(|one| one.client_id == grant.client_id && one.audience == grant.audience)
        {
            return error(
                409,
                "Conflict",
                "A resource with the same identifier already exists.",
                "client_grant_conflict",
            );
        }
        let id = format!("cgr_{}", secret::random(12));
        let reply = Reply::json(201, &shown_grant(&id, &grant));
        tenant.grants.insert(id, grant);
        reply
    }

    fn regrant(&self, tenant: &mut Tenant, id: &str, asked: &Asked) -> Reply {
        let Some(scope) = asked
            .object()
            .filter(|body| body.len() == 1)
            .as_ref()
            .and_then(scopes)
        else {
            return bad("Payload validation error");
        };
        if let Some(refused) = self.unknown(&scope) {
            return refused;
        }
        match tenant.grants.get_mut(id) {
            None => error(
                404,
                "Not Found",
                "The client grant does not exist",
                "inexistent_client_grant",
            ),
            Some(grant) => {
                grant.scope = scope;
                Reply::json(200, &shown_grant(id, grant))
            }
        }
    }
}

fn delete(tenant: &mut Tenant, id: &str) {
    tenant.clients.remove(id);
    tenant.grants.retain(|_, grant| grant.client_id != id);
}

fn scopes(body: &Map<String, Value>) -> Option<BTreeSet<String>> {
    let values = body.get("scope")?.as_array()?;
    values
        .iter()
        .map(|one| one.as_str().map(str::to_owned))
        .collect()
}

/// Why these members are not taken.
fn refused(body: &Map<String, Value>) -> Option<Reply> {
    if let Some(name) = body.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Some(bad(&format!(
            "Payload validation error: 'Additional properties not allowed: {name}'."
        )));
    }
    let text = |member: &str| body.get(member).and_then(Value::as_str);
    if text("name").is_some_and(|name| name.is_empty() || name.contains(['<', '>'])) {
        return Some(bad(
            "Payload validation error: 'String does not match pattern ^[^<>]+$' on property name.",
        ));
    }
    if text("app_type").is_some_and(|kind| !APP_TYPES.contains(&kind)) {
        return Some(bad(
            "Payload validation error: 'No enum match for app_type'.",
        ));
    }
    if text("token_endpoint_auth_method").is_some_and(|method| !AUTH_METHODS.contains(&method)) {
        return Some(bad(
            "Payload validation error: 'No enum match for token_endpoint_auth_method'.",
        ));
    }
    let metadata = body.get("client_metadata").and_then(Value::as_object);
    if metadata.is_some_and(|all| {
        all.values()
            .any(|one| one.as_str().is_none_or(|text| text.len() > 255))
    }) {
        return Some(bad(
            "Payload validation error: 'String is too long' on property client_metadata.",
        ));
    }
    None
}

fn create(tenant: &mut Tenant, asked: &Asked) -> Reply {
    let Some(mut members) = asked.object() else {
        return Reply::text(400, "text/plain", "Bad Request");
    };
    if let Some(refused) = refused(&members) {
        return refused;
    }
    if !members.contains_key("name") {
        return bad("Payload validation error: 'Missing required property: name'.");
    }
    let defaults = [
        ("token_endpoint_auth_method", json!("client_secret_post")),
        ("is_first_party", true.into()),
    ];
    for (name, value) in defaults {
        members.entry(name).or_insert(value);
    }
    let with_secret = members["token_endpoint_auth_method"] != "none";
    let id = secret::random(24);
    tenant.clients.insert(
        id.clone(),
        Client {
            members,
            secret: with_secret.then(|| secret::random(48)),
        },
    );
    found(tenant, &id, true, 201)
}

fn list(tenant: &Tenant, asked: &Asked) -> Reply {
    let number = |name: &str, default: usize| {
        asked
            .query
            .get(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (page, size) = (number("page", 0), number("per_page", 50));
    if size > 100 || page * size >= 1000 {
        return bad("Query validation error: 'You can only page through the first 1000 records.'");
    }
    let fields = asked.query.get("fields").cloned().unwrap_or_default();
    let fields: Vec<&str> = fields
        .split(',')
        .filter(|field| !field.is_empty())
        .collect();
    let clients = tenant.clients.iter().skip(page * size).take(size);
    let clients = clients.map(|(id, client)| {
        let mut members = client.members.clone();
        members.insert("client_id".into(), id.clone().into());
        members.retain(|name, _| fields.is_empty() || fields.contains(&name.as_str()));
        Value::Object(members)
    });
    Reply::json(200, &clients.collect())
}

fn found(tenant: &Tenant, id: &str, with_secret: bool, status: u16) -> Reply {
    let Some(client) = tenant.clients.get(id) else {
        return error(
            404,
            "Not Found",
            "The client does not exist",
            "inexistent_client",
        );
    };
    let mut members = client.members.clone();
    members.insert("client_id".into(), id.into());
    members.insert("tenant".into(), "double".into());
    members.insert("global".into(), false.into());
    if let Some(secret) = client.secret.as_ref().filter(|_| with_secret) {
        members.insert("client_secret".into(), secret.clone().into());
    }
    Reply::json(status, &members.into())
}

fn change(tenant: &mut Tenant, id: &str, asked: &Asked) -> Reply {
    let Some(changes) = asked.object() else {
        return Reply::text(400, "text/plain", "Bad Request");
    };
    if let Some(refused) = refused(&changes) {
        return refused;
    }
    if let Some(client) = tenant.clients.get_mut(id) {
        client.members.extend(changes);
    }
    found(tenant, id, true, 200)
}

fn rotate(tenant: &mut Tenant, id: &str) -> Reply {
    if let Some(client) = tenant.clients.get_mut(id) {
        client.secret = Some(secret::random(48));
    }
    found(tenant, id, true, 200)
}

fn grants(tenant: &Tenant, asked: &Asked) -> Reply {
    let fits = |name: &str, value: &str| asked.query.get(name).is_none_or(|asked| asked == value);
    let found = tenant.grants.iter().filter(|(_, grant)| {
        fits("client_id", &grant.client_id) && fits("audience", &grant.audience)
    });
    Reply::json(
        200,
        &found.map(|(id, grant)| shown_grant(id, grant)).collect(),
    )
}

fn shown_grant(id: &str, grant: &Grant) -> Value {
    json!({"id": id, "client_id": grant.client_id, "audience": grant.audience, "scope": grant.scope})
}

fn bad(message: &str) -> Reply {
    error(400, "Bad Request", message, "invalid_body")
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
