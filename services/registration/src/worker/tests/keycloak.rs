//! The worker with a provider that takes chosen ids: exactly one client, whatever happens. The provider is a
//! double of what was measured on Keycloak 26.7.3; the journeys have a real one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::world::{World, set};
use crate::oauth_client::{Access, Command, OWNER, OauthClient, RotationCommand};
use crate::providers::double::{Reply, Seen, Server, reply};

const PATH: &str = "/realms/r/clients-registrations/";

#[derive(Clone, Default)]
struct Keycloak(Arc<Mutex<Realm>>);

#[derive(Default)]
struct Realm {
    clients: BTreeMap<String, Map<String, Value>>,
    tokens: u32,
    posts: u32,
    /// Does what is asked, and answers so instead.
    answer_instead: Option<u16>,
    /// The next registration comes in twice, as by a proxy that tries again.
    doubled: bool,
    /// Does every update and answers 500; tokens stay, as with the client policy that has them not rotated.
    loses_updates: bool,
    /// Does not do what the next client asks with its own credentials, and answers so.
    busy: Option<u16>,
}

impl Keycloak {
    fn answer(&self, seen: &Seen) -> Reply {
        let mut realm = self.0.lock().unwrap();
        let answer = realm.answer(seen);
        match realm.answer_instead.take() {
            Some(status) => reply(status, json!({})),
            None => answer,
        }
    }

    fn clients(&self) -> Vec<Map<String, Value>> {
        self.0.lock().unwrap().clients.values().cloned().collect()
    }

    fn only(&self) -> Map<String, Value> {
        let clients = self.clients();
        assert_eq!(clients.len(), 1, "{clients:?}");
        clients[0].clone()
    }

    fn posts(&self) -> u32 {
        self.0.lock().unwrap().posts
    }
}

impl Realm {
    fn answer(&mut self, seen: &Seen) -> Reply {
        let path = seen
            .target
            .strip_prefix(PATH)
            .unwrap_or_default()
            .to_owned();
        match (seen.method.as_str(), path.split_once('/')) {
            ("POST", None) => {
                if std::mem::take(&mut self.doubled) {
                    self.register(seen.json());
                }
                self.register(seen.json())
            }
            ("GET", Some(("install", id))) => match self.busy.take() {
                Some(status) => reply(status, json!({})),
                None => self.install(id, seen.authorization()),
            },
            (method, Some(("default", id))) => {
                let token = seen.authorization().trim_start_matches("Bearer ");
                let known = self
                    .clients
                    .get(id)
                    .map(|client| client["registrationAccessToken"].clone());
                if known != Some(token.into()) {
                    return reply(401, json!({"error": "invalid_token"}));
                }
                match method {
                    "GET" => reply(200, self.clients[id].clone().into()),
                    "PUT" => self.update(id, seen.json()),
                    _ => {
                        self.clients.remove(id);
                        reply(204, Value::Null)
                    }
                }
            }
            _ => reply(404, json!({})),
        }
    }

    fn register(&mut self, body: Value) -> Reply {
        self.posts += 1;
        let Value::Object(mut client) = body else {
            return reply(400, json!({}));
        };
        let id = client["clientId"].as_str().unwrap().to_owned();
        if self.clients.contains_key(&id) {
            let words = "Client Identifier in use";
            return reply(
                400,
                json!({"error": "invalid_client_metadata", "error_description": words}),
            );
        }
        client.insert("registrationAccessToken".into(), self.token());
        self.clients.insert(id, client.clone());
        reply(201, client.into())
    }

    fn update(&mut self, id: &str, body: Value) -> Reply {
        let lost = self.loses_updates;
        let token = match lost {
            true => self.clients[id]["registrationAccessToken"].clone(),
            false => self.token(),
        };
        let client = self.clients.get_mut(id).unwrap();
        if let Value::Object(body) = body {
            client.extend(body);
        }
        client.insert("registrationAccessToken".into(), token);
        match lost {
            true => reply(500, json!({})),
            false => reply(200, client.clone().into()),
        }
    }

    fn install(&self, id: &str, authorization: &str) -> Reply {
        let Some(client) = self.clients.get(id) else {
            return reply(
                401,
                json!({"error_description": "Not authorized to view client"}),
            );
        };
        let pair = format!("{id}:{}", client["secret"].as_str().unwrap());
        match authorization == format!("Basic {}", BASE64_STANDARD.encode(pair)) {
            true => reply(200, json!({})),
            false => reply(
                401,
                json!({"error_description": "Failed to authenticate client"}),
            ),
        }
    }

    fn token(&mut self) -> Value {
        self.tokens += 1;
        format!("registration-access-token-{}", self.tokens).into()
    }
}

async fn start() -> (World, Keycloak, Server) {
    let keycloak = Keycloak::default();
    let behave = keycloak.clone();
    let server = Server::start(move |seen| behave.answer(seen)).await;
    let mut world = World::start().await;
    world.use_keycloak(&server.base).await;
    (world, keycloak, server)
}

async fn secret(world: &World) -> String {
    let client = world.client().await;
    let owner = portico_vault::Owner::new(OWNER, world.id());
    let reference = client.live().unwrap().answer.secret_ref.unwrap();
    world
        .vault
        .get(&owner, &reference)
        .await
        .unwrap()
        .unwrap()
        .expose()
        .to_owned()
}

#[tokio::test]
async fn from_the_first_approval_to_the_last_revocation() {
    let (mut world, keycloak, _server) = start().await;
    let first = world.approve("pay", "free").await;
    world.until_done(first).await;
    let there = keycloak.only();
    assert_eq!(
        there["optionalClientScopes"],
        json!(["free_plan", "product_pay"])
    );
    assert_eq!(there["secret"].as_str().unwrap(), secret(&world).await);
    let second = world.approve("ship", "free").await;
    world.until_done(second).await;
    let scopes = json!(["free_plan", "product_pay", "product_ship"]);
    assert_eq!(keycloak.only()["optionalClientScopes"], scopes);
    world.revoke(first).await;
    world.until_ended(first).await;
    assert_eq!(
        keycloak.only()["optionalClientScopes"],
        json!(["free_plan", "product_ship"])
    );
    world.revoke(second).await;
    world.until_ended(second).await;
    assert!(keycloak.clients().is_empty());
    assert_eq!(keycloak.posts(), 1);
}

#[tokio::test]
async fn a_lost_answer_ends_in_the_one_client_that_was_made() {
    let (mut world, keycloak, _server) = start().await;
    keycloak.0.lock().unwrap().answer_instead = Some(500);
    let request = world.approve("pay", "free").await;
    let client = world.until_done(request).await;
    let there = keycloak.only();
    assert_eq!(
        there["clientId"].as_str().unwrap(),
        client.live().unwrap().answer.client_id
    );
    assert_eq!(there["secret"].as_str().unwrap(), secret(&world).await);
    // The second one said that it is in use, so it is ours.
    assert_eq!(keycloak.posts(), 2);
    assert_eq!(
        world.texts("SELECT marker FROM orphans").await,
        [] as [&str; 0]
    );
}

/// The second access is taken back before anybody knows what became of the update that gave it.
#[tokio::test]
async fn a_scope_that_may_have_been_given_is_taken_back() {
    let (mut world, keycloak, _server) = start().await;
    let first = world.approve("pay", "free").await;
    world.until_done(first).await;
    keycloak.0.lock().unwrap().loses_updates = true;
    let second = world.approve("ship", "free").await;
    let given = |client: &OauthClient| client.delay.is_some();
    world.until("an update without an outcome", given).await;
    let both = json!(["free_plan", "product_pay", "product_ship"]);
    assert_eq!(keycloak.only()["optionalClientScopes"], both);
    world.revoke(second).await;
    let revoked = move |client: &OauthClient| client.grants[&second].access == Access::Revoked;
    world.until("revoked", revoked).await;
    keycloak.0.lock().unwrap().loses_updates = false;
    world.until_ended(second).await;
    assert_eq!(
        keycloak.only()["optionalClientScopes"],
        json!(["free_plan", "product_pay"])
    );
}

#[tokio::test]
async fn a_failed_look_at_what_is_there_does_not_end_the_attempt() {
    let (mut world, keycloak, _server) = start().await;
    {
        let mut realm = keycloak.0.lock().unwrap();
        (realm.doubled, realm.busy) = (true, Some(503));
    }
    let request = world.approve("pay", "free").await;
    let client = world.until_done(request).await;
    assert_eq!(
        keycloak.only()["clientId"].as_str().unwrap(),
        client.live().unwrap().answer.client_id
    );
    assert!(keycloak.0.lock().unwrap().busy.is_none(), "it was asked");
}

#[tokio::test]
async fn a_secret_is_rotated_and_the_old_one_is_forgotten() {
    let (mut world, keycloak, _server) = start().await;
    let request = world.approve("pay", "free").await;
    world.until_done(request).await;
    world.confirm_activation().await;
    let before = secret(&world).await;
    let owner = portico_vault::Owner::new(OWNER, world.id());
    let chosen = crate::worker::random_secret();
    let secret_ref = world.vault.put(&owner, &chosen).await.unwrap();
    let command = Command::Rotation(RotationCommand::Intend { secret_ref });
    world
        .execute::<crate::oauth_client::OauthClient>(world.id(), &command)
        .await;
    world
        .until("rotated", move |client| {
            client
                .live()
                .is_some_and(|live| live.answer.secret_ref == Some(secret_ref))
        })
        .await;
    assert_ne!(before, chosen.expose());
    assert_eq!(keycloak.only()["secret"].as_str().unwrap(), chosen.expose());
    let left = world
        .until("at rest", |client| {
            client.live().is_some_and(|live| live.operation.is_none())
        })
        .await;
    assert_eq!(left.scopes(), set(&["product_pay", "free_plan"]));
    // The new registration access token works.
    world.revoke(request).await;
    world.until_ended(request).await;
    assert!(keycloak.clients().is_empty());
}
