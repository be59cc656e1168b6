use portico_runtime::{Caller, Role};
use serde_json::Value;

use super::*;
use crate::worker::tests::world::World;

fn message(world: &World) -> api::PreviewRegistrationRequest {
    let scopes = ["product_pay", "free_plan", "unheard_of"];
    api::PreviewRegistrationRequest {
        application_id: Some(Uuid::from_u128(4).to_string()),
        application_name: "Shop".into(),
        client_type_id: world.client_type_id.to_string(),
        scopes: scopes.map(str::to_owned).to_vec(),
        ..Default::default()
    }
}

async fn preview(
    world: &World,
    caller: Caller,
    message: &api::PreviewRegistrationRequest,
) -> Result<api::PreviewRegistrationResponse, Error> {
    let grpc = Grpc::new(&world.deps, &world.store, &world.vault);
    let mut request = Request::new(message.clone());
    request.extensions_mut().insert(caller);
    preview_registration(&grpc, request).await
}

#[tokio::test]
async fn a_preview_shows_all_and_writes_nothing() {
    let world = World::prepare().await;
    let message = message(&world);
    let events = world.store.read(0, 100).await.unwrap().len();
    let shown = preview(&world, Caller::service("access-request"), &message);
    let shown = shown.await.unwrap();
    assert_eq!(
        (shown.action(), shown.method.as_str()),
        (api::RegistrationAction::Register, "POST")
    );
    assert_eq!(shown.endpoint, format!("{}/register", world.provider.url()));
    let body: Value = serde_json::from_str(&shown.payload).unwrap();
    assert_eq!(body["client_name"], "Shop");
    assert_eq!(body["scope"], "free_plan product_pay unheard_of");
    assert_eq!(shown.scopes_missing_at_provider, ["unheard_of"]);
    assert_eq!(shown.obstacles, [] as [&str; 0]);
    assert_eq!(world.store.read(0, 100).await.unwrap().len(), events);
    assert_eq!(world.provider.client_count(), 0);
}

#[tokio::test]
async fn it_is_for_admins_and_about_client_types_that_are_there() {
    let world = World::prepare().await;
    let id = Uuid::from_u128(1);
    let user = |role| Caller::User {
        id,
        role,
        let_in: false,
    };
    let mut message = api::PreviewRegistrationRequest {
        client_type_id: id.to_string(),
        ..Default::default()
    };
    for (caller, kind) in [
        (Caller::Anonymous, Kind::Unauthenticated),
        (user(Role::Developer), Kind::Forbidden),
        (user(Role::Admin), Kind::NotFound),
    ] {
        let error = preview(&world, caller, &message).await.unwrap_err();
        assert_eq!(error.kind, kind);
    }
    message.client_type_id = "x".into();
    let error = preview(&world, user(Role::Admin), &message).await;
    assert_eq!(error.unwrap_err().fields[0].field, "client_type_id");
}

/// A provider that is known to manage clients gets their scopes by an update, so that an orphan has no power.
#[tokio::test]
async fn a_client_that_is_registered_without_scopes_is_shown_so() {
    let mut world = World::start().await;
    let request = world.approve("pay", "free").await;
    world.until_done(request).await;
    let message = message(&world);
    let shown = preview(&world, Caller::service("access-request"), &message).await;
    let body: Value = serde_json::from_str(&shown.unwrap().payload).unwrap();
    assert_eq!(body["client_name"], "Shop");
    assert_eq!(body["scope"].as_str().unwrap_or_default(), "", "{body}");
}
