use portico_proto::access::v1::ApprovedApi;
use portico_runtime::{Caller, Role};
use serde_json::Value;

use super::*;
use crate::client_type::{ClientType, Command};
use crate::mapping::tests::world::World;

fn grpc(world: &World) -> Grpc {
    let vault = world.deps.vault(world.store.database());
    Grpc::new(&world.deps, &world.store, &vault)
}

async fn client_type(world: &World) -> Uuid {
    let id = world.deps.clock.new_id();
    let definition = Definition {
        name: "Service".into(),
        description: String::new(),
        response_types: BTreeSet::new(),
        grant_types: ["client_credentials".to_owned()].into(),
        token_endpoint_auth_method: "client_secret_basic".into(),
        okta_application_type: String::new(),
    };
    let command = Command::Add {
        identity_provider_id: world.provider_id,
        definition,
    };
    let context = world.context();
    world
        .store
        .execute::<ClientType>(id, &command, &context)
        .await
        .unwrap();
    id
}

fn item() -> ApprovedItem {
    ApprovedItem {
        product_id: "pay".into(),
        product_scopes: vec!["product_pay".into()],
        plan_id: "free".into(),
        plan_scopes: vec!["free_plan".into(), "unheard_of".into()],
        apis: vec![ApprovedApi {
            api_id: "pay".into(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

async fn preview(
    grpc: &Grpc,
    caller: Caller,
    message: &api::PreviewRegistrationRequest,
) -> Result<api::PreviewRegistrationResponse, Error> {
    let mut request = Request::new(message.clone());
    request.extensions_mut().insert(caller);
    preview_registration(grpc, request).await
}

#[tokio::test]
async fn a_preview_shows_all_and_writes_nothing() {
    let world = World::start().await;
    world.add_gateway().await;
    let grpc = grpc(&world);
    let message = api::PreviewRegistrationRequest {
        application_id: Uuid::from_u128(4).to_string(),
        application_name: "Shop".into(),
        client_type_id: client_type(&world).await.to_string(),
        items: vec![item()],
        ..Default::default()
    };
    let events = world.store.read(0, 100).await.unwrap().len();
    let shown = preview(&grpc, Caller::service("access-request"), &message)
        .await
        .unwrap();
    assert_eq!(
        (shown.action.as_str(), shown.method.as_str()),
        ("register", "POST")
    );
    assert_eq!(shown.endpoint, format!("{}/register", world.provider.url()));
    let body: Value = serde_json::from_str(&shown.payload_json).unwrap();
    assert_eq!(body["client_name"], "Shop");
    assert_eq!(body["scope"], "free_plan product_pay unheard_of");
    assert_eq!(shown.scopes_missing_at_provider, ["unheard_of"]);
    let line = "API pay: adds scope product_pay with policy portico-product-pay";
    assert!(
        shown.mapping_changes.iter().any(|one| one == line),
        "{:?}",
        shown.mapping_changes
    );

    assert_eq!(world.store.read(0, 100).await.unwrap().len(), events);
    assert_eq!(world.writes(), 0);
    assert_eq!(world.provider.client_count(), 0);
}

#[tokio::test]
async fn a_gateway_that_is_away_spoils_only_its_part() {
    let world = World::start().await;
    world.add_gateway().await;
    world.gateway.stop().await;
    let grpc = grpc(&world);
    let message = api::PreviewRegistrationRequest {
        application_name: "Shop".into(),
        client_type_id: client_type(&world).await.to_string(),
        items: vec![item()],
        ..Default::default()
    };
    let shown = preview(&grpc, Caller::service("access-request"), &message)
        .await
        .unwrap();
    assert_eq!(shown.action, "register");
    assert!(
        shown.mapping_changes[0].contains("pay"),
        "{:?}",
        shown.mapping_changes
    );
}

#[tokio::test]
async fn it_is_for_admins_and_about_client_types_that_are_there() {
    let world = World::start().await;
    let grpc = grpc(&world);
    let id = Uuid::from_u128(1);
    let user = |role| Caller::User { id, role };
    let mut message = api::PreviewRegistrationRequest {
        client_type_id: id.to_string(),
        ..Default::default()
    };
    for (caller, kind) in [
        (Caller::Anonymous, Kind::Unauthenticated),
        (user(Role::Developer), Kind::Forbidden),
        (user(Role::Admin), Kind::NotFound),
    ] {
        let error = preview(&grpc, caller, &message).await.unwrap_err();
        assert_eq!(error.kind, kind);
    }
    message.client_type_id = "x".into();
    let error = preview(&grpc, user(Role::Admin), &message)
        .await
        .unwrap_err();
    assert_eq!(error.fields[0].field, "client_type_id");
}
