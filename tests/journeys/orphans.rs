//! What a provider has of the time after the backup that was restored.

use std::collections::BTreeSet;

use http::StatusCode;
use portico_tests::keycloak::KEYCLOAK;
use portico_trials::{Trial, trials};
use serde_json::{Value, json};

use crate::support::{
    actions::{Configured, DEVELOPER_EMAIL, DEVELOPER_PASSWORD},
    documented,
    process::{ADMIN_EMAIL, ADMIN_PASSWORD, Portico, Settings, command},
    world::{Backends, Provider, World},
};

const PAGE: &str = "docs/run/backup.md";
const FIND: &str = "Clients that the restored portal does not know";

pub(crate) fn trials() -> Vec<Trial> {
    trials!(single, [KEYCLOAK]; clients_that_came_after_the_backup_are_found)
}

async fn clients_that_came_after_the_backup_are_found() {
    let mut world = World::start(Provider::keycloak().await, Backends::embedded()).await;
    let mut portal = world.configure().await;
    let (first, application) = portal.submit(&portal.payments, None).await;
    world.approve(&first).await;
    let kept = portal.credentials(&application).await;
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("portico.backup");
    let backup = backup.to_str().unwrap();
    let (well, said) = command(&world.portico.settings(), &["backup", backup]).await;
    assert!(well, "{said}");
    let mut later = BTreeSet::new();
    for product in [&portal.payments, &portal.orders] {
        let (request, application) = portal.submit(product, None).await;
        world.approve(&request).await;
        later.insert(portal.credentials(&application).await.client_id);
    }

    restore(&mut world, folder.path(), backup).await;
    // Without management credentials nobody lists Keycloak's clients, and that is no failure.
    let (code, said) = find(&world);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Company login: not searched.") && said.contains("view-clients"));
    manage(&world, &portal).await;
    let (code, said) = find(&world);
    assert_eq!(code, Some(3), "{said}");
    let named = said.lines().filter_map(|line| line.split('\t').nth(1));
    let named: BTreeSet<String> = named.map(str::to_owned).collect();
    assert_eq!(named, later, "{said}");
    assert!(listed(&world).await.is_empty(), "a search writes nothing");

    // The way of an admin without a shell.
    let body = json!({"identity_provider_id": portal.provider_id, "list": true});
    for _ in 0..2 {
        let found = world.admin.post("/api/v1/orphans/find", body.clone()).await;
        found.unwrap().expect(StatusCode::OK).unwrap();
        let orphans = listed(&world).await;
        let ids = orphans.iter().map(|one| one["client_id"].as_str().unwrap());
        assert_eq!(ids.map(str::to_owned).collect::<BTreeSet<_>>(), later);
        for orphan in &orphans {
            assert_eq!(orphan["reason"], "unknown_client");
            assert_eq!(orphan["application_id"], Value::Null, "{orphan}");
        }
    }
    let (code, said) = find(&world);
    assert_eq!(code, Some(0), "what is listed is known: {said}");
    for orphan in listed(&world).await {
        let marker = orphan["marker"].as_str().unwrap();
        let path = format!("/api/v1/orphans/{marker}/delete");
        let deleted = world.admin.post(&path, json!({})).await.unwrap();
        assert_eq!(deleted.expect(StatusCode::OK).unwrap()["status"], "deleted");
    }
    assert_eq!(world.provider.client_count().await, 1);
    let anonymous = world.portico.anonymous();
    let developer = anonymous.sign_in(DEVELOPER_EMAIL, DEVELOPER_PASSWORD).await;
    portal.developer = developer.unwrap();
    assert_eq!(portal.credentials(&application).await, kept);
    let (_, status) = world
        .call(&kept, "product_payments free_plan", "payments")
        .await;
    assert_eq!(status, 200);
}

/// The portal as it was at the backup, with what is around it as it is now.
async fn restore(world: &mut World, folder: &std::path::Path, backup: &str) {
    let old = world.portico.settings();
    let new = Settings {
        data_dir: folder.join("restored"),
        ..old
    };
    world.portico.kill();
    let data = new.data_dir.join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::copy(world.portico.data_dir().join("kek"), data.join("kek")).unwrap();
    let (well, said) = command(&new, &["restore", backup]).await;
    assert!(well, "{said}");
    world.portico = Portico::start(new).await;
    let anonymous = world.portico.anonymous();
    let admin = anonymous.sign_in(ADMIN_EMAIL, ADMIN_PASSWORD).await;
    world.admin = admin.unwrap();
}

async fn manage(world: &World, portal: &Configured) {
    let Provider::Keycloak(keycloak) = &world.provider else {
        panic!("it is Keycloak")
    };
    let (id, secret) = keycloak.management();
    let path = format!("/api/v1/identity-providers/{}", portal.provider_id);
    let management = json!({"management_client_id": id, "management_client_secret": secret});
    let patched = world.admin.patch(&path, management).await.unwrap();
    patched.expect(StatusCode::OK).unwrap();
}

/// The command of the page, at this portal: its exit code, and what it says.
fn find(world: &World) -> (Option<i32>, String) {
    let environment = [
        ("PORTICO_URL", world.portico.url()),
        ("PORTICO_TOKEN", world.admin.token().unwrap().to_owned()),
    ];
    documented::ended(&documented::commands(PAGE, FIND), &environment)
}

async fn listed(world: &World) -> Vec<Value> {
    let page = world.admin.get("/api/v1/orphans").await.unwrap();
    let page = page.expect(StatusCode::OK).unwrap();
    page["items"].as_array().unwrap().clone()
}
