//! The bus: away, its data gone, messages in another order, twice and late, and one that cannot be handled.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream;
use futures::StreamExt as _;
use serde_json::json;

use crate::{
    client::until,
    invariants,
    ledger::Expected,
    random::Random,
    round::Round,
    settle::{settle, settle_within},
    workload::Workload,
    world::{Portal, Setup, World},
};

const STREAM: &str = "PORTICO";
/// What the fault table allows.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(30);

/// NATS is away, and comes back with its data or, at every other seed, without it.
pub async fn nats_away(round: Arc<Round>) {
    away(&round, false).await;
}

/// As [`nats_away`], with two replicas of every service.
pub async fn nats_away_apart(round: Arc<Round>) {
    away(&round, true).await;
}

async fn away(round: &Round, apart: bool) {
    let mut world = World::start(
        &round.folder,
        Setup {
            servers: true,
            apart,
            ..Setup::default()
        },
    )
    .await;
    let portal = world.configure().await;
    Workload::begin(&portal, round.seed, 2, 3).complete().await;
    // Messages that it holds unanswered would come again when it likes, whatever Portico does.
    settle(&world, &portal).await;
    let lost = round.seed % 2 == 1;
    let nats = world.backends.nats.as_mut().unwrap();
    if lost {
        nats.wipe().unwrap()
    } else {
        nats.kill().unwrap()
    }
    // Commands are taken, none has to be repeated.
    let refused = || {
        [&portal.admin, &portal.developer]
            .map(|who| who.refused.load(std::sync::atomic::Ordering::Relaxed))
    };
    let before = refused();
    for _ in 0..5 {
        portal.granted(Expected::Active).await;
    }
    assert_eq!(
        refused(),
        before,
        "commands were refused while NATS was away"
    );
    world
        .backends
        .nats
        .as_mut()
        .unwrap()
        .restart()
        .await
        .unwrap();
    let time = settle_within(&world, &portal, CAUGHT_UP_WITHIN).await;
    round.remark(format!(
        "seed {}: caught up {:.1} s after its return",
        round.seed,
        time.as_secs_f64()
    ));
    invariants::check(&mut world, &portal).await;
}

/// Every message again, long after it was handled, in another order, and each twice.
pub async fn redelivered(round: Arc<Round>) {
    let mut world = World::start(
        &round.folder,
        Setup {
            servers: true,
            ..Setup::default()
        },
    )
    .await;
    let portal = world.configure().await;
    Workload::begin(&portal, round.seed, 2, 4).complete().await;
    settle(&world, &portal).await;
    let posts = world
        .sandbox()
        .requests(portico_sandbox::identity_provider::Operation::Register);
    let mails = world.mail.messages().len();
    world.stop().await;

    let url = world.backends.nats.as_ref().unwrap().url();
    let js = jetstream::new(async_nats::connect(url).await.unwrap());
    let (copies, consumers) = shuffled_copies(&js, round.seed).await;
    assert!(copies > 0 && consumers > 0, "there were no messages");
    world.portico.start().await;
    until("every copy was handled", || async {
        let stream = js.get_stream(STREAM).await.ok()?;
        let (mut names, mut there) = (stream.consumer_names(), 0);
        while let Some(name) = names.next().await {
            there += 1;
            let consumer: jetstream::consumer::PullConsumer =
                stream.get_consumer(&name.ok()?).await.ok()?;
            let info = consumer.cached_info();
            if info.num_pending > 0 || info.num_ack_pending > 0 {
                return None;
            }
        }
        // Each has been made again.
        (there == consumers).then_some(())
    })
    .await;
    settle(&world, &portal).await;
    let again = world
        .sandbox()
        .requests(portico_sandbox::identity_provider::Operation::Register);
    assert_eq!(again, posts, "registrations before and after");
    assert_eq!(world.mail.messages().len(), mails, "mails before and after");
    invariants::check(&mut world, &portal).await;
}

/// Publishes everything in the stream twice more in random order, and has every consumer begin again.
async fn shuffled_copies(js: &jetstream::Context, seed: u64) -> (usize, usize) {
    let mut stream = js.get_stream(STREAM).await.unwrap();
    let mut config = stream.cached_info().config.clone();
    // Otherwise the server recognises the copies by their ids.
    config.duplicate_window = Duration::from_millis(100);
    js.update_stream(&config).await.unwrap();
    let state = stream.info().await.unwrap().state.clone();
    let mut messages = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        messages.push(stream.get_raw_message(sequence).await.unwrap());
    }
    let (mut names, mut consumers) = (stream.consumer_names(), 0);
    while let Some(name) = names.next().await {
        consumers += 1;
        js.delete_consumer_from_stream(name.unwrap(), STREAM)
            .await
            .unwrap();
    }
    let mut random = Random::new(seed, "shuffle");
    for _ in 0..2 {
        // The window must be over.
        tokio::time::sleep(Duration::from_millis(250)).await;
        random.shuffle(&mut messages);
        for message in &messages {
            let copy = js.publish_with_headers(
                message.subject.clone(),
                message.headers.clone(),
                message.payload.clone(),
            );
            let ack = copy.await.unwrap().await.unwrap();
            assert!(!ack.duplicate, "the server recognised a copy");
        }
    }
    (messages.len(), consumers)
}

/// A message that is no protobuf is parked at once; one whose effect the database refuses is parked after eight
/// tries, and handled when the cause is gone and somebody replays it. The stream goes on meanwhile.
pub async fn poison(round: Arc<Round>) {
    let servers = round.seed.is_multiple_of(2);
    let mut world = World::start(
        &round.folder,
        Setup {
            servers,
            ..Setup::default()
        },
    )
    .await;
    let portal = world.configure().await;
    let (request, _) = portal
        .submit(&portal.payments, "product_payments", None)
        .await;
    world
        .stores
        .run("registration", &trigger(servers, &request))
        .await;
    portal
        .decide(&request, "approve", "approved", Expected::Active)
        .await;
    let mut expected = 1;
    if servers {
        garbage(&world, round.seed).await;
        expected += 1;
    }
    // Others go on.
    let (other, _) = portal.granted(Expected::Active).await;
    portal.wait_for(&other, "active").await;
    until("it is parked", || async {
        let parked = world
            .stores
            .number("registration", "SELECT CAST(COUNT(*) AS TEXT) FROM parked")
            .await;
        (parked == expected).then_some(())
    })
    .await;
    let sql = "SELECT consumer, message_id, reason FROM parked WHERE attempts >= 8";
    let parked = world.stores.rows("registration", sql).await;
    assert_eq!(parked.len(), 1, "parked after eight tries: {parked:?}");
    assert!(
        parked[0][2].contains("poison"),
        "the reason is not told: {parked:?}"
    );

    world.stores.run("registration", untrigger(servers)).await;
    replay(&world, &portal, &parked[0][1]).await;
    portal.wait_for(&request, "active").await;
    until("only garbage is parked", || async {
        let parked = world
            .stores
            .number("registration", "SELECT CAST(COUNT(*) AS TEXT) FROM parked")
            .await;
        (parked == expected - 1).then_some(())
    })
    .await;
    invariants::check(&mut world, &portal).await;
}

/// As an operator does it.
async fn replay(world: &World, portal: &Portal, message: &str) {
    let new = json!({"name": "operator", "expires_in_days": 1});
    let made = portal.admin.post("/api/v1/api-tokens", new).await;
    let made = made.expect(201);
    let (url, token) = (world.portico.url(), made["token"].as_str().unwrap());
    let portal = ["parked", "--url", &url, "--token", token];
    let command = [&portal[..], &["replay", "registration", "--id", message]].concat();
    let (succeeded, words) = world.portico.run(&command, None).await;
    assert!(succeeded, "parked replay: {words}");
}

async fn garbage(world: &World, seed: u64) {
    let url = world.backends.nats.as_ref().unwrap().url();
    let js = jetstream::new(async_nats::connect(url).await.unwrap());
    let mut headers = async_nats::HeaderMap::new();
    let id = uuid::Uuid::from_u128(u128::from(seed) + 1);
    headers.insert(async_nats::header::NATS_MESSAGE_ID, id.to_string());
    let subject = "portico.access.access_approved";
    let sent = js.publish_with_headers(subject, headers, "\u{ff}\u{fe} no protobuf".into());
    sent.await.unwrap().await.unwrap();
}

/// Has the database refuse every event that speaks of a request.
fn trigger(servers: bool, request: &str) -> String {
    if servers {
        format!(
            "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN IF NEW.data LIKE '%{request}%' THEN \
             RAISE EXCEPTION 'poison'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql; \
             CREATE TRIGGER poison BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    } else {
        format!(
            "CREATE TRIGGER poison BEFORE INSERT ON events WHEN NEW.data LIKE '%{request}%' \
             BEGIN SELECT RAISE(ABORT, 'poison'); END"
        )
    }
}

fn untrigger(servers: bool) -> &'static str {
    if servers {
        "DROP TRIGGER poison ON events; DROP FUNCTION refuse()"
    } else {
        "DROP TRIGGER poison"
    }
}
