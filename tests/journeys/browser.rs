//! Steps 6 to 11 with a real browser: the developer at a desk, the admin with a phone. What the page offers to copy
//! is run by a shell, as the developer would.

use std::process::Stdio;

use portico_trials::{CHROMIUM, Trial, trials};
use serde_json::Value;
use tokio::process::Command;

use crate::support::{
    actions::{DEVELOPER_EMAIL, DEVELOPER_PASSWORD},
    browser::Browser,
    process::{ADMIN_EMAIL, ADMIN_PASSWORD},
    world::{Backends, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials!(multi, [CHROMIUM]; from_the_catalogue_to_a_call_and_its_end)
}

async fn from_the_catalogue_to_a_call_and_its_end() {
    let world = World::start(Provider::sandbox().await, Backends::embedded()).await;
    world.configure().await;
    let desk = Browser::open(&world.portico.url(), 1280, 900).await;
    let phone = Browser::open(&world.portico.url(), 390, 844).await;

    desk.log_in(DEVELOPER_EMAIL, DEVELOPER_PASSWORD).await;
    desk.go("/").await;
    desk.press("Payments API").await;
    desk.press("Add to cart").await;
    desk.go("/checkout").await;
    desk.press("Submit the request").await;
    desk.says("choose a plan").await;
    desk.choose("Plan", "Free").await;
    desk.fill("Application name", "Shop").await;
    desk.press("Submit the request").await;
    desk.says("pending").await;

    phone.log_in(ADMIN_EMAIL, ADMIN_PASSWORD).await;
    phone.go("/admin/access-requests").await;
    let pages = phone.links("header a[href^='/admin']").await;
    assert!(pages.len() > 9, "{pages:?}");
    for page in pages {
        phone.go(&page).await;
    }
    phone.go("/admin/access-requests").await;
    phone.press("Payments API").await;
    phone.press("Approve").await;
    // Neither of them loads the page again.
    phone.says("Ready to use").await;
    desk.says("Ready to use").await;

    desk.go("/dashboard").await;
    desk.press("Details and credentials").await;
    desk.press("Show the secret").await;
    let commands = crate::support::until("the commands have the secret", || async {
        let commands = desk.commands().await;
        (commands.len() > 1 && !commands[0].contains("CLIENT_SECRET")).then_some(commands)
    })
    .await;
    let token = shell(&commands[0], None).await;
    let token: Value = serde_json::from_str(&token).unwrap();
    let token = token["access_token"].as_str().unwrap().to_owned();
    let called = shell(&format!("{} --include", commands[1]), Some(&token)).await;
    assert!(called.starts_with("HTTP/1.1 200"), "{called}");

    phone.press("Revoke this access").await;
    phone.fill("Reason", "The contract has ended.").await;
    phone.press("Revoke").await;
    phone.says("revoked").await;
    crate::support::until("the token endpoint refuses the client", || async {
        let answer = shell(&format!("{} --include", commands[0]), None).await;
        answer.starts_with("HTTP/1.1 401").then_some(())
    })
    .await;
    for browser in [desk, phone] {
        browser.quit().await;
    }
}

/// What a command says.
async fn shell(command: &str, access_token: Option<&str>) -> String {
    let output = Command::new("sh")
        .args(["-c", &format!("{command} --silent --show-error")])
        .envs(access_token.map(|token| ("ACCESS_TOKEN", token)))
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
