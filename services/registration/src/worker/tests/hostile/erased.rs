//! What it has of an application that was erased meanwhile: whose a client is, is told by its mark and by nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::Method;
use portico_proto::access::v1 as access;
use portico_sandbox::doubles::Handle;
use portico_sandbox::doubles::okta::Okta;
use portico_vault::Secret;
use tonic::{Request, Status};
use tower::ServiceExt as _;

use super::*;
use crate::application::Application;
use crate::grpc::clients::tests::{AnswerOf, method};
use crate::oauth_client::{Access, GrantCommand, Requested};
use crate::worker::tests::texts::kept;
use crate::worker::tests::world::{PETRAS, profile_of, profiles, set};
use crate::worker::{ClaimedClient, OrphanAction};

/// As access-request calls every erased one.
const ERASED: &str = "Erased application";

/// An access-request that knows the application's texts so many times, and then that they are erased.
#[derive(Clone)]
struct Erasing {
    known: usize,
    asked: Arc<AtomicUsize>,
}

impl AnswerOf<access::GetApplicationProfileRequest> for Erasing {
    type Answer = access::ApplicationProfile;

    fn answer(
        &self,
        _: &Request<access::GetApplicationProfileRequest>,
    ) -> Result<access::ApplicationProfile, Status> {
        let erased = self.asked.fetch_add(1, Ordering::Relaxed) >= self.known;
        let name = if erased { ERASED } else { PETRAS };
        Ok(access::ApplicationProfile {
            name: name.to_owned(),
            redirect_urls: Vec::new(),
            erased,
        })
    }
}

fn erased_after(known: usize) -> Router {
    let asked = Arc::default();
    let path = "/portico.access.v1.AccessService/GetApplicationProfile";
    Router::new().route(
        path,
        method::<access::GetApplicationProfileRequest, _>(Erasing { known, asked }),
    )
}

/// An access-request that is asked for the texts, and something happens before its answer is there.
fn meanwhile(world: &World, command: Command) -> Router {
    let (store, id, context) = (world.store.clone(), world.id(), world.context());
    let happen = move |request: axum::extract::Request| {
        let (store, command, context) = (store.clone(), command.clone(), context.clone());
        async move {
            let done = store.execute::<OauthClient>(id, &command, &context).await;
            done.unwrap();
            profiles().oneshot(request).await
        }
    };
    Router::new().fallback_service(tower::service_fn(happen))
}

async fn resolve(
    world: &World,
    marker: &str,
    action: OrphanAction,
    claimed: &ClaimedClient,
) -> Result<(), portico_proto::Error> {
    let (worker, context) = (world.worker(), world.context());
    let done = worker.resolve_orphan(world.id(), marker, action, claimed, &context);
    done.await.unwrap()
}

/// A client at Okta whose registration got no answer, and that no search has found: parked and listed.
async fn parked() -> (Handle<Okta>, World, String) {
    let (org, mut world) = super::search::with(World::start_with_tries(2).await).await;
    world.name = PETRAS;
    org.lose_next(Method::POST, super::search::CLIENTS);
    super::search::finds_nothing(&org, 4);
    let request = world.approve("pay", "free").await;
    let client = world.until("failed", has_failed(request)).await;
    let (marker, _) = client.orphans.iter().next().unwrap();
    (org, world, marker.clone())
}

/// The name that it was registered with is known to nobody any more.
#[tokio::test]
async fn an_attempt_of_who_was_erased_meanwhile_is_found_by_its_mark() {
    let (org, mut world) = super::search::start().await;
    world.provide_access(erased_after(1));
    org.lose_next(Method::POST, super::search::CLIENTS);
    let request = world.approve("pay", "free").await;
    let client = world.until("found", |client| client.live().is_some()).await;
    let there = org.double().client_ids();
    assert_eq!(there, [client.live().unwrap().answer.client_id.as_str()]);
    world.erased();
    world.revoke(request).await;
    world.until_ended(request).await;
    assert_eq!(org.double().client_count(), 0, "nothing of it is left");
    assert!(open_orphans(&world).await.is_empty());
}

#[tokio::test]
async fn an_adoption_keeps_nothing_of_who_was_erased_meanwhile() {
    let (org, world, marker) = parked().await;
    let erased = Application {
        profile: profile_of(PETRAS),
        as_of: i64::MAX,
        erased: true,
        ..Application::default()
    };
    let erased = Command::Follow(FollowCommand::Application(erased));
    world.provide_access(meanwhile(&world, erased));
    let adopted = resolve(
        &world,
        &marker,
        OrphanAction::Adopt,
        &ClaimedClient::default(),
    )
    .await;
    assert_eq!(adopted, Ok(()));
    let there = org.double().client_ids();
    let client = world.client().await;
    assert_eq!(there, [client.live().unwrap().answer.client_id.as_str()]);
    assert_eq!(kept(&world).await, 0);
}

/// The access is taken back while the client gets its new secret.
#[tokio::test]
async fn an_adoption_that_is_refused_leaves_no_secret() {
    let (_org, world, marker) = parked().await;
    let (request_id, grant) = world.client().await.grants.pop_first().unwrap();
    let revoked = Command::Grant(GrantCommand::Want(Requested {
        request_id,
        revision: grant.revision + 1,
        access: Access::Revoked,
        application_id: world.application_id,
        identity_provider_id: world.provider_id,
        client_type_id: world.client_type_id,
        requester_id: String::new(),
        application: Application::default(),
        scopes: set(&[]),
        retried: false,
    }));
    let secrets = "SELECT id FROM vault_value WHERE subject LIKE 'oauth_client/%'";
    let before = world.texts(secrets).await;
    world.provide_access(meanwhile(&world, revoked));
    let adopted = resolve(
        &world,
        &marker,
        OrphanAction::Adopt,
        &ClaimedClient::default(),
    )
    .await;
    assert_eq!(adopted.unwrap_err().code, "client_not_wanted");
    let after = world.texts(secrets).await;
    assert!(after.iter().all(|id| before.contains(id)), "{after:?}");
    assert_eq!(world.client().await.live(), None);
}

#[tokio::test]
async fn an_orphan_of_who_was_erased_is_told_by_its_mark() {
    let mut world = World::start().await;
    world.name = PETRAS;
    let lost = Fault::CommitThenClose;
    world.provider.fail_next(Operation::Register, 3, lost);
    let request = world.approve("pay", "free").await;
    let client = world.until("failed", has_failed(request)).await;
    let there = world.provider.clients().remove(0);
    let marker = |client: &portico_sandbox::identity_provider::Client| {
        let text = |member: &str| client.metadata.others[member].as_str().unwrap().to_owned();
        format!("{}.{}", text("software_id"), text("software_version"))
    };
    let marker = marker(&there);
    assert!(client.orphans.contains_key(&marker));
    world.provide_access(erased_after(0));
    // Of an application that was erased, too: all of them have this name.
    let (client_id, token, uri) = world.register_by_hand(ERASED).await;
    let anothers = ClaimedClient {
        client_id,
        token: Some(Secret::new(token)),
        uri: Some(uri.parse().unwrap()),
    };
    let deleted = resolve(&world, &marker, OrphanAction::Delete, &anothers).await;
    assert_eq!(deleted.unwrap_err().code, "orphan_not_ours");
    assert_eq!(world.provider.client_count(), 4);
    let ours = ClaimedClient {
        uri: Some(
            format!("{}/register/{}", world.provider.url(), there.client_id)
                .parse()
                .unwrap(),
        ),
        token: there.registration_access_token.clone().map(Secret::new),
        client_id: there.client_id.clone(),
    };
    let deleted = resolve(&world, &marker, OrphanAction::Delete, &ours).await;
    assert_eq!(deleted, Ok(()));
    assert_eq!(world.provider.client_count(), 3);
}
