//! Hundreds of applications at once against a real Keycloak, whose answers get lost, cut, late and doubled, while
//! Portico is killed again and again. In the end Keycloak has exactly the clients that are wanted.
//!
//! `PORTICO_MANY` is the number of applications (500 make a full run), `PORTICO_MANY_SEED` decides which calls are
//! spoiled.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use http::StatusCode;
use portico::client::Portal;
use portico_tests::keycloak::{KEYCLOAK, Keycloak};
use portico_trials::{Trial, trials};
use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    actions::{Configured, id, made},
    proxy::Proxy,
    until,
    world::{Backends, Provider, World},
};

/// Calls of the test at once.
const PARALLEL: usize = 8;
/// Kills of Portico, spread over the run.
const KILLS: usize = 3;

pub(crate) fn trials() -> Vec<Trial> {
    trials!(multi, [KEYCLOAK]; registrations_end_as_wanted)
}

/// What is asked for an application, one after the other.
#[derive(Clone, Copy, PartialEq)]
enum Plan {
    /// One product.
    One,
    /// Two products: the client's scopes grow.
    Two,
    /// Two, and the second is revoked: they shrink again.
    TwoRevokeSecond,
    /// One, which is revoked: the client goes.
    OneRevoke,
}

impl Plan {
    fn of(number: usize) -> Self {
        match number % 10 {
            0 | 5 => Self::Two,
            3 => Self::TwoRevokeSecond,
            1 | 7 => Self::OneRevoke,
            _ => Self::One,
        }
    }

    fn wanted(self) -> BTreeSet<&'static str> {
        match self {
            Self::One | Self::TwoRevokeSecond => ["product_payments", "free_plan"].into(),
            Self::Two => ["product_payments", "product_orders", "free_plan"].into(),
            Self::OneRevoke => BTreeSet::new(),
        }
    }
}

struct Application {
    id: String,
    plan: Plan,
    first: String,
    second: Option<String>,
}

async fn registrations_end_as_wanted() {
    let count = number("PORTICO_MANY", 200);
    let seed = number("PORTICO_MANY_SEED", 7) as u64;
    let keycloak = Keycloak::start().await;
    let proxy = Proxy::start(keycloak.base(), seed).await;
    let (world, keycloak) = begin(keycloak, &proxy).await;
    let portal = configured(&world, &proxy, &keycloak, count).await;
    let applications = submitted(&portal, count).await;

    let start = Instant::now();
    proxy.spoil(true);
    let (world, retried) = decide(world, &proxy, &applications).await;
    let took = start.elapsed();
    println!(
        "{count} applications, seed {seed}: settled after {took:.1?} with {KILLS} kills; {proxy}; {retried} parked \
         and retried"
    );
    exactly_the_wanted(&world, &keycloak, &portal, &applications).await;
}

fn number(variable: &str, otherwise: usize) -> usize {
    match std::env::var(variable) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => otherwise,
    }
}

async fn begin(keycloak: Keycloak, proxy: &Proxy) -> (World, Keycloak) {
    let beside = keycloak.same_realm();
    let well_known_url = proxy.through(&keycloak.well_known_url());
    let provider = Provider::KeycloakThrough(keycloak, well_known_url);
    let mut backends = Backends::embedded();
    for (name, value) in [
        ("PORTICO_OUTGOING_TIMEOUT", "6s"),
        ("PORTICO_RETRY_MAX_DELAY", "1s"),
        ("PORTICO_LOG_LEVEL", "info"),
    ] {
        backends.with(name, value);
    }
    (World::start(provider, backends).await, beside)
}

/// Each initial access token is good for exactly as many registrations as there are applications.
async fn configured(world: &World, proxy: &Proxy, keycloak: &Keycloak, count: usize) -> Configured {
    let portal = world.configure().await;
    let (management_client_id, management_client_secret) = keycloak.management();
    let count = u32::try_from(count).unwrap();
    let body = json!({
        "well_known_url": proxy.through(&keycloak.well_known_url()),
        "initial_access_token": keycloak.initial_access_token(count).await,
        "management_client_id": management_client_id,
        "management_client_secret": management_client_secret,
    });
    let path = format!("/api/v1/identity-providers/{}", portal.provider_id);
    let answer = world.admin.patch(&path, body).await.unwrap();
    answer.expect(StatusCode::OK).unwrap();
    portal
}

async fn submitted(portal: &Configured, count: usize) -> Vec<Application> {
    let submit = |number: usize| async move {
        let item = |product: &str| json!([{"product_id": product, "plan_id": portal.free}]);
        let body = json!({
            "items": item(&portal.payments), "client_type_id": portal.client_type_id,
            "application": {
                "name": format!("Application {number}"), "description": "", "redirect_urls": [],
                "visibility": "personal",
            },
        });
        let first = made(&portal.developer, "/api/v1/access-requests", body).await;
        let application = first["application_id"].as_str().unwrap().to_owned();
        let plan = Plan::of(number);
        let second = match plan {
            Plan::Two | Plan::TwoRevokeSecond => {
                let body = json!({
                    "items": item(&portal.orders), "client_type_id": portal.client_type_id,
                    "application_id": application,
                });
                let second = made(&portal.developer, "/api/v1/access-requests", body).await;
                Some(id(&second))
            }
            _ => None,
        };
        Application {
            id: application,
            plan,
            first: id(&first),
            second,
        }
    };
    stream::iter(0..count)
        .map(submit)
        .buffered(PARALLEL)
        .collect()
        .await
}

/// Approves and revokes as planned while Portico is killed, and waits until everything is settled. Gives how many
/// requests were parked and retried, too.
async fn decide(mut world: World, proxy: &Proxy, applications: &[Application]) -> (World, usize) {
    let admin = world.admin.clone();
    let decided = stream::iter(applications)
        .for_each_concurrent(PARALLEL, |application| decide_one(&admin, application));
    let killed = async {
        for kill in 1..=KILLS {
            proxy.calls_reach(applications.len() * kill / 2).await;
            world = world.restart().await;
        }
        world
    };
    let ((), world) = tokio::join!(decided, killed);
    let retried = settled(&world, proxy).await;
    (world, retried)
}

async fn decide_one(admin: &Portal, application: &Application) {
    let first = &application.first;
    act(admin, first, "approve").await;
    match (application.plan, &application.second) {
        (Plan::OneRevoke, _) => act(admin, first, "revoke").await,
        (Plan::Two, Some(second)) => act(admin, second, "approve").await,
        (Plan::TwoRevokeSecond, Some(second)) => {
            act(admin, second, "approve").await;
            act(admin, second, "revoke").await;
        }
        _ => {}
    }
}

/// The portal may be dead when it is asked, or die before it answers.
async fn act(admin: &Portal, request: &str, action: &str) {
    let path = format!("/api/v1/access-requests/{request}/{action}");
    until(&format!("{action} of {request}"), || async {
        let answer = admin
            .post(&path, json!({"reason": "A reason."}))
            .await
            .ok()?;
        match answer.status {
            StatusCode::ACCEPTED => Some(()),
            // The answer to an earlier try got lost.
            StatusCode::CONFLICT => Some(()),
            status if status.is_server_error() => None,
            status => panic!("{action} of {request}: {status} {}", answer.body),
        }
    })
    .await;
}

/// Waits as long as something goes on.
async fn settled(world: &World, proxy: &Proxy) -> usize {
    let mut retried = 0;
    let mut last = (0, Vec::new(), Instant::now());
    loop {
        let open = open(&world.admin).await;
        if open.is_empty() {
            return retried;
        }
        for request in open.iter().filter(|request| request["failure"].is_string()) {
            retried += 1;
            println!("{}: {}", request["application_name"], request["failure"]);
            act(&world.admin, request["id"].as_str().unwrap(), "retry").await;
        }
        let calls = proxy.calls();
        if (calls, &open) != (last.0, &last.1) {
            last = (calls, open, Instant::now());
        }
        assert!(
            last.2.elapsed() < PATIENCE,
            "nothing goes on any more: {:#?}",
            last.1
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Requests that have not come to their end: of the revoked ones, those of which something may be left.
async fn open(admin: &Portal) -> Vec<Value> {
    let mut open = Vec::new();
    for status in ["approved", "provisioning", "failed", "revoked"] {
        let mut after = String::new();
        loop {
            let path = format!("/api/v1/access-requests?limit=100&status={status}&after={after}");
            let page = admin.get(&path).await.unwrap();
            let page = page.expect(StatusCode::OK).unwrap();
            let requests = page["items"].as_array().unwrap().iter();
            open.extend(requests.filter(|request| !is_over(request)).cloned());
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut after),
                None => break,
            }
        }
    }
    open
}

fn is_over(request: &Value) -> bool {
    let mut timeline = request["timeline"].as_array().unwrap().iter();
    request["status"] == "revoked" && timeline.any(|step| step["step"] == "deprovisioned")
}

async fn exactly_the_wanted(
    world: &World,
    keycloak: &Keycloak,
    portal: &Configured,
    applications: &[Application],
) {
    let listed = listed(&world.admin).await;
    let mut there: BTreeMap<String, Value> = keycloak
        .clients()
        .await
        .into_iter()
        .map(|client| (client["clientId"].as_str().unwrap().to_owned(), client))
        .collect();
    for application in applications {
        let wanted = application.plan.wanted();
        let path = format!("/api/v1/applications/{}/clients", application.id);
        let known = world.admin.get(&path).await.unwrap();
        let known = known.expect(StatusCode::OK).unwrap();
        let known = &known["items"][0];
        if wanted.is_empty() {
            // One that was revoked before its registration began was never there.
            assert!(known.is_null() || known["status"] == "deleted", "{known}");
            continue;
        }
        assert_eq!(known["status"], "ready", "{known}");
        let credentials = portal.credentials(&application.id).await;
        let client = there.remove(&credentials.client_id);
        let client = client.unwrap_or_else(|| panic!("it is not at Keycloak: {known}"));
        let scopes = client["optionalClientScopes"].as_array().unwrap().iter();
        let scopes: BTreeSet<&str> = scopes.filter_map(Value::as_str).collect();
        assert_eq!(scopes, wanted, "{known}");
        let scope = Vec::from_iter(wanted).join(" ");
        let (status, body) = keycloak
            .token(&credentials.client_id, &credentials.client_secret, &scope)
            .await;
        assert_eq!(status, 200, "{body}");
    }
    let unknown: Vec<String> = there
        .iter()
        .map(|(id, client)| (id, &client["name"], &client["attributes"]["portico.marker"]))
        .filter(|(_, _, marker)| {
            !marker
                .as_str()
                .is_some_and(|marker| listed.contains(marker))
        })
        .map(|(id, name, marker)| format!("{id} of {name}, marked {marker}"))
        .collect();
    assert!(
        unknown.is_empty(),
        "clients that nobody knows: {unknown:#?}"
    );
}

/// The marks of the orphan list.
async fn listed(admin: &Portal) -> BTreeSet<String> {
    let (mut listed, mut after) = (BTreeSet::new(), String::new());
    loop {
        let path = format!("/api/v1/orphans?limit=100&after={after}");
        let page = admin.get(&path).await.unwrap();
        let page = page.expect(StatusCode::OK).unwrap();
        let orphans = page["items"].as_array().unwrap().iter();
        listed.extend(orphans.filter_map(|orphan| Some(orphan["marker"].as_str()?.to_owned())));
        match page["next"].as_str() {
            Some(next) if !next.is_empty() => next.clone_into(&mut after),
            _ => return listed,
        }
    }
}
