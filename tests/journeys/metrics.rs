//! Every number that the dashboard and the alert rules name is really there.

use std::collections::BTreeSet;

use portico_trials::{Trial, trials};

use crate::support::{
    until,
    world::{Backends, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials!(single, []; the_dashboard_and_the_alerts_name_numbers_that_are_there)
}

const DASHBOARD: &str = include_str!("../../deploy/grafana/portico.json");
const ALERTS: &str = include_str!("../../deploy/prometheus/alerts.yml");

async fn the_dashboard_and_the_alerts_name_numbers_that_are_there() {
    let world = World::start(Provider::sandbox().await, Backends::embedded()).await;
    let portal = world.configure().await;
    let (request, _) = portal.submit(&portal.payments, None).await;
    world.approve(&request).await;
    let mails = world.mail.wait_for_count(crate::support::PATIENCE, 2).await;
    assert!(mails.is_some(), "the mails");

    // What registration and gateway did is in the log, too, each in a line.
    let log = world.portico.log();
    for line in [
        "OAuth client: register succeeded",
        "scope mapping written",
        "access at the gateways: oauth_client succeeded",
    ] {
        assert!(log.contains(line), "{line}");
    }

    let mut named = names(DASHBOARD);
    named.extend(names(ALERTS));
    // Only where there are certificates: the journey `rotation` has some, and looks for these.
    named.retain(|name| !name.starts_with("portico_certificate_"));
    assert!(named.len() > 20, "they name numbers: {named:?}");
    let lines = [
        "portico_registrations_total{outcome=\"succeeded\",provider_type=\"other\",step=\"register\"} 1",
        "portico_entitlements_total{credential=\"oauth_client\",outcome=\"succeeded\"} 1",
        "portico_mails_total{outcome=\"sent\",template=\"access_provisioned\"} 1",
        "portico_events_appended_total{service=\"access-request\",type=\"access_request.approved\"} 1",
        "portico_identity_providers{provider_type=\"other\",status=\"active\"} 1",
        "portico_registration_queue{state=\"parked\"} 0",
        "portico_entitlement_queue{state=\"parked\"} 0",
        "portico_parked_messages{consumer=\"registration\",service=\"registration\"} 0",
        "portico_oldest_unconsumed_seconds{consumer=\"registration\",event=\"access.access_approved\"} 0",
        "portico_ready{part=\"registration\"} 1",
        "portico_ready{part=\"gateway\"} 1",
        "portico_ready{part=\"bus\"} 1",
    ];
    let text = until("every number", || async {
        let text = scrape(&world).await;
        let all_there = lines
            .iter()
            .all(|line| text.lines().any(|shown| shown == *line));
        (all_there && named.is_subset(&series(&text))).then_some(text)
    })
    .await;
    let approved = "portico_grpc_request_duration_seconds_count{code=\"Ok\",\
                    method=\"portico.access.v1.AccessService/ApproveAccessRequest\",service=\"access-request\"} 1";
    assert!(text.contains(approved), "{text}");
    // Labels are from small sets: no id of anything.
    assert!(!text.contains(&request), "{text}");
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("target_info"));
    for line in lines {
        let uuid = line.split(|c: char| !(c.is_ascii_hexdigit() || c == '-'));
        assert!(
            uuid.clone()
                .all(|word| word.len() != 36 || word.matches('-').count() != 4),
            "{line}"
        );
    }
}

pub(crate) async fn scrape(world: &World) -> String {
    let url = format!("{}/metrics", world.portico.url());
    let http = portico_sandbox::outgoing::http_client().unwrap();
    let answer = http.get(url).send().await.unwrap();
    assert!(answer.status().is_success());
    answer.text().await.unwrap()
}

/// Names of our numbers in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("portico_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

/// Names of the series that are shown.
fn series(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let names = lines.filter_map(|line| line.split(['{', ' ']).next());
    names.map(str::to_owned).collect()
}
