//! The clients of the Management API.

use serde_json::{Map, Value, json};

use super::{Auth0, Client, Tenant, bad, error};
use crate::doubles::stage::{ReceivedRequest, Reply, lock};
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
    pub(super) fn managed(&self, asked: &ReceivedRequest, path: &[&str]) -> Reply {
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
            ("GET", ["client-grants"]) => super::grants::list(&tenant, asked),
            ("PATCH", ["client-grants", id]) => self.regrant(&mut tenant, id, asked),
            (_, ["client-grants", id]) => {
                tenant.grants.remove(*id);
                Reply::empty(204)
            }
            _ => error(404, "Not Found", "Not Found", ""),
        }
    }
}

/// A client and its grants.
pub(super) fn delete(tenant: &mut Tenant, id: &str) {
    tenant.clients.remove(id);
    tenant.grants.retain(|_, grant| grant.client_id != id);
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

fn create(tenant: &mut Tenant, asked: &ReceivedRequest) -> Reply {
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

fn list(tenant: &Tenant, asked: &ReceivedRequest) -> Reply {
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

fn change(tenant: &mut Tenant, id: &str, asked: &ReceivedRequest) -> Reply {
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
