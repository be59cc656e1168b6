//! One request for access is one trace and one id in the log, from the REST call to the mail; and nothing that is
//! exported is secret or personal.

use std::collections::BTreeSet;

use http::StatusCode;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use portico_trials::{NATS, POSTGRESQL, Trial, trials};
use serde_json::Value;

use crate::support::{
    actions::{DEVELOPER_EMAIL, DEVELOPER_PASSWORD},
    collector::{Collector, Exported},
    process::{ADMIN_EMAIL, ADMIN_PASSWORD},
    until,
    world::{Backends, INITIAL_ACCESS_TOKEN, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = trials!(single, []; one_trace_and_one_id_from_the_approval_to_the_mail);
    trials.extend(
        trials!(single, [POSTGRESQL, NATS]; one_trace_and_one_id_through_separate_processes),
    );
    trials
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
/// Of another vendor.
const STATE: &str = "vendor=t61rcWkgMzE";
const REQUEST: &str = "0190b6f1-7c3e-7d2a-9b1e-5f3c2a1b0d4e";
pub(crate) const COLLECTOR_TOKEN: &str = "token-of-the-collector";

/// Name, kind and service of the spans that the trace of an approval must have.
const EXPECTED: [(&str, SpanKind, &str); 14] = [
    (
        "POST /api/v1/access-requests/{id}/approve",
        SpanKind::Server,
        "",
    ),
    (
        "portico.access.v1.AccessService/ApproveAccessRequest",
        SpanKind::Server,
        "access-request",
    ),
    ("append", SpanKind::Internal, ""),
    (
        "relay portico.access.access_approved",
        SpanKind::Producer,
        "",
    ),
    (
        "consume portico.access.access_approved",
        SpanKind::Consumer,
        "",
    ),
    ("registration register", SpanKind::Internal, ""),
    ("provider other register", SpanKind::Client, ""),
    ("entitlement map", SpanKind::Internal, ""),
    ("gateway tyk call", SpanKind::Client, ""),
    (
        "consume portico.registration.registration_reported",
        SpanKind::Consumer,
        "",
    ),
    (
        "consume portico.gateway.gateway_reported",
        SpanKind::Consumer,
        "",
    ),
    (
        "consume portico.access.access_activated",
        SpanKind::Consumer,
        "",
    ),
    ("mail", SpanKind::Internal, ""),
    ("smtp send", SpanKind::Client, ""),
];

async fn one_trace_and_one_id_from_the_approval_to_the_mail() {
    let collector = Collector::start().await;
    let mut backends = Backends::embedded();
    export_to(&mut backends, &collector);
    let world = World::start(Provider::sandbox().await, backends).await;
    follow(world, &collector, &["portico"]).await;
}

async fn one_trace_and_one_id_through_separate_processes() {
    let collector = Collector::start().await;
    let mut backends = Backends::with_accounts().await;
    export_to(&mut backends, &collector);
    let world = World::start_apart_on(Provider::sandbox().await, backends).await;
    let processes = [
        "portico-edge",
        "portico-access-request",
        "portico-registration",
        "portico-gateway",
        "portico-notification",
    ];
    follow(world, &collector, &processes).await;
}

pub(crate) fn export_to(backends: &mut Backends, collector: &Collector) {
    let header = format!("authorization=Bearer {COLLECTOR_TOKEN}");
    for (name, value) in [
        (
            "PORTICO_TELEMETRY_OTLP_ENDPOINT",
            collector.endpoint().as_str(),
        ),
        ("PORTICO_TELEMETRY_OTLP_HEADERS", header.as_str()),
        ("PORTICO_TELEMETRY_METRICS_INTERVAL", "200ms"),
        ("PORTICO_LOG_FORMAT", "json"),
        ("PORTICO_LOG_LEVEL", "trace"),
        // Of the SDK; otherwise spans are sent every five seconds.
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ] {
        backends.with(name, value);
    }
}

async fn follow(world: World, collector: &Collector, processes: &[&str]) {
    let portal = world.configure().await;
    let (request, application) = portal.submit(&portal.payments, None).await;

    approve(&world, &request).await;
    world.wait_for_status(&request, "active").await;
    let mails = world.mail.wait_for_count(crate::support::PATIENCE, 2).await;
    assert!(mails.is_some(), "the mails");
    let spans = whole(collector).await;
    hangs_together(&spans);
    // What another vendor keeps about the trace came along, through events and messages, up to the mail.
    let mail = spans.iter().find(|one| one.span.name == "smtp send");
    assert_eq!(mail.unwrap().span.trace_state, STATE);
    for process in processes {
        let has = spans.iter().any(|one| one.service_name == *process);
        assert!(has, "no span of {process}");
    }
    until("the numbers", || async {
        collector
            .metrics()
            .contains("portico_registrations_total")
            .then_some(())
    })
    .await;
    assert_eq!(
        collector.authorizations(),
        BTreeSet::from([format!("Bearer {COLLECTOR_TOKEN}")])
    );

    let credentials = portal.credentials(&application).await;
    let secrets = [
        credentials.client_secret.as_str(),
        INITIAL_ACCESS_TOKEN,
        world.gateway.secret(),
        ADMIN_PASSWORD,
        ADMIN_EMAIL,
        DEVELOPER_PASSWORD,
        DEVELOPER_EMAIL,
        "Ada Lovelace",
        "A reason",
        "query-canary",
        portal.developer.token().unwrap(),
        world.admin.token().unwrap(),
    ];
    let raw = collector.raw();
    for secret in secrets {
        let found = raw
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "exported: {}", &secret[..4]);
    }
    one_id_in_the_log(&world.portico.log());
}

/// All of the trace: each process sends its spans when it likes, and those around others after them.
async fn whole(collector: &Collector) -> Vec<Exported> {
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    loop {
        let spans = collector.trace(TRACE);
        let (missing, loose) = (missing(&spans), loose(&spans));
        if missing.is_empty() && loose.is_empty() {
            return spans;
        }
        let there: BTreeSet<&str> = spans.iter().map(|one| one.span.name.as_str()).collect();
        assert!(
            std::time::Instant::now() < deadline,
            "not in the trace: {missing:?}; with nothing above: {loose:?}; there: {there:?}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
}

/// As a program does that has a trace and an id of its own.
async fn approve(world: &World, request: &str) {
    let answer = portico_sandbox::outgoing::http_client()
        .unwrap()
        .post(format!(
            "{}/api/v1/access-requests/{request}/approve?q=query-canary",
            world.portico.url()
        ))
        .bearer_auth(world.admin.token().unwrap())
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
        .header("tracestate", STATE)
        .header("x-request-id", REQUEST)
        .json(&serde_json::json!({"reason": "A reason."}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    assert_eq!(answer.headers()["x-request-id"], REQUEST);
}

fn missing(spans: &[Exported]) -> Vec<&'static str> {
    let there = |(name, kind, service): &(&str, SpanKind, &str)| {
        spans.iter().any(|one| {
            let of = one.attribute("portico.service").unwrap_or_default();
            one.span.name == *name
                && one.span.kind() == *kind
                && (service.is_empty() || of == *service)
        })
    };
    let lacking = EXPECTED.iter().filter(|expected| !there(expected));
    lacking.map(|(name, _, _)| *name).collect()
}

/// The spans above one, the nearest first.
fn above<'a>(spans: &'a [Exported], one: &'a Exported) -> Vec<&'a Exported> {
    let mut above = Vec::new();
    let mut at = one;
    while let Some(parent) = spans
        .iter()
        .find(|parent| parent.span.span_id == at.span.parent_span_id)
    {
        at = parent;
        above.push(parent);
        assert!(above.len() < 100, "a circle");
    }
    above
}

/// Every span hangs below another one of the trace, up to the caller's: those that (still) do not.
fn loose(spans: &[Exported]) -> Vec<&str> {
    let is_loose = |one: &&Exported| {
        let highest = *above(spans, one).last().unwrap_or(one);
        let caller: String = highest
            .span
            .parent_span_id
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        caller != CALLER
    };
    let loose = spans.iter().filter(is_loose);
    loose.map(|one| one.span.name.as_str()).collect()
}

/// The mail hangs below the half that finished last, and that below the approval.
fn hangs_together(spans: &[Exported]) {
    let mut above_mail = BTreeSet::new();
    for mail in spans.iter().filter(|one| one.span.name == "smtp send") {
        let names = above(spans, mail);
        above_mail.extend(names.into_iter().map(|one| one.span.name.as_str()));
    }
    for above in [
        "POST /api/v1/access-requests/{id}/approve",
        "consume portico.access.access_approved",
        "consume portico.access.access_activated",
    ] {
        assert!(above_mail.contains(above), "{above}");
    }
    let reported = above_mail.contains("consume portico.registration.registration_reported")
        || above_mail.contains("consume portico.gateway.gateway_reported");
    assert!(reported, "no report above the mail: {above_mail:?}");
}

/// Lines of every part that worked for the request have its id, and the id of the trace.
fn one_id_in_the_log(log: &str) {
    let mut parts = BTreeSet::new();
    for line in log.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let span = &line["span"];
        if span["request_id"] != REQUEST {
            continue;
        }
        assert_eq!(span["trace_id"], TRACE, "{line}");
        let name = span["name"].as_str().unwrap_or_default();
        let who = span["service"].as_str().or(span["consumer"].as_str());
        parts.insert(format!("{name} {}", who.unwrap_or_default()));
    }
    for part in [
        "request ",
        "call access-request",
        "message registration",
        "message gateway",
        // Of the workers.
        "step ",
        "message notification",
        "message access-request",
        // Looks up the recipient for notification.
        "call accounts",
    ] {
        assert!(parts.contains(part), "{part} not among {parts:?}");
    }
}
