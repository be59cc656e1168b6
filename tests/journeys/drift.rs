//! Somebody changes at the provider and at the gateway what Portico made there, and other things beside it.

use http::StatusCode;
use portico_tests::keycloak::{KEYCLOAK, Keycloak};
use portico_trials::{Trial, trials};
use serde_json::{Value, json};

use crate::support::{
    until,
    world::{Backends, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials!(single, [KEYCLOAK]; report_names_and_repair_restores,
        suspended_clients_are_watched_and_a_plan_is_kept_to)
}

async fn plan(world: &World) -> Vec<Value> {
    let report = world.admin.get("/api/v1/drift?limit=100").await.unwrap();
    let report = report.expect(StatusCode::OK).unwrap();
    report["items"].as_array().unwrap().clone()
}

fn found(items: &[Value], kind: &str, subject: &str) -> bool {
    items
        .iter()
        .any(|item| item["kind"] == kind && item["subject"] == subject)
}

/// Only what a plan has shown is repaired with it.
async fn suspended_clients_are_watched_and_a_plan_is_kept_to() {
    let world = World::start(Provider::keycloak().await, Backends::embedded()).await;
    let portal = world.configure().await;
    let Provider::Keycloak(keycloak) = &world.provider else {
        panic!("a real Keycloak is needed");
    };
    // Keycloak switches a client off only where it can be switched on again.
    let (id, secret) = keycloak.management();
    let provider = format!("/api/v1/identity-providers/{}", portal.provider_id);
    let management = json!({"management_client_id": id, "management_client_secret": secret});
    let patched = world.admin.patch(&provider, management).await.unwrap();
    patched.expect(StatusCode::OK).unwrap();
    let (request, application) = portal.submit(&portal.payments, None).await;
    let (other, spared) = portal.submit(&portal.orders, None).await;
    world.approve(&request).await;
    world.approve(&other).await;
    let credentials = portal.credentials(&application).await;
    let spared = portal.credentials(&spared).await;
    let scope = "product_payments free_plan";
    assert_eq!(world.token(&credentials, Some(scope)).await.0, 200);

    let path = format!("/api/v1/applications/{application}/suspend");
    let suspended = world.admin.post(&path, json!({})).await.unwrap();
    assert_eq!(suspended.expect(StatusCode::OK).unwrap()["suspended"], true);
    let enabled =
        async || keycloak.client(&credentials.client_id).await.unwrap()["enabled"].clone();
    until("it is switched off", || async {
        (enabled().await == false).then_some(())
    })
    .await;
    assert_eq!(world.token(&credentials, Some(scope)).await.0, 401);
    let refused = portal.try_credentials(&application).await.unwrap_err();
    assert!(refused.contains("client_suspended"), "{refused}");
    until("nothing is under way", || async {
        plan(&world).await.is_empty().then_some(())
    })
    .await;

    // Somebody switches it on at Keycloak; then, after the plan, edits another client.
    edit(keycloak, &credentials.client_id, "enabled", json!(true)).await;
    let report = world.admin.get("/api/v1/drift?limit=100").await.unwrap();
    let report = report.expect(StatusCode::OK).unwrap();
    let items = report["items"].as_array().unwrap();
    assert!(
        found(items, "enabled", &credentials.client_id),
        "{items:#?}"
    );
    edit(
        keycloak,
        &spared.client_id,
        "redirectUris",
        json!(["https://new.example/cb"]),
    )
    .await;
    let body = json!({"limit": 100, "plan": report["plan"]});
    let applied = world
        .admin
        .post("/api/v1/drift/repair", body)
        .await
        .unwrap();
    let applied = applied.expect(StatusCode::ACCEPTED).unwrap();
    let repair = |client: &str| {
        let items = applied["items"].as_array().unwrap().iter();
        let mut items = items.filter(|item| item["subject"] == client);
        items.next().unwrap()["repair"].clone()
    };
    assert_eq!(repair(&credentials.client_id), "under_way");
    assert_eq!(repair(&spared.client_id), "possible");
    until("it is off again", || async {
        (enabled().await == false).then_some(())
    })
    .await;
    let left = plan(&world).await;
    assert!(
        found(&left, "redirect_urls_changed", &spared.client_id),
        "{left:#?}"
    );

    let path = format!("/api/v1/applications/{application}/resume");
    let resumed = world.admin.post(&path, json!({})).await.unwrap();
    resumed.expect(StatusCode::OK).unwrap();
    until("its token is back", || async {
        (world.token(&credentials, Some(scope)).await.0 == 200).then_some(())
    })
    .await;
    world.wait_for_status(&request, "active").await;
    assert_eq!(
        portal.credentials(&application).await.client_id,
        credentials.client_id
    );
}

async fn edit(keycloak: &Keycloak, client_id: &str, member: &str, value: Value) {
    let mut client = keycloak.client(client_id).await.unwrap();
    let path = format!("/clients/{}", client["id"].as_str().unwrap());
    client[member] = value;
    let url = keycloak.admin_url(&path);
    assert_eq!(keycloak.admin("PUT", &url, Some(client)).await.0, 204);
}

async fn report_names_and_repair_restores() {
    let world = World::start(Provider::keycloak().await, Backends::embedded()).await;
    let portal = world.configure().await;
    let Provider::Keycloak(keycloak) = &world.provider else {
        panic!("a real Keycloak is needed");
    };
    let (first, edited) = portal.submit(&portal.payments, None).await;
    let (second, deleted) = portal.submit(&portal.orders, None).await;
    world.approve(&first).await;
    world.approve(&second).await;
    let before = portal.credentials(&edited).await;
    let gone = portal.credentials(&deleted).await;
    until("nothing is under way", || async {
        plan(&world).await.is_empty().then_some(())
    })
    .await;

    // At Keycloak: one client is edited, one deleted, and one is not ours.
    let foreign =
        json!({"clientId": "foreign", "redirectUris": ["https://foreign.example/"], "secret": "s"});
    let clients = keycloak.admin_url("/clients");
    assert_eq!(keycloak.admin("POST", &clients, Some(foreign)).await.0, 201);
    let foreign = keycloak.client("foreign").await.unwrap();
    let mut client = keycloak.client(&before.client_id).await.unwrap();
    let path = format!("/clients/{}", client["id"].as_str().unwrap());
    client["redirectUris"] = json!(["https://evil.example/callback"]);
    client["serviceAccountsEnabled"] = json!(false);
    let url = keycloak.admin_url(&path);
    assert_eq!(keycloak.admin("PUT", &url, Some(client)).await.0, 204);
    let secret = keycloak.admin_url(&format!("{path}/client-secret"));
    assert_eq!(keycloak.admin("POST", &secret, None).await.0, 200);
    keycloak.delete_client(&gone.client_id).await;
    // At the gateway: an entry leads elsewhere, a limit is raised, an entry is added that is not ours.
    let (product, plan_policy) = edit_gateway(&world, &portal.payments, &portal.free).await;

    let items = plan(&world).await;
    for (kind, subject) in [
        ("redirect_urls_changed", &before.client_id),
        ("client_type_changed", &before.client_id),
        ("secret_changed", &before.client_id),
        ("client_deleted", &gone.client_id),
        ("mapping_changed", &"payments".to_owned()),
        ("policy_changed", &plan_policy),
    ] {
        assert!(found(&items, kind, subject), "{kind} {subject}: {items:#?}");
    }
    assert!(!format!("{items:?}").contains("foreign"), "{items:#?}");

    made_repair(&world).await;
    until("everything is as it was", || async {
        plan(&world).await.is_empty().then_some(())
    })
    .await;
    world.wait_for_status(&second, "active").await;
    let (_, status) = world
        .call(&before, "product_payments free_plan", "payments")
        .await;
    assert_eq!(status, 200);
    let again = until("the deleted client is back", || async {
        portal.try_credentials(&deleted).await.ok()
    })
    .await;
    let (_, status) = world
        .call(&again, "product_orders free_plan", "orders")
        .await;
    assert_eq!(status, 200);
    let definition = world.gateway.api("payments").unwrap();
    let mapping = &definition["scopes"]["jwt"]["scope_to_policy"];
    assert_eq!(mapping["product_payments"], product.as_str());
    assert_eq!(mapping["theirs"], "noop");
    assert_eq!(keycloak.client("foreign").await.unwrap(), foreign);
    // Two submitted, two ready, and one more for the new credentials.
    let mails = world.mail.wait_for_count(crate::support::PATIENCE, 5).await;
    mails.expect("the developer is told of the new credentials");
}

/// Gives the policies of product and plan.
async fn edit_gateway(world: &World, product: &str, plan: &str) -> (String, String) {
    let control = Control::of(world);
    let mut api = control.get("apis/payments").await;
    let mapping = &mut api["scopes"]["jwt"]["scope_to_policy"];
    let ours = mapping["product_payments"].as_str().unwrap().to_owned();
    assert_eq!(ours, format!("portico-product-{product}"));
    mapping["product_payments"] = "noop".into();
    mapping["theirs"] = "noop".into();
    control.put("apis/payments", api).await;
    let policy_id = format!("portico-plan-{plan}");
    let mut policy = control.get(&format!("policies/{policy_id}")).await;
    policy["rate"] = json!(1_000_000);
    control.put(&format!("policies/{policy_id}"), policy).await;
    control.get("reload?block=true").await;
    (ours, policy_id)
}

async fn made_repair(world: &World) {
    let path = "/api/v1/drift/repair";
    let answer = world.admin.post(path, json!({"limit": 100})).await.unwrap();
    let report = answer.expect(StatusCode::ACCEPTED).unwrap();
    for item in report["items"].as_array().unwrap() {
        let wanted = match item["place"].as_str().unwrap() {
            "gateway" => "repaired",
            _ => "under_way",
        };
        assert_eq!(item["repair"], wanted, "{item}");
    }
}

/// Somebody at the gateway's control API.
struct Control {
    http: reqwest::Client,
    url: String,
    secret: String,
}

impl Control {
    fn of(world: &World) -> Self {
        Self {
            http: portico_sandbox::outgoing::http_client().unwrap(),
            url: world.gateway.url(),
            secret: world.gateway.secret().to_owned(),
        }
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}/tyk/{path}", self.url));
        let request = request.header("x-tyk-authorization", &self.secret);
        request.send().await.unwrap().json().await.unwrap()
    }

    async fn put(&self, path: &str, body: Value) {
        let request = self.http.put(format!("{}/tyk/{path}", self.url));
        let request = request.header("x-tyk-authorization", &self.secret);
        let answer = request.json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
}
