//! The relay to JetStream, against publishing such messages with the bare client library and with `nats bench`.

use std::{
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, jetstream};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream::FuturesUnordered};
use portico_bus::{Bus as _, NatsBus, NatsSettings};
use portico_eventstore::{
    Database, EventStore, Lease, RecordedEvent, StoreError,
    clock::Clock,
    relay::{PublicEvent, Publish, Relay},
};
use portico_trials::{NATS, NatsServer};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    log::{fill, message, store},
    peers::{installed, target},
    ratio::{Contender, Side, contest},
    rounds::Rounds,
    row::Aim,
};

/// Unacknowledged messages, as many as the relay allows.
const WINDOW: usize = 256;
const SUBJECT: &str = "portico.bench.written";

/// The server's answer to a publish.
type Acknowledged = Result<jetstream::publish::PublishAck, jetstream::context::PublishError>;

struct All;

#[async_trait]
impl Publish for All {
    async fn publish(
        &self,
        _: &EventStore,
        event: &RecordedEvent,
    ) -> Result<Option<PublicEvent>, StoreError> {
        Ok(Some(PublicEvent {
            subject: SUBJECT,
            payload: event.stream.clone().into_bytes(),
        }))
    }
}

/// Messages per second from SQLite to one NATS server. A server keeps what it received, so each turn starts a new one.
pub(crate) async fn measure(rounds: &Rounds, events: i64) -> Result<(), String> {
    if let Some(missing) = (NATS.missing)() {
        rounds.skipped("relay", missing);
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(message)?;
    let database = Database::sqlite(folder.path(), "bench", &[])
        .await
        .map_err(message)?;
    let store = store(database, false).await?;
    fill(&store, events).await?;
    let head = *store.head().borrow();
    let installed = installed("nats", &[target().join("nats")]);
    let peers = vec![
        Contender {
            against: "async-nats, 256 under way".to_owned(),
            aim: Aim::Open,
            side: Ok(Box::new(Library(head)) as Box<dyn Side>),
        },
        Contender {
            against: "nats bench, 256 under way".to_owned(),
            aim: Aim::AtLeast(0.8),
            side: installed.map(|()| Box::new(NatsBench(head)) as _),
        },
    ];
    let what = format!("relay, {head} events");
    contest(
        rounds,
        &what,
        async || relay_rate(&store, head).await,
        peers,
    )
    .await
}

/// The client library that the relay uses, without the relay.
struct Library(i64);

#[async_trait(?Send)]
impl Side for Library {
    async fn turn(&mut self) -> Result<f64, String> {
        publish_rate(self.0).await
    }
}

/// The benchmark of NATS' own command line: messages of the same size with ids, into such a stream.
struct NatsBench(i64);

#[async_trait(?Send)]
impl Side for NatsBench {
    async fn turn(&mut self) -> Result<f64, String> {
        let server = NatsServer::start().await.map_err(message)?;
        let output = tokio::process::Command::new(target().join("nats"))
            .args(["bench", "js", "pub", "async", SUBJECT, "-s", &server.url()])
            .args([
                "--create",
                "--stream=PORTICO",
                "--storage=file",
                "--batch=256",
            ])
            .args(["--dedup", "--dedupwindow=2m", "--size=41", "--no-progress"])
            .arg(format!("--msgs={}", self.0))
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(message)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = text
            .split_once("stats: ")
            .and_then(|(_, rest)| rest.split(' ').next());
        let rate = rate.and_then(|rate| rate.replace(',', "").parse().ok());
        rate.ok_or_else(|| format!("nats bench: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

async fn relay_rate(store: &EventStore, head: i64) -> Result<f64, String> {
    let server = NatsServer::start().await.map_err(message)?;
    let settings = NatsSettings {
        url: server.url(),
        ..NatsSettings::default()
    };
    let bus = Arc::new(NatsBus::connect(settings).await.map_err(message)?);
    bus.declare(&[]).await.map_err(message)?;
    let lease = Lease::new(
        store.database().clone(),
        Relay::LEASE,
        Uuid::now_v7(),
        Duration::from_secs(10),
    );
    let relay = Relay {
        store: store.clone(),
        bus,
        publish: Arc::new(All),
        lease,
        clock: Clock::system(),
    };
    let client = async_nats::connect(server.url()).await.map_err(message)?;
    let context = jetstream::new(client);
    let shutdown = CancellationToken::new();
    let began = Instant::now();
    let running = tokio::spawn(relay.run(shutdown.clone()));
    loop {
        let stream = context.get_stream("PORTICO").await.map_err(message)?;
        let held = stream.get_info().await.map_err(message)?.state.messages;
        if i64::try_from(held).is_ok_and(|held| held >= head) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rate = head as f64 / began.elapsed().as_secs_f64();
    shutdown.cancel();
    running.await.map_err(message)?;
    Ok(rate)
}

async fn publish_rate(count: i64) -> Result<f64, String> {
    let server = NatsServer::start().await.map_err(message)?;
    let client = async_nats::connect(server.url()).await.map_err(message)?;
    let context = jetstream::new(client);
    let config = jetstream::stream::Config {
        name: "PORTICO".into(),
        subjects: vec!["portico.>".into()],
        duplicate_window: Duration::from_mins(2),
        ..jetstream::stream::Config::default()
    };
    context.create_stream(config).await.map_err(message)?;
    let payload = Bytes::from(format!("note-{}", Uuid::now_v7()));
    let mut under_way = FuturesUnordered::new();
    let began = Instant::now();
    for _ in 0..count {
        if under_way.len() >= WINDOW
            && let Some(acknowledged) = under_way.next().await
        {
            let acknowledged: Acknowledged = acknowledged;
            acknowledged.map_err(message)?;
        }
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", Uuid::now_v7().to_string().as_str());
        let receipt = context
            .publish_with_headers(SUBJECT, headers, payload.clone())
            .await
            .map_err(message)?;
        under_way.push(receipt.into_future());
    }
    while let Some(acknowledged) = under_way.next().await {
        acknowledged.map_err(message)?;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}
