//! A provider's list of clients that has no measure, no end or no truth in it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use portico_eventstore::testing::assert_equal_a_rebuild;
use serde_json::{Value, json};
use uuid::Uuid;

use super::world::{TOKEN, World, set};
use crate::client_metadata::Marker;
use crate::identity_provider::IdentityProvider;
use crate::oauth_client::{
    Command, OauthClient, OrphanCommand, OrphanReason, Resolution, Resolved, UnknownClient,
};
use crate::providers::double::{Reply, Seen, Server, reply};
use crate::providers::{Access, Failure, access};
use crate::worker::unknown::UnknownClients;

/// Clients of other people.
const FOREIGN: usize = 4500;
const PAGE: usize = 200;

fn marker(number: u128) -> String {
    format!("{}.1", Uuid::from_u128(number))
}

fn client(id: &str, name: &str) -> Value {
    json!({"client_id": id, "client_name": name, "application_type": "service"})
}

fn marked(id: &str, number: u128) -> Value {
    client(id, &format!("An app [{}]", marker(number)))
}

/// Lists these clients as Okta does, page by page.
async fn listing(clients: Vec<Value>) -> Server {
    Server::start(move |seen| page(seen, &clients)).await
}

fn page(seen: &Seen, clients: &[Value]) -> Reply {
    let after = seen.target.split("after=").nth(1);
    let first: usize = after.map_or(0, |after| after.parse().unwrap());
    let last = (first + PAGE).min(clients.len());
    let Reply(status, mut headers, body) = reply(200, clients[first..last].into());
    if last < clients.len() {
        let host = seen.headers["host"].to_str().unwrap();
        let next = format!("<http://{host}/oauth2/v1/clients?after={last}>; rel=\"next\"");
        headers.push(("link", next));
    }
    Reply(status, headers, body)
}

async fn world(server: &Server) -> World {
    let mut world = World::prepare().await;
    world.use_okta(&server.base).await;
    world
}

async fn opened(world: &World) -> Access {
    let provider = world.store.load::<IdentityProvider>(world.provider_id);
    let provider = provider.await.unwrap().state;
    access::open(&world.deps, &world.vault, world.provider_id, &provider)
        .await
        .unwrap()
}

async fn search(world: &World, after: Option<String>) -> Result<UnknownClients, Failure> {
    let (worker, access) = (world.worker(), opened(world).await);
    worker.unknown_clients(&access, after).await.unwrap()
}

fn ids(found: &UnknownClients) -> Vec<&str> {
    let ids = found.clients.iter().map(|one| one.client_id.as_str());
    ids.collect()
}

/// Makes a client known here as an orphan; `resolution`: what came of it.
async fn list_known(world: &World, client_id: &str, resolution: Option<Resolution>) {
    let unknown = UnknownClient {
        marker: client_id.to_owned(),
        client_id: client_id.to_owned(),
        identity_provider_id: world.provider_id,
        scopes: BTreeSet::new(),
    };
    let list = Command::Orphan(OrphanCommand::List(unknown));
    world.execute::<OauthClient>(world.id(), &list).await;
    if let Some(how) = resolution {
        let resolve = Command::Orphan(OrphanCommand::Resolve(Resolved {
            marker: client_id.to_owned(),
            how,
            note: None,
        }));
        world.execute::<OauthClient>(world.id(), &resolve).await;
    }
}

#[tokio::test]
async fn two_of_ours_are_found_among_thousands_of_others_clients() {
    let mut clients: Vec<Value> = (0..FOREIGN)
        .map(|number| client(&format!("foreign-{number}"), "Somebody else's [1.2]"))
        .collect();
    clients[0] = marked("ours-1", 1);
    // Once more on the next page, as when others come and go between two pages.
    clients[PAGE + 3] = marked("ours-1", 1);
    clients[FOREIGN - 1] = marked("ours-2", 2);
    let server = listing(clients).await;
    let world = world(&server).await;
    let first = search(&world, None).await.unwrap();
    assert_eq!((ids(&first), first.looked_at), (vec!["ours-1"], 20 * PAGE));
    let second = search(&world, first.next).await.unwrap();
    assert_eq!(ids(&second), ["ours-2"]);
    assert_eq!((second.looked_at, second.next), (FOREIGN - 20 * PAGE, None));
    assert_eq!(second.clients[0].marker.to_string(), marker(2));
}

#[tokio::test]
async fn what_is_known_or_cannot_be_kept_is_not_found() {
    let clients = vec![
        marked("listed", 1),
        marked("dismissed", 2),
        marked("said to be deleted", 3),
        marked("a\r\nb", 4),
        marked(&format!("has-{TOKEN}"), 5),
        marked(&"x".repeat(2000), 6),
        client("no-marker", "An app [shop.1]"),
        client("no-name", ""),
        json!({"client_name": format!("An app [{}]", marker(7))}),
        json!("no object"),
        marked("unknown", 8),
    ];
    let server = listing(clients).await;
    let world = world(&server).await;
    for (client_id, resolution) in [
        ("listed", None),
        ("dismissed", Some(Resolution::Dismissed)),
        ("said to be deleted", Some(Resolution::Deleted)),
    ] {
        list_known(&world, client_id, resolution).await;
    }
    let found = search(&world, None).await.unwrap();
    assert_eq!(ids(&found), ["said to be deleted", "unknown"]);
    assert_eq!((found.looked_at, found.undecided), (11, 0));
}

/// It may be the very registration that is under way.
#[tokio::test]
async fn a_client_whose_stream_is_changing_is_not_decided() {
    let listed = Arc::new(Mutex::new(json!([])));
    let shown = Arc::clone(&listed);
    let server = Server::start(move |_| reply(200, shown.lock().unwrap().clone())).await;
    let world = world(&server).await;
    let name = format!("An app [{}.1]", world.id());
    *listed.lock().unwrap() = json!([client("perhaps", &name), marked("unknown", 1)]);
    list_known(&world, "another", None).await;
    let found = search(&world, None).await.unwrap();
    assert_eq!((ids(&found), found.undecided), (vec!["unknown"], 1));
}

#[tokio::test]
async fn a_page_that_fails_takes_nothing_of_the_pages_before() {
    let mut clients: Vec<Value> = (0..3 * PAGE)
        .map(|number| client(&format!("foreign-{number}"), "Another"))
        .collect();
    clients[7] = marked("ours", 1);
    let server = Server::start(move |seen| match seen.target.ends_with("after=400") {
        true => reply(500, json!({})),
        false => page(seen, &clients),
    })
    .await;
    let world = world(&server).await;
    let found = search(&world, None).await.unwrap();
    assert_eq!((ids(&found), found.looked_at), (vec!["ours"], 2 * PAGE));
    // Whoever goes on hears why there is no more.
    let failure = search(&world, found.next).await.unwrap_err();
    assert_eq!(failure.status, Some(500));
}

#[tokio::test]
async fn a_list_without_an_end_ends_and_no_token_leaves_the_provider() {
    let server = Server::start(|seen| {
        let host = seen.headers["host"].to_str().unwrap();
        let next = format!("<http://{host}/oauth2/v1/clients?after=0>; rel=\"next\"");
        let Reply(status, mut headers, body) = reply(200, json!([marked("ours", 1)]));
        headers.push(("link", next));
        Reply(status, headers, body)
    })
    .await;
    let world = world(&server).await;
    let found = search(&world, None).await.unwrap();
    assert_eq!((ids(&found), found.looked_at), (vec!["ours"], 20));
    assert!(found.next.is_some());
    let elsewhere = Server::start(|_| reply(200, json!([]))).await;
    let after = format!("{}/oauth2/v1/clients", elsewhere.base);
    let failure = search(&world, Some(after)).await.unwrap_err();
    assert_eq!(failure.code, "endpoint_foreign_origin");
    assert!(elsewhere.seen().is_empty());
}

/// Two clients with one marker, of which nothing else is known here.
#[tokio::test]
async fn unknown_clients_are_listed_each_for_itself_and_once() {
    let server = Server::start(|_| reply(200, json!([]))).await;
    let world = world(&server).await;
    let marker = Marker::parse(&marker(1)).unwrap();
    let stream = Uuid::from_u128(1);
    for client_id in ["one", "two", "one"] {
        let unknown = UnknownClient {
            marker: UnknownClient::listed_as(&marker, client_id),
            client_id: client_id.to_owned(),
            identity_provider_id: world.provider_id,
            scopes: set(&["product_pay"]),
        };
        let list = Command::Orphan(OrphanCommand::List(unknown));
        world.execute::<OauthClient>(stream, &list).await;
    }
    let client = world.store.load::<OauthClient>(stream).await.unwrap().state;
    assert_eq!(client.identity_provider_id, world.provider_id);
    assert_eq!(client.orphans.len(), 2);
    for (listed, orphan) in &client.orphans {
        assert!(listed.starts_with(&marker.to_string()), "{listed}");
        assert_eq!(orphan.reason, OrphanReason::UnknownClient);
    }
    let rows = "SELECT client_id FROM orphans WHERE reason = 'unknown_client' ORDER BY client_id";
    assert_eq!(world.texts(rows).await, ["one", "two"]);
    assert_equal_a_rebuild(&world.store).await;
}
