//! Attempts without an outcome, and processes that end in the middle.

use portico_eventstore::testing::assert_equal_a_rebuild;
use portico_eventstore::worker::run;
use portico_sandbox::identity_provider::{Fault, Operation};
use portico_vault::VaultRef;
use uuid::Uuid;

use super::world::{World, profile_of, profiles, set};
use crate::application::Application;
use crate::client_metadata::Profile;
use crate::identity_provider::IdentityProvider;
use crate::oauth_client::{
    Access, ClientProfile, Command, GrantCommand, Intent, OWNER, OauthClient, OperationKind,
    RegistrationCommand, Requested, UpdateCommand, Wanted,
};
use crate::providers::{self, ChosenIds, access};
use crate::worker::spool::AnswerSpool;

/// The profile that grants refer to.
fn weather() -> Profile {
    Profile {
        name: "Weather app".into(),
        ..Profile::default()
    }
}

impl World {
    /// A grant, as the policy records it, without anything running.
    async fn granted(&self, product: &str) -> Uuid {
        let request_id = self.deps.clock.new_id();
        let command = Command::Grant(GrantCommand::Want(Requested {
            request_id,
            revision: 1,
            access: Access::Granted,
            application_id: self.application_id,
            identity_provider_id: self.provider_id,
            client_type_id: self.client_type_id,
            requester_id: String::new(),
            application: Application {
                profile: profile_of("Weather app"),
                ..Application::default()
            },
            scopes: set(&[&format!("product_{product}"), "free_plan"]),
            retried: false,
        }));
        self.execute::<OauthClient>(self.id(), &command).await;
        request_id
    }

    fn profile() -> ClientProfile {
        ClientProfile {
            grant_types: set(&["client_credentials"]),
            response_types: set(&[]),
            token_endpoint_auth_method: "client_secret_basic".into(),
            okta_application_type: String::new(),
        }
    }

    fn wanted(client: &OauthClient) -> Wanted {
        client.wanted().unwrap()
    }

    /// The intent to register, as the worker records it.
    async fn intended(&self) -> OauthClient {
        let secret_ref = VaultRef(self.deps.clock.new_id());
        let owner = portico_vault::Owner::new(OWNER, self.id());
        let chosen = crate::worker::random_secret();
        self.vault
            .put_at(secret_ref, &owner, &chosen)
            .await
            .unwrap();
        let command = Command::Registration(RegistrationCommand::Intend(Intent {
            wanted: Self::wanted(&self.client().await),
            profile: Self::profile(),
            client_type_id: self.client_type_id,
            client_id: "chosen".into(),
            secret_ref,
            without_scopes: false,
        }));
        self.execute::<OauthClient>(self.id(), &command).await
    }

    async fn access(&self) -> providers::Access {
        let provider = self.store.load::<IdentityProvider>(self.provider_id).await;
        let provider = provider.unwrap().state;
        access::open(&self.deps, &self.vault, self.provider_id, &provider)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn an_answer_in_the_spool_is_taken_up_without_a_second_post() {
    let mut world = World::prepare().await;
    let request = world.granted("pay").await;
    let client = world.intended().await;
    let intended = client.intended().unwrap();
    let access = world.access().await;
    let spool = AnswerSpool::new(&world.vault, world.id(), intended.attempt);
    let ids = ChosenIds {
        client_id: intended.client_id.clone(),
        client_secret: crate::worker::random_secret(),
    };
    let prepared = access
        .driver()
        .prepare(access.site(), &intended.client.named(&weather()), &ids)
        .unwrap();
    access
        .driver()
        .register(&access.session(&spool), &prepared)
        .await
        .unwrap();
    // The process ends here.
    world.restart().await;
    world.run().await;
    world.until_done(request).await;
    assert_eq!(world.provider.requests(Operation::Register), 1);
    assert_eq!(world.provider.client_count(), 1);
    // The secret and the registration access token, no answer.
    world.until_secrets(2).await;
    assert_eq!(
        world.texts("SELECT marker FROM orphans").await,
        [] as [&str; 0]
    );
}

#[tokio::test]
async fn an_intent_of_which_nothing_can_be_found_out_is_a_suspected_orphan() {
    let mut world = World::prepare().await;
    let request = world.granted("pay").await;
    world.intended().await;
    world.restart().await;
    world.run().await;
    world.until_done(request).await;
    assert_eq!(
        world.texts("SELECT marker FROM orphans").await,
        [format!("{}.1", world.id())]
    );
    assert_eq!(world.provider.requests(Operation::Register), 1);
    assert_equal_a_rebuild(&world.store).await;
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_commit_lists_the_orphan() {
    let mut world = World::start().await;
    world
        .provider
        .fail_next(Operation::Register, 1, Fault::CommitThenClose);
    let request = world.approve("pay", "free").await;
    let client = world.until_done(request).await;
    assert_eq!(world.provider.client_count(), 2);
    let markers = world.texts("SELECT marker FROM orphans").await;
    let orphan = world
        .provider
        .clients()
        .into_iter()
        .find(|there| there.client_id != client.live().unwrap().answer.client_id)
        .unwrap();
    // By its marker an operator finds it at the provider.
    let id = orphan.metadata.others["software_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let attempt = orphan.metadata.others["software_version"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(markers, [format!("{id}.{attempt}")]);
}

/// The attempt cannot be repeated, so it is not; a retry chooses another secret.
#[tokio::test]
async fn an_attempt_whose_secret_is_lost_is_parked_and_listed() {
    let mut world = World::prepare().await;
    let request = world.granted("pay").await;
    let client = world.intended().await;
    let chosen = client.intended().unwrap().secret_ref;
    world.vault.delete(&chosen).await.unwrap();
    world.run().await;
    let has_failed = |client: &OauthClient| client.grants[&request].failure().is_some();
    let client = world.until("parked", has_failed).await;
    assert_eq!(client.last_error().unwrap().code, "secret_missing");
    assert_eq!(world.provider.requests(Operation::Register), 0);
    let marker = format!("{}.1", world.id());
    assert_eq!(world.texts("SELECT marker FROM orphans").await, [marker]);
    world.retry(request).await;
    world.until_done(request).await;
    assert_eq!(world.provider.client_count(), 1);
}

#[tokio::test]
async fn suspicions_have_an_end() {
    let mut world = World::start().await;
    world
        .provider
        .fail_next(Operation::Register, 3, Fault::CommitThenClose);
    let request = world.approve("pay", "free").await;
    let client = world
        .until("failed", |c| {
            c.grants.values().any(|grant| grant.failure().is_some())
        })
        .await;
    assert_eq!(
        client.last_error().unwrap().code,
        "registration_outcome_unknown"
    );
    assert_eq!(world.provider.client_count(), 3);
    assert_eq!(world.texts("SELECT marker FROM orphans").await.len(), 3);
    world.retry(request).await;
    world.until_done(request).await;
    assert_eq!(world.provider.client_count(), 4);
}

/// A process that ended before it recorded what its update did, and the requests before and for it. The token that is
/// recorded is refused from now on.
async fn after_a_lost_update() -> (World, Uuid, Uuid) {
    let mut world = World::start().await;
    let first = world.approve("pay", "free").await;
    world.until_done(first).await;
    world.restart().await;
    let second = world.granted("ship").await;
    let wanted = World::wanted(&world.client().await);
    let profile = World::profile();
    let intend = Command::Update(UpdateCommand::Intend { wanted, profile });
    let client = world.execute::<OauthClient>(world.id(), &intend).await;
    let live = client.live().unwrap();
    let operation = live.operation.as_ref().unwrap();
    let OperationKind::Update { client: sent, .. } = &operation.kind else {
        panic!("{operation:?}");
    };
    let access = world.access().await;
    let spool = AnswerSpool::new(&world.vault, world.id(), operation.attempt);
    let owner = portico_vault::Owner::new(OWNER, world.id());
    let known = crate::providers::KnownClient {
        client_id: live.answer.client_id.clone(),
        client_secret: world
            .vault
            .get(&owner, &live.answer.secret_ref.unwrap())
            .await
            .unwrap(),
        registration_access_token: world
            .vault
            .get(&owner, &live.answer.rat_ref.unwrap())
            .await
            .unwrap(),
        registration_client_uri: live.answer.registration_client_uri.clone(),
        granted: live.answer.granted.clone(),
        scopes: live.applied.scopes.clone(),
    };
    access
        .driver()
        .update(&access.session(&spool), &known, &sent.named(&weather()))
        .await
        .unwrap();
    world.restart().await;
    (world, first, second)
}

#[tokio::test]
async fn a_token_that_a_lost_update_rotated_is_found_in_the_spool() {
    let (mut world, first, second) = after_a_lost_update().await;
    world.run().await;
    world.until_done(second).await;
    assert_eq!(world.provider.requests(Operation::Update), 1);
    // The new token works.
    world.revoke(first).await;
    world.until_ended(first).await;
    assert_eq!(
        world.only_client().metadata.scopes,
        set(&["product_ship", "free_plan"])
    );
}

#[tokio::test]
async fn an_outcome_waits_for_access_request_and_is_not_asked_for_again() {
    let (mut world, _, second) = after_a_lost_update().await;
    world.provide_access(axum::Router::new());
    world.run().await;
    world
        .until("waiting", |client| {
            let problem = client.last_error();
            problem.is_some_and(|problem| problem.code == "application_not_told")
        })
        .await;
    world.provide_access(profiles());
    world.until_done(second).await;
    assert_eq!(world.provider.requests(Operation::Update), 1);
}

#[tokio::test]
async fn a_revocation_while_registering_leaves_nothing() {
    let mut world = World::prepare().await;
    let request = world.granted("pay").await;
    world.provider.fail_next(
        Operation::Register,
        1,
        Fault::CommitThenDelay(std::time::Duration::from_millis(300)),
    );
    world.run().await;
    world
        .until("registering", |client| client.intended().is_some())
        .await;
    world.revoke(request).await;
    world.until_ended(request).await;
    assert_eq!(world.provider.requests(Operation::Register), 1);
    assert_eq!(world.provider.client_count(), 0);
}

#[tokio::test]
async fn a_deletion_without_an_answer_is_repeated() {
    let mut world = World::start().await;
    let request = world.approve("pay", "free").await;
    world.until_done(request).await;
    world
        .provider
        .fail_next(Operation::Delete, 1, Fault::CommitThenClose);
    world.revoke(request).await;
    let client = world.until_ended(request).await;
    assert!(client.live().is_none());
    assert_eq!(world.provider.client_count(), 0);
}

#[tokio::test]
async fn two_replicas_make_one_client_each() {
    let mut world = World::prepare().await;
    let mut requests = Vec::new();
    let mut applications = Vec::new();
    for _ in 0..12 {
        world.application_id = world.deps.clock.new_id();
        applications.push(world.application_id);
        requests.push(world.granted("pay").await);
    }
    // Another worker on the same database, under another name, as another process has it.
    let mut other = world.deps.clone();
    other.process = world.deps.clock.new_id();
    let second = crate::worker::Worker::new(&other, &world.store, &world.vault);
    let first = crate::worker::Worker::new(&world.deps, &world.store, &world.vault);
    world.deps.tasks.spawn(run(second));
    world.deps.tasks.spawn(run(first));
    for (application, request) in applications.iter().zip(&requests) {
        world.application_id = *application;
        world.until_done(*request).await;
    }
    assert_eq!(world.provider.requests(Operation::Register), 12);
    assert_eq!(world.provider.client_count(), 12);
}

/// What was fetched and not yet found to be true is fetched again; nothing is rotated, and a digest is no secret.
#[tokio::test]
async fn a_fetched_secret_that_nobody_has_tried_is_fetched_again() {
    for is_digest in [false, true] {
        let mut world = World::prepare().await;
        world.provider.behave(|provider| {
            provider.secret_withheld = true;
            provider.hide_secret_on_read = is_digest;
        });
        let request = world.granted("pay").await;
        let client = world.intended().await;
        let intended = client.intended().unwrap();
        let access = world.access().await;
        let spool = AnswerSpool::new(&world.vault, world.id(), intended.attempt);
        let ids = ChosenIds {
            client_id: intended.client_id.clone(),
            client_secret: crate::worker::random_secret(),
        };
        let (driver, session) = (access.driver(), access.session(&spool));
        let sent = intended.client.named(&weather());
        let prepared = driver.prepare(access.site(), &sent, &ids);
        let registered = driver.register(&session, &prepared.unwrap()).await.unwrap();
        let known = registered.into_known(intended.wanted.scopes.clone());
        driver.fetch_secret(&session, &known).await.unwrap();
        // The process ends here.
        world.restart().await;
        world.run().await;
        if is_digest {
            let has_failed = |client: &OauthClient| client.grants[&request].failure().is_some();
            let client = world.until("failed", has_failed).await;
            let code = &client.grants[&request].failure().unwrap().code;
            assert_eq!(code, "client_secret_missing");
            continue;
        }
        let client = world.until_done(request).await;
        let owner = portico_vault::Owner::new(OWNER, world.id());
        let reference = client.live().unwrap().answer.secret_ref.unwrap();
        let secret = world.vault.get(&owner, &reference).await.unwrap().unwrap();
        let there = world.only_client().client_secret.unwrap();
        assert_eq!(secret.expose(), there);
        assert_eq!(world.provider.requests(Operation::Register), 1);
        assert_eq!(world.provider.requests(Operation::Update), 0);
    }
}
