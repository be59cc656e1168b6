//! The clients of the Management API.

use serde_json::{Map, Value, json};

use super::{Auth0, Client, Tenant, bad, bad_request, error, missing_client};
use crate::doubles::stage::{Answer, ReceivedRequest, Reply, lock};
use crate::secret;

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

impl Auth0 {
    /// A call with a token that has the scope for it.
    pub(super) fn managed(&self, asked: &ReceivedRequest, path: &[&str]) -> Answer {
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
            _ => return Err(error(404, "Not Found", "Not Found", "")),
        };
        let mut tenant = lock(&self.tenant);
        let unauthorized = |why: &str, code: &str| error(401, "Unauthorized", why, code);
        let token = asked.authorization("Bearer");
        let token = token.ok_or_else(|| unauthorized("Missing authentication", ""))?;
        let scopes = tenant.tokens.get(token);
        let scopes = scopes.ok_or_else(|| unauthorized("Invalid token", "invalid_token"))?;
        if !scopes.contains(scope) {
            let why = format!("Insufficient scope, expected any of: {scope}");
            return Err(error(403, "Forbidden", &why, "insufficient_scope"));
        }
        match (asked.method.as_str(), path) {
            ("POST", ["clients"]) => create(&mut tenant, asked),
            ("GET", ["clients"]) => list(&tenant, asked),
            ("GET", ["clients", id]) => found(&tenant, id, false, 200),
            ("PATCH", ["clients", id]) => change(&mut tenant, id, asked),
            ("DELETE", ["clients", id]) => {
                delete(&mut tenant, id);
                Ok(Reply::empty(204))
            }
            ("POST", ["clients", id, _]) => rotate(&mut tenant, id),
            ("POST", ["client-grants"]) => self.grant(&mut tenant, asked),
            ("GET", ["client-grants"]) => Ok(super::grants::list(&tenant, asked)),
            ("PATCH", ["client-grants", id]) => self.regrant(&mut tenant, id, asked),
            (_, ["client-grants", id]) => {
                tenant.grants.remove(*id);
                Ok(Reply::empty(204))
            }
            _ => Err(error(404, "Not Found", "Not Found", "")),
        }
    }
}

/// A client and its grants.
pub(super) fn delete(tenant: &mut Tenant, id: &str) {
    tenant.clients.remove(id);
    tenant.grants.retain(|_, grant| grant.client_id != id);
}

/// Whether these members are taken.
fn check(body: &Map<String, Value>) -> Result<(), Reply> {
    if let Some(name) = body.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        let why = format!("Additional properties not allowed: {name}");
        return Err(bad(&why));
    }
    let text = |member: &str| body.get(member).and_then(Value::as_str);
    let unknown =
        |member: &str, known: &[&str]| text(member).is_some_and(|word| !known.contains(&word));
    let too_long = |one: &Value| one.as_str().is_none_or(|text| text.len() > 255);
    let metadata = body.get("client_metadata").and_then(Value::as_object);
    let why = if text("name").is_some_and(|name| name.is_empty() || name.contains(['<', '>'])) {
        "String does not match pattern ^[^<>]+$ on property name"
    } else if unknown("app_type", &APP_TYPES) {
        "No enum match for app_type"
    } else if unknown("token_endpoint_auth_method", &AUTH_METHODS) {
        "No enum match for token_endpoint_auth_method"
    } else if metadata.is_some_and(|all| all.values().any(too_long)) {
        "String is too long on property client_metadata"
    } else {
        return Ok(());
    };
    Err(bad(why))
}

fn create(tenant: &mut Tenant, asked: &ReceivedRequest) -> Answer {
    let mut members = asked.object().ok_or_else(bad_request)?;
    check(&members)?;
    if !members.contains_key("name") {
        return Err(bad("Missing required property: name"));
    }
    let defaults = [
        ("token_endpoint_auth_method", json!("client_secret_post")),
        ("is_first_party", true.into()),
    ];
    for (name, value) in defaults {
        members.entry(name).or_insert(value);
    }
    let with_secret = members["token_endpoint_auth_method"] != "none";
    let secret = with_secret.then(|| secret::random(48));
    let id = secret::random(24);
    tenant
        .clients
        .insert(id.clone(), Client { members, secret });
    found(tenant, &id, true, 201)
}

fn list(tenant: &Tenant, asked: &ReceivedRequest) -> Answer {
    let number = |name: &str, default: usize| {
        let text = asked.query.get(name);
        text.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (page, size) = (number("page", 0), number("per_page", 50));
    if size > 100 || page * size >= 1000 {
        let why = "Query validation error: 'You can only page through the first 1000 records.'";
        return Err(error(400, "Bad Request", why, "invalid_body"));
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
    Ok(Reply::json(200, &clients.collect()))
}

fn found(tenant: &Tenant, id: &str, with_secret: bool, status: u16) -> Answer {
    let client = tenant.clients.get(id).ok_or_else(missing_client)?;
    let mut members = client.members.clone();
    members.insert("client_id".into(), id.into());
    members.insert("tenant".into(), "double".into());
    members.insert("global".into(), false.into());
    if let Some(secret) = client.secret.as_ref().filter(|_| with_secret) {
        members.insert("client_secret".into(), secret.clone().into());
    }
    Ok(Reply::json(status, &members.into()))
}

fn change(tenant: &mut Tenant, id: &str, asked: &ReceivedRequest) -> Answer {
    let changes = asked.object().ok_or_else(bad_request)?;
    check(&changes)?;
    if let Some(client) = tenant.clients.get_mut(id) {
        client.members.extend(changes);
    }
    found(tenant, id, true, 200)
}

fn rotate(tenant: &mut Tenant, id: &str) -> Answer {
    if let Some(client) = tenant.clients.get_mut(id) {
        client.secret = Some(secret::random(48));
    }
    found(tenant, id, true, 200)
}
