//! Who sees which key, and how often. The access-request service is a double that knows one application.

use std::convert::Infallible;

use axum::Router;
use portico_eventstore::sqlx;
use portico_proto::access::v1::{Application, GetApplicationRequest};
use portico_proto::gateway::v1 as api;
use portico_proto::gateway::v1::gateway_service_client::GatewayServiceClient;
use portico_proto::{Error, Kind};
use portico_runtime::{Caller, Role, ServiceChannel, ServiceName};
use tonic::server::Grpc;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use crate::entitlement::Entitlement;
use crate::worker::tests::world::World;

const OWNER: Caller = user(1, Role::Developer);
const STRANGER: Caller = user(2, Role::Developer);
const ADMIN: Caller = user(3, Role::Admin);

const fn user(id: u128, role: Role) -> Caller {
    Caller::User {
        id: Uuid::from_u128(id),
        role,
        let_in: false,
    }
}

/// Knows the application, of which strangers are told nothing.
fn access(world: &World) -> Router {
    let id = world.application_id.to_string();
    let key = world.deps.identity.clone();
    let method = move |http: http::Request<axum::body::Body>| {
        let (id, key) = (id.clone(), key.clone());
        let answer = move |request: Request<GetApplicationRequest>| {
            let identity = request.metadata().get("x-portico-identity").unwrap();
            let caller = key.verify(identity.to_str().unwrap()).unwrap();
            let found = request.get_ref().id == id && caller != STRANGER;
            let application = Application {
                id: id.clone(),
                owner_id: OWNER.actor(),
                ..Default::default()
            };
            std::future::ready(match found {
                true => Ok(Response::new(application)),
                false => Err(Status::from(Error::not_found("application"))),
            })
        };
        async move {
            let codec = ProstCodec::<Application, GetApplicationRequest>::default();
            let service = tower::service_fn(answer);
            Ok::<_, Infallible>(
                Grpc::new(codec)
                    .unary(service, http)
                    .await
                    .map(axum::body::Body::new),
            )
        }
    };
    Router::new().route(
        "/portico.access.v1.AccessService/GetApplication",
        axum::routing::any_service(tower::service_fn(method)),
    )
}

struct Test {
    world: World,
    service: GatewayServiceClient<ServiceChannel>,
    request: Uuid,
}

impl Test {
    /// With one key that is ready.
    async fn start() -> Self {
        let mut world = World::start_by(None).await;
        world.provide(access(&world));
        let request = world.approve_keys(&["weather"]).await;
        world.until_reported(request, 1, "done").await;
        let channel = world.deps.channels.to(ServiceName::Gateway);
        Self {
            service: GatewayServiceClient::new(channel),
            world,
            request,
        }
    }

    async fn list(&mut self, caller: &Caller) -> Result<Vec<api::ApiKey>, Error> {
        let message = api::ListApiKeysRequest {
            application_id: self.world.application_id.to_string(),
        };
        let request = self.world.deps.identity.request(caller, message);
        let answer = self.service.list_api_keys(request).await?;
        Ok(answer.into_inner().api_keys)
    }

    async fn reveal(
        &mut self,
        caller: &Caller,
        id: &str,
        if_version: u64,
        idempotency_key: Option<&'static str>,
    ) -> Result<api::RevealApiKeyResponse, Error> {
        let id = id.to_owned();
        let message = api::RevealApiKeyRequest { id, if_version };
        let mut request = self.world.deps.identity.request(caller, message);
        if let Some(key) = idempotency_key {
            let metadata = request.metadata_mut();
            metadata.insert("idempotency-key", key.parse().unwrap());
        }
        Ok(self.service.reveal_api_key(request).await?.into_inner())
    }

    async fn replace(&mut self, caller: &Caller, id: &str) -> Result<api::ApiKey, Error> {
        let message = api::ReplaceApiKeyRequest {
            id: id.to_owned(),
            if_version: 0,
        };
        let request = self.world.deps.identity.request(caller, message);
        Ok(self.service.replace_api_key(request).await?.into_inner())
    }
}

#[tokio::test]
async fn a_key_is_listed_without_itself_and_shown_to_its_owner_once() {
    let mut test = Test::start().await;
    let listed = test.list(&OWNER).await.unwrap();
    let key = &listed[0];
    let of_admin = test.list(&ADMIN).await.unwrap().remove(0);
    let placement = of_admin.placement.clone().unwrap();
    assert_eq!(placement.gateway_name, "Tyk");
    assert_eq!(of_admin.apis[0].mapping.clone().unwrap().api_id, "weather");
    // What a key is at the gateway is no concern of a developer.
    let mut bare = of_admin;
    bare.placement = None;
    bare.apis.iter_mut().for_each(|api| api.mapping = None);
    assert_eq!(*key, bare);
    assert_eq!(
        (key.status(), key.revealed, key.revealed_at),
        (api::ApiKeyStatus::Ready, false, None)
    );
    assert_eq!(
        (key.product_name.as_str(), key.plan_name.as_str()),
        ("WEATHER", "FREE")
    );
    assert_eq!(key.header_name, "Authorization");
    assert_eq!(key.access_request_id, test.request.to_string());
    assert!(key.created_at.is_some() && key.next_try_at.is_none());
    assert_eq!(key.apis[0].header_name, "Authorization");
    assert!(test.world.gateway.key_hashes()[0].starts_with(key.hash_prefix()));
    let id = key.id.clone();

    let stale = test.reveal(&OWNER, &id, key.version + 1, None).await;
    assert_eq!(stale.unwrap_err().code, "version_mismatch");
    let shown = test
        .reveal(&OWNER, &id, key.version, Some("once"))
        .await
        .unwrap();
    assert_eq!(test.world.call("weather", &shown.key).await, 200);
    assert!(shown.api_key.unwrap().revealed);
    for idempotency_key in [None, Some("once")] {
        let again = test
            .reveal(&OWNER, &id, 0, idempotency_key)
            .await
            .unwrap_err();
        let known = ["api_key_already_revealed", "idempotency_key_reused"];
        assert_eq!(again.kind, Kind::Conflict);
        assert!(known.contains(&again.code.as_ref()), "{again:?}");
    }
    let wiped = |entitlement: &Entitlement| {
        entitlement
            .keys()
            .values()
            .all(|key| key.made().is_some_and(|made| !made.kept))
    };
    test.world.until(test.request, "wiped", wiped).await;
    assert!(!test.world.said().await.contains(&shown.key));
    let listed = test.list(&OWNER).await.unwrap();
    assert!(listed[0].revealed && listed[0].revealed_at.is_some());
}

/// The call is recorded as the one that showed it, so it has to show it.
#[tokio::test]
async fn a_key_is_shown_although_the_vault_does_not_delete_it() {
    let mut test = Test::start().await;
    let pool = test.world.store.database().pool();
    let no_deletion =
        "CREATE TRIGGER keeps BEFORE DELETE ON vault_value BEGIN SELECT RAISE(ABORT, 'no'); END";
    if sqlx::query(no_deletion).execute(pool).await.is_err() {
        eprintln!("SKIPPED: PostgreSQL has other triggers");
        return;
    }
    let id = test.list(&OWNER).await.unwrap()[0].id.clone();
    let shown = test.reveal(&OWNER, &id, 0, None).await.unwrap();
    assert_eq!(test.world.call("weather", &shown.key).await, 200);
    let refused = test.reveal(&OWNER, &id, 0, None).await.unwrap_err();
    assert_eq!(refused.code, "api_key_already_revealed");
    let pool = test.world.store.database().pool();
    let deletion = sqlx::query("DROP TRIGGER keeps").execute(pool).await;
    deletion.unwrap();
    let wiped = |entitlement: &Entitlement| {
        let mut keys = entitlement.keys().values();
        keys.all(|key| key.made().is_some_and(|made| !made.kept))
    };
    test.world.until(test.request, "wiped", wiped).await;
}

#[tokio::test]
async fn nobody_but_the_owner_is_shown_a_key() {
    let mut test = Test::start().await;
    let id = test.list(&OWNER).await.unwrap()[0].id.clone();
    for (caller, kind) in [
        (&ADMIN, Kind::Forbidden),
        (&STRANGER, Kind::NotFound),
        (&Caller::Anonymous, Kind::Unauthenticated),
    ] {
        let refused = test.reveal(caller, &id, 0, None).await.unwrap_err();
        assert_eq!(refused.kind, kind, "{caller:?}");
        let refused = test.replace(caller, &id).await.unwrap_err();
        assert_eq!(refused.kind, kind, "{caller:?}");
    }
    assert_eq!(test.list(&STRANGER).await.unwrap_err().kind, Kind::NotFound);
    let unknown = Uuid::nil().to_string();
    let refused = test.reveal(&OWNER, &unknown, 0, None).await.unwrap_err();
    assert_eq!(refused.kind, Kind::NotFound);
    assert!(!test.list(&OWNER).await.unwrap()[0].revealed);
}

#[tokio::test]
async fn a_lost_key_is_replaced_by_another_that_is_shown_once() {
    let mut test = Test::start().await;
    let id = test.list(&OWNER).await.unwrap()[0].id.clone();
    let old = test.reveal(&OWNER, &id, 0, None).await.unwrap().key;
    test.replace(&OWNER, &id).await.unwrap();
    let replaced = |entitlement: &Entitlement| {
        let mut keys = entitlement.keys().values();
        keys.all(|key| key.attempt == 2 && key.made().is_some() && key.old.is_none())
    };
    test.world.until(test.request, "replaced", replaced).await;
    let new = test.reveal(&OWNER, &id, 0, None).await.unwrap().key;
    assert_ne!(old, new);
    assert_eq!(test.world.call("weather", &new).await, 200);
    assert_eq!(test.world.call("weather", &old).await, 403);

    test.world.revoke(test.request).await;
    test.world.until_reported(test.request, 2, "done").await;
    assert!(test.list(&OWNER).await.unwrap().is_empty());
    let refused = test.reveal(&OWNER, &id, 0, None).await.unwrap_err();
    assert_eq!(refused.kind, Kind::NotFound);
}
