use portico_eventstore::sqlx::{self, Row as _};
use portico_proto::{Kind, catalog::v1::PolicyRole, rest::FieldMask};
use portico_runtime::{Caller, Role};

use super::*;
use crate::item::Limit;
use crate::worker::mapper::tests::world::{Granted, World, nowhere};

fn grpc(world: &World) -> Grpc {
    let vault = world.deps.vault(world.store.database());
    Grpc::new(&world.deps, &world.store, &vault)
}

fn user(role: Role) -> Caller {
    let id = Uuid::from_u128(1);
    Caller::User {
        id,
        role,
        let_in: false,
    }
}

fn by<T>(caller: Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller);
    request
}

fn admin<T>(message: T) -> Request<T> {
    by(user(Role::Admin), message)
}

fn settings(world: &World) -> api::Gateway {
    api::Gateway {
        name: " Main ".into(),
        r#type: api::GatewayType::Tyk.into(),
        url: world.gateway.url(),
        secret: world.gateway.secret().into(),
        ..Default::default()
    }
}

fn create(gateway: api::Gateway) -> Request<api::CreateGatewayRequest> {
    let gateway = Some(gateway);
    admin(api::CreateGatewayRequest { gateway })
}

/// An update of these members.
fn update(id: &str, members: &[&str], gateway: api::Gateway) -> api::UpdateGatewayRequest {
    let paths = members.iter().map(|member| (*member).to_owned()).collect();
    api::UpdateGatewayRequest {
        id: id.to_owned(),
        if_version: 0,
        gateway: Some(gateway),
        update_mask: Some(FieldMask { paths }),
    }
}

async fn vault_entries(world: &World) -> i64 {
    let query = sqlx::query("SELECT COUNT(*) FROM vault_value");
    let row = query
        .fetch_one(world.store.database().pool())
        .await
        .unwrap();
    row.get(0)
}

fn fields(error: Error) -> Vec<(String, String)> {
    error
        .fields
        .into_iter()
        .map(|one| (one.field, one.code))
        .collect()
}

fn field(field: &str, code: &str) -> Vec<(String, String)> {
    vec![(field.into(), code.into())]
}

#[tokio::test]
async fn a_gateway_is_tested_and_its_secret_sealed() {
    let world = World::start().await;
    let grpc = grpc(&world);
    let made = create_gateway(&grpc, create(settings(&world)))
        .await
        .unwrap();
    assert_eq!(
        (made.name.as_str(), made.default_policy_id()),
        ("Main", "noop")
    );
    assert_eq!(
        (made.status(), made.version),
        (api::GatewayStatus::Active, 1)
    );
    assert!(made.created_at.is_some() && made.created_at == made.updated_at);
    assert_eq!((made.secret.as_str(), made.org_id.as_deref()), ("", None));
    assert!(world.gateway.control_calls().len() >= 2, "it was asked");
    let log = format!("{:?}", world.store.read(0, 100).await.unwrap());
    assert!(!log.contains(world.gateway.secret()));

    let listed = list_gateways(&grpc, admin(api::ListGatewaysRequest::default()))
        .await
        .unwrap();
    assert_eq!(listed.gateways, std::slice::from_ref(&made));
    let message = api::GetGatewayRequest {
        id: made.id.clone(),
    };
    let got = get_gateway(&grpc, by(Caller::service("catalog"), message))
        .await
        .unwrap();
    assert_eq!(got, made);

    let message = api::DeleteGatewayRequest {
        id: made.id.clone(),
        if_version: 1,
    };
    delete_gateway(&grpc, admin(message)).await.unwrap();
    assert_eq!(vault_entries(&world).await, 0);
    let message = api::GetGatewayRequest { id: made.id };
    assert_eq!(
        get_gateway(&grpc, admin(message)).await.unwrap_err().kind,
        Kind::NotFound
    );
}

#[tokio::test]
async fn what_is_wrong_is_told_on_its_field() {
    let world = World::start().await;
    let grpc = grpc(&world);
    let refused = async |change: fn(&mut api::Gateway)| {
        let mut gateway = settings(&world);
        change(&mut gateway);
        fields(create_gateway(&grpc, create(gateway)).await.unwrap_err())
    };
    assert_eq!(
        refused(|m| m.secret = "no".into()).await,
        field("secret", "gateway_secret_wrong")
    );
    assert_eq!(
        refused(|m| m.secret = " ".into()).await,
        field("secret", "secret_missing")
    );
    assert_eq!(
        refused(|m| m.secret = "a\nb".into()).await,
        field("secret", "secret_invalid")
    );
    assert_eq!(
        refused(|m| m.url = nowhere()).await,
        field("url", "gateway_unreachable")
    );
    const PRIVATE: &str = "http://10.1.2.3/";
    assert_eq!(
        refused(|m| m.url = PRIVATE.into()).await,
        field("url", "gateway_address_forbidden")
    );
    for url in [
        "ftp://a.example/",
        "gateway",
        "http://u:p@a.example/",
        "http://a.example/?x=1",
    ] {
        let gateway = api::Gateway {
            url: url.into(),
            ..settings(&world)
        };
        let error = create_gateway(&grpc, create(gateway)).await.unwrap_err();
        assert_eq!(fields(error), field("url", "url_invalid"), "{url}");
    }
    let gateway = api::Gateway {
        url: world.provider.url(),
        ..settings(&world)
    };
    let error = create_gateway(&grpc, create(gateway)).await.unwrap_err();
    assert_eq!(fields(error), field("url", "gateway_answer_invalid"));
    let policy = refused(|m| m.default_policy_id = Some("gone".into())).await;
    assert_eq!(policy, field("default_policy_id", "policy_not_at_gateway"));
    let many = refused(|m| (m.name, m.r#type, m.url) = Default::default()).await;
    let named: Vec<_> = many.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(named, ["name", "type", "url"]);
    assert_eq!(many[1].1, "type_missing");
    assert_eq!(
        refused(|m| m.r#type = 99).await,
        field("type", "type_invalid")
    );
    let nothing = admin(api::CreateGatewayRequest { gateway: None });
    let error = create_gateway(&grpc, nothing).await.unwrap_err();
    assert_eq!(fields(error), field("gateway", "gateway_missing"));
    assert_eq!(vault_entries(&world).await, 0);

    create_gateway(&grpc, create(settings(&world)))
        .await
        .unwrap();
    assert_eq!(
        refused(|m| m.name = "mAIN".into()).await,
        field("name", "name_taken")
    );
    assert_eq!(vault_entries(&world).await, 1);
}

#[tokio::test]
async fn a_change_is_tested_and_the_secret_goes_nowhere_else() {
    let world = World::start().await;
    let grpc = grpc(&world);
    let made = create_gateway(&grpc, create(settings(&world)))
        .await
        .unwrap();
    let change = async |members: &[&str], gateway: api::Gateway| {
        update_gateway(&grpc, admin(update(&made.id, members, gateway))).await
    };
    let with = |change: fn(&mut api::Gateway)| {
        let mut gateway = api::Gateway::default();
        change(&mut gateway);
        gateway
    };

    let calls = world.gateway.control_calls().len();
    let changed = change(&["name"], with(|m| m.name = "Other".into())).await;
    let changed = changed.unwrap();
    assert_eq!((changed.name.as_str(), changed.version), ("Other", 2));
    assert_eq!(
        world.gateway.control_calls().len(),
        calls,
        "a name needs no test"
    );

    let error = change(&["url"], with(|m| m.url = nowhere())).await;
    assert_eq!(
        fields(error.unwrap_err()),
        field("secret", "secret_missing")
    );
    let error = change(&["secret"], with(|m| m.secret = "wrong".into())).await;
    assert_eq!(
        fields(error.unwrap_err()),
        field("secret", "gateway_secret_wrong")
    );
    let error = change(&["secret"], with(|m| m.secret = " ".into())).await;
    assert_eq!(
        fields(error.unwrap_err()),
        field("secret", "secret_missing")
    );
    let dashboard = with(|m| m.r#type = api::GatewayType::TykDashboard.into());
    let error = change(&["type"], dashboard).await;
    assert_eq!(fields(error.unwrap_err()), field("type", "type_fixed"));
    let error = change(&["version"], with(|m| m.version = 7)).await;
    assert_eq!(
        fields(error.unwrap_err()),
        field("update_mask", "field_unknown")
    );

    let changed = change(&["secret"], settings(&world)).await;
    assert_eq!(changed.unwrap().version, 3);
    let message = api::UpdateGatewayRequest {
        if_version: 1,
        ..update(&made.id, &["secret"], settings(&world))
    };
    let error = update_gateway(&grpc, admin(message)).await.unwrap_err();
    assert_eq!(error.code, "version_mismatch");
    assert_eq!(vault_entries(&world).await, 1, "only the one in use");

    // Without a mask everything is replaced, the secret too.
    let message = api::UpdateGatewayRequest {
        update_mask: None,
        ..update(&made.id, &[], with(|m| m.name = "Third".into()))
    };
    let error = update_gateway(&grpc, admin(message)).await.unwrap_err();
    assert_eq!(fields(error), field("type", "type_missing"));
    let tyk = |m: &mut api::Gateway| m.r#type = api::GatewayType::Tyk.into();
    let message = api::UpdateGatewayRequest {
        update_mask: None,
        ..update(&made.id, &[], with(tyk))
    };
    let error = update_gateway(&grpc, admin(message)).await.unwrap_err();
    let named: Vec<_> = fields(error).into_iter().map(|(field, _)| field).collect();
    assert_eq!(named, ["name", "url", "secret"]);

    let message = update(&Uuid::nil().to_string(), &["name"], settings(&world));
    let error = update_gateway(&grpc, admin(message)).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
}

#[tokio::test]
async fn a_repeated_creation_makes_one_gateway() {
    let world = World::start().await;
    let grpc = grpc(&world);
    let keyed = |gateway: api::Gateway| {
        let mut request = create(gateway);
        request
            .metadata_mut()
            .insert("idempotency-key", "k1".parse().unwrap());
        request
    };
    let first = create_gateway(&grpc, keyed(settings(&world)))
        .await
        .unwrap();
    let second = create_gateway(&grpc, keyed(settings(&world)))
        .await
        .unwrap();
    assert_eq!(first, second);
    assert_eq!(vault_entries(&world).await, 1);
    let other = api::Gateway {
        org_id: Some("o".into()),
        ..settings(&world)
    };
    let error = create_gateway(&grpc, keyed(other)).await.unwrap_err();
    assert_eq!(error.code, "idempotency_key_reused");
}

#[tokio::test]
async fn a_gateway_in_use_is_not_deleted() {
    let world = World::start().await;
    let grpc = grpc(&world);
    let made = create_gateway(&grpc, create(settings(&world)))
        .await
        .unwrap();
    let request = Uuid::from_u128(5);
    world
        .grant(request, &Granted::new("pay", "free", &["pay"]))
        .await;
    let delete = || {
        admin(api::DeleteGatewayRequest {
            id: made.id.clone(),
            if_version: 0,
        })
    };
    let error = delete_gateway(&grpc, delete()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_ref()),
        (Kind::Conflict, "gateway_in_use")
    );
    world.synchronise(request).await.unwrap();
    assert!(world.gateway.policy("portico-plan-free").is_some());
    world.revoke(request).await;
    delete_gateway(&grpc, delete()).await.unwrap();
    let left = &world.gateway.api("pay").unwrap()["scopes"]["jwt"]["scope_to_policy"];
    assert_eq!(left.as_object().map(|left| left.len()), Some(0));
    assert_eq!(world.gateway.policy("portico-plan-free"), None);
    delete_gateway(&grpc, delete()).await.unwrap();
}

#[tokio::test]
async fn only_admins_configure() {
    let world = World::start().await;
    let grpc = grpc(&world);
    for (caller, kind) in [
        (Caller::Anonymous, Kind::Unauthenticated),
        (user(Role::Developer), Kind::Forbidden),
        (Caller::service("catalog"), Kind::Forbidden),
    ] {
        let made = create_gateway(&grpc, by(caller.clone(), Default::default())).await;
        assert_eq!(made.unwrap_err().kind, kind);
        let changed = update_gateway(&grpc, by(caller.clone(), Default::default())).await;
        assert_eq!(changed.unwrap_err().kind, kind);
        let deleted = delete_gateway(&grpc, by(caller.clone(), Default::default())).await;
        assert_eq!(deleted.unwrap_err().kind, kind);
        if caller.sees_all() {
            continue;
        }
        let got = get_gateway(&grpc, by(caller.clone(), Default::default())).await;
        assert_eq!(got.unwrap_err().kind, kind);
        let listed = list_gateways(&grpc, by(caller, Default::default())).await;
        assert_eq!(listed.unwrap_err().kind, kind);
    }
}

fn simulate(world_gateway: &str, api_id: &str) -> api::SimulateGatewayCallRequest {
    api::SimulateGatewayCallRequest {
        gateway_id: world_gateway.into(),
        api_id: api_id.into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_call_is_simulated_by_scopes_or_by_a_token() {
    let world = World::start().await;
    let grpc = grpc(&world);
    let made = create_gateway(&grpc, create(settings(&world)))
        .await
        .unwrap();
    let request = Uuid::from_u128(5);
    let mut granted = Granted::new("pay", "free", &["pay"]);
    granted.rate = Some(Limit {
        requests: 7,
        seconds: 60,
    });
    world.grant(request, &granted).await;
    world.synchronise(request).await.unwrap();
    let by_scopes = api::SimulateGatewayCallRequest {
        scopes: vec!["product_pay".into(), "free_plan".into()],
        ..simulate(&made.id, "pay")
    };
    let said = simulate_gateway_call(&grpc, admin(by_scopes))
        .await
        .unwrap();
    assert_eq!((said.status, said.message.as_deref()), (200, None));
    assert_eq!(said.rate.unwrap().requests, 7);
    let token = Some(world.token("product_pay free_plan other"));
    let by_token = api::SimulateGatewayCallRequest {
        token,
        ..simulate(&made.id, "pay")
    };
    let said = simulate_gateway_call(&grpc, admin(by_token)).await.unwrap();
    assert_eq!(
        (said.status, said.unmapped_scopes),
        (200, vec!["other".to_owned()])
    );
    assert!(said.notes.iter().any(|note| note.contains("signature")));
    let plan_only = api::SimulateGatewayCallRequest {
        scopes: vec!["free_plan".into()],
        ..simulate(&made.id, "pay")
    };
    let said = simulate_gateway_call(&grpc, admin(plan_only))
        .await
        .unwrap();
    assert_eq!(said.status, 403);
}

#[tokio::test]
async fn what_cannot_be_simulated_is_told_on_its_field() {
    let world = World::start().await;
    let grpc = grpc(&world);
    let made = create_gateway(&grpc, create(settings(&world)))
        .await
        .unwrap();
    let refused = async |message: api::SimulateGatewayCallRequest| {
        fields(
            simulate_gateway_call(&grpc, admin(message))
                .await
                .unwrap_err(),
        )
    };
    let with_token = |token: &str| api::SimulateGatewayCallRequest {
        token: Some(token.into()),
        ..simulate(&made.id, "pay")
    };
    // An empty token counts as absent.
    let without = simulate_gateway_call(&grpc, admin(with_token(" "))).await;
    assert_eq!(without.unwrap().status, 403);
    for token in ["nonsense", "a.b.c", "a.b", "a.eyJ9.c.d"] {
        assert_eq!(
            refused(with_token(token)).await,
            field("token", "token_invalid"),
            "{token}"
        );
    }
    let both = api::SimulateGatewayCallRequest {
        scopes: vec!["a".into()],
        ..with_token("a.b.c")
    };
    assert_eq!(refused(both).await, field("token", "token_and_scopes"));
    assert_eq!(
        refused(simulate(&made.id, " ")).await,
        field("api_id", "api_id_missing")
    );
    assert_eq!(
        refused(simulate(&made.id, "gone")).await,
        field("api_id", "api_not_at_gateway")
    );
    let unknown = simulate(&Uuid::nil().to_string(), "pay");
    let error = simulate_gateway_call(&grpc, admin(unknown))
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    let developer = by(user(Role::Developer), simulate(&made.id, "pay"));
    let error = simulate_gateway_call(&grpc, developer).await.unwrap_err();
    assert_eq!(error.kind, Kind::Forbidden);
    world.gateway.stop().await;
    let error = simulate_gateway_call(&grpc, admin(simulate(&made.id, "pay")))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_ref()),
        (Kind::Unavailable, "gateway_unreachable")
    );
}

#[tokio::test]
async fn what_is_at_a_gateway_is_listed_by_pages() {
    let world = World::start().await;
    let grpc = grpc(&world);
    let made = create_gateway(&grpc, create(settings(&world)))
        .await
        .unwrap();
    let theirs =
        portico_sandbox::gateway::seed::product_policy("theirs", "Theirs", &[("pay", "pay")]);
    world.gateway.load(vec![], vec![theirs]).unwrap();
    let request = |after: String| {
        admin(api::ListGatewayContentsRequest {
            gateway_id: made.id.clone(),
            limit: 1,
            after,
        })
    };
    let first = list_gateway_contents(&grpc, request(String::new()))
        .await
        .unwrap();
    assert_eq!(
        (first.policies[0].id.as_str(), first.policies[0].own),
        ("noop", true)
    );
    let second = list_gateway_contents(&grpc, request(first.next))
        .await
        .unwrap();
    let theirs = &second.policies[0];
    assert_eq!((theirs.role(), theirs.own), (PolicyRole::Product, false));
    assert_eq!(theirs.apis[0].listen_path(), "/pay/");
    assert_eq!(second.next, "");
}

#[tokio::test]
async fn a_default_policy_that_nobody_named_is_found_or_made() {
    let world = World::start().await;
    let grpc = grpc(&world);
    world.gateway.remove_policy("noop").unwrap();
    let made = create_gateway(&grpc, create(settings(&world)))
        .await
        .unwrap();
    assert_eq!(made.default_policy_id(), "portico-noop");
    let seed = portico_sandbox::gateway::seed::no_operation_policy();
    world.gateway.load(vec![], vec![seed]).unwrap();
    let message = update(&made.id, &["default_policy_id"], api::Gateway::default());
    let found = update_gateway(&grpc, admin(message)).await.unwrap();
    assert_eq!(found.default_policy_id(), "noop");
}
