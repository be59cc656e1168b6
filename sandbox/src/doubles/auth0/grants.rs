//! The client grants of the Management API: which scopes of an API a client may have.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Auth0, Grant, Tenant, bad, error, missing, missing_client};
use crate::doubles::stage::{Answer, ReceivedRequest, Reply};
use crate::secret;

impl Grant {
    fn read(body: &Map<String, Value>) -> Result<Self, Reply> {
        let text = |member: &str| {
            let value = body.get(member).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        Ok(Self {
            client_id: text("client_id"),
            audience: text("audience"),
            scope: scopes(body).ok_or_else(|| bad("Missing required property: scope"))?,
        })
    }
}

impl Auth0 {
    fn check(&self, scope: &BTreeSet<String>) -> Result<(), Reply> {
        let Some(unknown) = scope.iter().find(|scope| !self.scopes.contains(*scope)) else {
            return Ok(());
        };
        let why = format!("Scope {unknown} is not defined on the resource server");
        let code = "invalid_scope_on_resource_server";
        Err(error(400, "Bad Request", &why, code))
    }

    pub(super) fn grant(&self, tenant: &mut Tenant, asked: &ReceivedRequest) -> Answer {
        let body = asked.object().ok_or_else(|| bad("Expected an object"))?;
        let grant = Grant::read(&body)?;
        if !tenant.clients.contains_key(&grant.client_id) {
            return Err(missing_client());
        }
        if grant.audience != self.audience {
            return Err(missing("resource server", "inexistent_resource_server"));
        }
        self.check(&grant.scope)?;
        let same = |one: &Grant| one.client_id == grant.client_id && one.audience == grant.audience;
        if tenant.grants.values().any(same) {
            let why = "A resource with the same identifier already exists.";
            return Err(error(409, "Conflict", why, "client_grant_conflict"));
        }
        let id = format!("cgr_{}", secret::random(12));
        let reply = Reply::json(201, &shown_grant(&id, &grant));
        tenant.grants.insert(id, grant);
        Ok(reply)
    }

    pub(super) fn regrant(&self, tenant: &mut Tenant, id: &str, asked: &ReceivedRequest) -> Answer {
        let body = asked.object().filter(|body| body.len() == 1);
        let scope = body
            .as_ref()
            .and_then(scopes)
            .ok_or_else(|| bad("Expected an object"))?;
        self.check(&scope)?;
        let grant = tenant.grants.get_mut(id);
        let grant = grant.ok_or_else(|| missing("client grant", "inexistent_client_grant"))?;
        grant.scope = scope;
        Ok(Reply::json(200, &shown_grant(id, grant)))
    }
}

/// Those of a client, or of an API.
pub(super) fn list(tenant: &Tenant, asked: &ReceivedRequest) -> Reply {
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

fn scopes(body: &Map<String, Value>) -> Option<BTreeSet<String>> {
    let values = body.get("scope")?.as_array()?;
    values
        .iter()
        .map(|one| one.as_str().map(str::to_owned))
        .collect()
}
