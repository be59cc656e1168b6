//! What `docker-compose.yml` seeds: its script, with the same servers, without containers.

use std::process::Command;

use http::StatusCode;
use portico_tests::keycloak::KEYCLOAK;
use portico_trials::{Trial, trials};
use serde_json::{Value, json};

use crate::support::{
    actions::{Configured, made},
    process::{ADMIN_EMAIL, ADMIN_PASSWORD},
    world::{Backends, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials!(multi, [KEYCLOAK]; a_seeded_portal_can_be_clicked_through_at_once)
}

async fn a_seeded_portal_can_be_clicked_through_at_once() {
    let world = World::start(Provider::keycloak().await, Backends::embedded()).await;
    assert!(seed(&world).contains("seeded: two products"));
    let again = seed(&world);
    assert!(again.contains("seeded already"), "{again}");

    let products = list(&world, "products").await;
    let product = |name: &str| id_of(&products, name);
    let providers = list(&world, "identity-providers").await;
    let provider_id = id_of(&providers, "Keycloak");
    let client_types = format!("identity-providers/{provider_id}/client-types");
    let anonymous = world.portico.anonymous();
    let developer = ("ada@example.com", "a-long-password");
    let body = json!({"name": "Ada Lovelace", "email": developer.0, "password": developer.1});
    made(&anonymous, "/api/v1/users", body).await;
    let portal = Configured {
        client_type_id: id_of(&list(&world, &client_types).await, "Backend service"),
        provider_id,
        payments: product("Payments API"),
        orders: product("Orders API"),
        free: id_of(&list(&world, "plans").await, "Free"),
        developer: anonymous.sign_in(developer.0, developer.1).await.unwrap(),
    };
    let (request, application) = portal.submit(&portal.payments, None).await;
    world.approve(&request).await;
    let credentials = portal.credentials(&application).await;
    let (_, status) = world
        .call(&credentials, "product_payments free_plan", "payments")
        .await;
    assert_eq!(status, 200);
}

/// Runs the script as the container does; what it prints.
fn seed(world: &World) -> String {
    let Provider::Keycloak(keycloak) = &world.provider else {
        panic!("another provider");
    };
    let secrets = tempfile::tempdir().unwrap();
    for (name, secret) in [
        ("admin_password", ADMIN_PASSWORD),
        ("keycloak_password", keycloak.admin_password()),
        ("gateway_secret", world.gateway.secret()),
    ] {
        std::fs::write(secrets.path().join(name), secret).unwrap();
    }
    let issuer = keycloak.issuer();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/compose/seed.sh");
    let output = Command::new("sh")
        .arg(script)
        .env("PORTAL", world.portico.url())
        .env("ADMIN_EMAIL", ADMIN_EMAIL)
        .env("KEYCLOAK", keycloak.base())
        .env("REALM", issuer.rsplit('/').next().unwrap())
        .env("GATEWAY", world.gateway.url())
        .env("GATEWAY_PUBLIC", world.gateway.url())
        .env("SECRETS", secrets.path())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

async fn list(world: &World, path: &str) -> Vec<Value> {
    let answer = world.admin.get(&format!("/api/v1/{path}")).await.unwrap();
    let body = answer.expect(StatusCode::OK).unwrap();
    body["items"].as_array().expect("a list").clone()
}

fn id_of(items: &[Value], name: &str) -> String {
    let found = items.iter().find(|item| item["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}"))["id"]
        .as_str()
        .unwrap()
        .to_owned()
}
