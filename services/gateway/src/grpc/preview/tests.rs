use portico_proto::Kind;
use portico_proto::access::v1::{ApiKeyCredential, ApprovedApi};
use portico_runtime::Role;

use super::*;
use crate::worker::mapper::tests::world::{Granted, World};

fn grpc(world: &World) -> Grpc {
    let vault = world.deps.vault(world.store.database());
    Grpc::new(&world.deps, &world.store, &vault)
}

fn message(world: &World, api_keys: bool) -> api::PreviewMappingRequest {
    let item = ApprovedItem {
        product_id: "pay".into(),
        product_name: "Payments".into(),
        product_scopes: vec!["product_pay".into()],
        plan_id: "free".into(),
        plan_scopes: vec!["free_plan".into()],
        apis: vec![ApprovedApi {
            api_id: "pay".into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let credential = match api_keys {
        true => Credential::ApiKey(ApiKeyCredential {}),
        false => Credential::IdentityProviderId(world.provider_id.to_string()),
    };
    api::PreviewMappingRequest {
        items: vec![item],
        application_id: Uuid::from_u128(4).to_string(),
        credential: Some(credential),
    }
}

async fn preview(
    grpc: &Grpc,
    caller: Caller,
    message: api::PreviewMappingRequest,
) -> Result<api::PreviewMappingResponse, Error> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller);
    preview_mapping(grpc, request).await
}

fn service() -> Caller {
    Caller::service("access-request")
}

#[tokio::test]
async fn a_preview_says_what_would_change_and_writes_nothing() {
    let world = World::start().await;
    world.add_gateway().await;
    let grpc = grpc(&world);
    let events = world.store.read(0, 100).await.unwrap().len();
    let shown = preview(&grpc, service(), message(&world, false))
        .await
        .unwrap();
    let line = "API pay: adds scope product_pay with policy portico-product-pay";
    assert!(shown.changes.iter().any(|one| one == line), "{shown:?}");
    assert!(shown.obstacles.is_empty(), "{shown:?}");
    assert_eq!(world.store.read(0, 100).await.unwrap().len(), events);
    assert_eq!(world.writes(), 0);

    let mut other = Granted::new("ship", "free", &["ship"]).item();
    other.product.scopes = ["product_pay".to_owned()].into();
    world.grant_item(Uuid::from_u128(1), other).await;
    let shown = preview(&grpc, service(), message(&world, false))
        .await
        .unwrap();
    assert!(shown.obstacles[0].contains("SHIP"), "{shown:?}");
}

#[tokio::test]
async fn a_preview_of_keys_names_them_with_their_policies() {
    let world = World::start().await;
    world.add_gateway().await;
    let grpc = grpc(&world);
    let shown = preview(&grpc, service(), message(&world, true))
        .await
        .unwrap();
    assert_eq!(shown.keys.len(), 1);
    assert_eq!(shown.keys[0].api_ids, ["pay"]);
    assert_eq!(
        shown.keys[0].policies,
        ["portico-product-pay", "portico-plan-free"]
    );
    assert_eq!(shown.keys[0].gateway_url, world.gateway.url());
    assert_eq!(shown.changes.len(), 2);
    let mut without = message(&world, true);
    without.items[0].apis.clear();
    let shown = preview(&grpc, service(), without).await.unwrap();
    assert_eq!(
        shown.obstacles,
        ["The product Payments has no API at a gateway."]
    );
}

#[tokio::test]
async fn a_gateway_that_is_away_is_said_and_strangers_are_refused() {
    let world = World::start().await;
    world.add_gateway().await;
    world.gateway.stop().await;
    let grpc = grpc(&world);
    let shown = preview(&grpc, service(), message(&world, false))
        .await
        .unwrap();
    assert!(shown.changes[0].contains("pay"), "{shown:?}");
    let without = api::PreviewMappingRequest {
        credential: None,
        ..message(&world, false)
    };
    let refused = preview(&grpc, service(), without).await.unwrap_err();
    assert_eq!(refused.fields[0].code, "credential_missing");
    let id = Uuid::from_u128(1);
    let role = Role::Developer;
    for (caller, kind) in [
        (Caller::Anonymous, Kind::Unauthenticated),
        (
            Caller::User {
                id,
                role,
                let_in: false,
            },
            Kind::Forbidden,
        ),
    ] {
        let refused = preview(&grpc, caller, message(&world, false)).await;
        assert_eq!(refused.unwrap_err().kind, kind);
    }
}
