//! The client grants of the Management API: which scopes of an API a client may have.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Auth0, Grant, Tenant, bad, error};
use crate::doubles::stage::{ReceivedRequest, Reply};
use crate::secret;

impl Auth0 {
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

    pub(super) fn grant(&self, tenant: &mut Tenant, asked: &ReceivedRequest) -> Reply {
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

    pub(super) fn regrant(&self, tenant: &mut Tenant, id: &str, asked: &ReceivedRequest) -> Reply {
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
