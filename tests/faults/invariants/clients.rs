//! I2: at most one live client for each application and provider; every other one is listed as a suspected orphan.
//! And what the developers have works: a token with the scopes of what is active, and of nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    provider::Provider,
    world::{Portal, World},
};

pub(super) async fn at_most_one_for_each_application(world: &World, portal: &Portal) {
    let sql = "SELECT application_id, client_id, CAST(live AS TEXT) FROM oauth_clients";
    let mut known = BTreeMap::new();
    for row in world.stores.rows("registration", sql).await {
        let before = known.insert(row[0].clone(), row[1].clone());
        assert_eq!(before, None, "I2: two clients of application {}", row[0]);
        let scopes = portal.ledger.scopes();
        let wanted = scopes.get(&row[0]).is_some_and(|scopes| !scopes.is_empty());
        assert_eq!(
            row[2] == "1",
            wanted,
            "I2: client of application {}: {row:?}",
            row[0]
        );
    }
    if let Provider::Okta(org) = &world.provider {
        let (secrets, clients) = (org.double().secrets(), org.double().client_count());
        assert_eq!(secrets.len(), clients, "I2: an old secret still works");
    }
    let known: BTreeSet<String> = known.into_values().collect();
    let orphans: BTreeSet<String> = world
        .stores
        .rows("registration", "SELECT marker FROM orphans")
        .await
        .into_iter()
        .map(|mut row| row.remove(0))
        .collect();
    for client in at_provider(world).await {
        assert!(
            known.contains(&client.id) || orphans.contains(&client.marker),
            "I2: client {} with the marker {} is at the provider and nobody knows it; orphans: {orphans:?}",
            client.id,
            client.marker
        );
    }
}

struct AtProvider {
    id: String,
    marker: String,
}

async fn at_provider(world: &World) -> Vec<AtProvider> {
    match &world.provider {
        Provider::Sandbox(provider) => provider
            .clients()
            .into_iter()
            .map(|client| {
                // A client that was updated with another's metadata has none.
                let text = |member: &str| {
                    let value = client.metadata.others.get(member);
                    value
                        .and_then(|value| value.as_str())
                        .unwrap_or_default()
                        .to_owned()
                };
                AtProvider {
                    marker: format!("{}.{}", text("software_id"), text("software_version")),
                    id: client.client_id,
                }
            })
            .collect(),
        Provider::Keycloak(keycloak) => keycloak
            .clients()
            .await
            .into_iter()
            .map(|client| AtProvider {
                id: client["clientId"].as_str().unwrap().to_owned(),
                marker: String::new(),
            })
            .collect(),
        Provider::Okta(org) => org
            .double()
            .client_ids()
            .into_iter()
            .map(|id| AtProvider {
                id,
                marker: String::new(),
            })
            .collect(),
    }
}

/// As the developer would use them.
pub(super) async fn credentials_work(world: &World, portal: &Portal) {
    let all: BTreeSet<String> = portal.ledger.scopes().into_values().flatten().collect();
    for (application, scopes) in portal.ledger.scopes() {
        let path = format!("/api/v1/applications/{application}/credentials");
        let answer = portal.developer.get(&path).await;
        if scopes.is_empty() {
            assert_eq!(
                answer.status, 409,
                "credentials of nothing: {}",
                answer.body
            );
            continue;
        }
        let credentials = answer.expect(200);
        let joined = |scopes: &BTreeSet<String>| Vec::from_iter(scopes.iter().cloned()).join(" ");
        let (status, body) = token(world, &credentials, &joined(&scopes)).await;
        assert_eq!(status, 200, "no token for {scopes:?}: {body}");
        if let Some(other) = all.difference(&scopes).next()
            && world.provider.limits_scopes()
        {
            let (status, body) = token(world, &credentials, other).await;
            assert_eq!(
                status, 400,
                "a token for {other}, which was not granted: {body}"
            );
        }
    }
}

async fn token(world: &World, credentials: &Value, scope: &str) -> (u16, Value) {
    let text = |member: &str| credentials[member].as_str().unwrap_or_default();
    if let Provider::Keycloak(keycloak) = &world.provider {
        return keycloak
            .token(text("client_id"), text("client_secret"), scope)
            .await;
    }
    let response = portico_sandbox::outgoing::http_client()
        .unwrap()
        .post(text("token_endpoint"))
        .basic_auth(text("client_id"), Some(text("client_secret")))
        .form(&[("grant_type", "client_credentials"), ("scope", scope)])
        .send()
        .await
        .unwrap();
    (
        response.status().as_u16(),
        response.json().await.unwrap_or_default(),
    )
}
