//! One NATS user for each service, with the permissions that it needs and no more: `deploy/nats/nats-server.conf`.

#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a program of tests: what goes wrong ends the test"
)]

mod generate;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use portico::run::wiring;
use portico_bus::{
    Bus as _, BusError, ConsumerSpec, Message, NatsBus, NatsSettings, nats::durables,
};
use portico_runtime::ServiceName;
use portico_trials::{NATS, NatsServer, Trial, trials};
use serde_json::json;
use uuid::Uuid;

fn main() -> std::process::ExitCode {
    let mut all: Vec<Trial> = trials!(single, []; the_file_is_what_the_services_need);
    all.extend(
        trials!(single, [NATS]; every_service_works, nobody_publishes_for_another,
        nobody_consumes_for_another, nobody_widens_what_it_reads, nobody_changes_the_stream),
    );
    portico_trials::run([all])
}

/// What is permitted may take so long, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is not answered for so long was refused.
const SILENCE: Duration = Duration::from_millis(700);

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nats/nats-server.conf")
}

async fn the_file_is_what_the_services_need() {
    let wanted = generate::server_config(&generate::consumers().await);
    if std::env::var_os("UPDATE_NATS_CONFIG").is_some() {
        std::fs::write(file(), &wanted).unwrap();
    }
    let present = std::fs::read_to_string(file()).unwrap_or_default();
    assert!(
        present == wanted,
        "run: UPDATE_NATS_CONFIG=1 cargo test -p portico --test nats_accounts"
    );
}

/// A server with the file, and who may connect to it.
struct World {
    server: NatsServer,
    consumers: Vec<(ServiceName, Vec<ConsumerSpec>)>,
}

impl World {
    async fn start() -> Self {
        let users = ServiceName::ALL
            .map(|name| (generate::password_variable(name), password(name.as_str())));
        let mut environment = users.to_vec();
        environment.push(("NATS_OPERATOR_PASSWORD".to_owned(), password("operator")));
        Self {
            server: NatsServer::start_configured(&file(), &environment)
                .await
                .unwrap(),
            consumers: generate::consumers().await,
        }
    }

    async fn as_user(&self, name: ServiceName) -> NatsBus {
        let user = format!("{}:{}@", name.as_str(), password(name.as_str()));
        let settings = NatsSettings {
            url: self.server.url().replace("://", &format!("://{user}")),
            client_name: name.as_str().to_owned(),
            probe_subject: wiring::probe_subject(name),
            timeout: PATIENCE,
            connect_wait: PATIENCE,
            ..NatsSettings::default()
        };
        NatsBus::connect(settings).await.unwrap()
    }

    /// Every service, connected, with its consumers declared.
    async fn services(&self) -> BTreeMap<&'static str, NatsBus> {
        let mut all = BTreeMap::new();
        for (name, consumers) in &self.consumers {
            let bus = self.as_user(*name).await;
            bus.declare(consumers).await.unwrap();
            all.insert(name.as_str(), bus);
        }
        all
    }
}

/// Whether the server did not do it within [`SILENCE`]: what is not permitted is not answered.
async fn is_refused<T>(asked: impl Future<Output = Result<T, BusError>>) -> bool {
    !matches!(tokio::time::timeout(SILENCE, asked).await, Ok(Ok(_)))
}

fn password(user: &str) -> String {
    format!("p-{user}-secret")
}

fn message(subject: &str) -> Message {
    Message {
        id: Uuid::from_u128(rand::random()),
        subject: subject.to_owned(),
        payload: "{}".into(),
        headers: BTreeMap::new(),
    }
}

async fn publish(bus: &NatsBus, message: Message) -> Result<(), BusError> {
    bus.publish(message).await?.await
}

async fn every_service_works() {
    let world = World::start().await;
    let buses = world.services().await;
    let owner = |subject: &str| {
        let word = subject.split('.').nth(1).unwrap();
        let names = ServiceName::ALL.into_iter();
        names
            .filter(|name| name.subject_word() == word)
            .map(ServiceName::as_str)
            .next()
            .unwrap()
    };
    for name in ServiceName::ALL {
        let bus = &buses[name.as_str()];
        bus.check().await.unwrap();
        let own = message(&format!("portico.{}.something", name.subject_word()));
        publish(bus, own).await.unwrap();
    }
    for (name, consumers) in &world.consumers {
        for spec in consumers {
            let mut deliveries = buses[name.as_str()].consume(spec).await.unwrap();
            for subject in spec.subjects {
                let sent = message(subject);
                publish(&buses[owner(subject)], sent.clone()).await.unwrap();
                // What was published for another consumer of the subject comes, too.
                loop {
                    let delivery = deliveries.next().await.unwrap();
                    delivery.ack().await.unwrap();
                    if delivery.message.id == sent.id {
                        break;
                    }
                }
            }
        }
    }
    assert!(
        world
            .consumers
            .iter()
            .any(|(_, consumers)| !consumers.is_empty())
    );
}

async fn nobody_publishes_for_another() {
    let world = World::start().await;
    let buses = world.services().await;
    let operator = operator(&world).await;
    for name in ServiceName::ALL {
        for other in ServiceName::ALL.into_iter().filter(|other| *other != name) {
            let foreign = format!("portico.{}.something", other.subject_word());
            let asked = publish(&buses[name.as_str()], message(&foreign));
            assert!(is_refused(asked).await, "{name:?} publishes {foreign}");
        }
    }
    let stream = operator.get_stream("PORTICO").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 0);
}

async fn nobody_consumes_for_another() {
    let world = World::start().await;
    let buses = world.services().await;
    for (owner, consumers) in &world.consumers {
        for spec in consumers {
            for name in ServiceName::ALL.into_iter().filter(|name| name != owner) {
                let asked = buses[name.as_str()].declare(std::slice::from_ref(spec));
                assert!(
                    is_refused(asked).await,
                    "{name:?} has the consumer {} of {owner:?}",
                    spec.name
                );
            }
        }
    }
}

/// By another filter in the body, or in the address, or several, or none.
async fn nobody_widens_what_it_reads() {
    let world = World::start().await;
    let _buses = world.services().await;
    let operator = operator(&world).await;
    let stream = operator.get_stream("PORTICO").await.unwrap();
    for (owner, consumers) in &world.consumers {
        let js = async_nats::jetstream::new(client(&world, owner.as_str()).await);
        // One of each is enough: all are made alike.
        let first = consumers.iter().flat_map(durables).next();
        let Some((name, subject)) = first else {
            continue;
        };
        let create = format!("CONSUMER.CREATE.PORTICO.{name}");
        let foreign = "portico.accounts.>";
        let own = format!("{create}.{subject}");
        for (address, filters) in [
            (&own, json!({ "filter_subject": foreign })),
            (&own, json!({ "filter_subject": "" })),
            (&own, json!({ "filter_subjects": [subject, foreign] })),
            (
                &own,
                json!({ "filter_subject": subject, "filter_subjects": [foreign] }),
            ),
            (
                &format!("{create}.{foreign}"),
                json!({ "filter_subject": foreign }),
            ),
            (&create, json!({ "filter_subjects": [subject, foreign] })),
            (&create, json!({})),
        ] {
            let mut config = json!({ "durable_name": name, "ack_policy": "explicit" });
            config
                .as_object_mut()
                .unwrap()
                .extend(filters.as_object().unwrap().clone());
            let body = json!({ "stream_name": "PORTICO", "config": config });
            let asked = js.request::<_, _, serde_json::Value>(address.clone(), &body);
            let answer = tokio::time::timeout(SILENCE, asked).await;
            let done = matches!(&answer, Ok(Ok(answer)) if answer.get("error").is_none());
            assert!(!done, "{owner:?} {address} {filters}: {answer:?}");
        }
        let there: async_nats::jetstream::consumer::PullConsumer =
            stream.get_consumer(&name).await.unwrap();
        let config = &there.cached_info().config;
        assert_eq!(config.filter_subject, subject);
        assert!(config.filter_subjects.is_empty());
    }
}

async fn nobody_changes_the_stream() {
    let world = World::start().await;
    let _buses = world.services().await;
    let client = client(&world, "catalog").await;
    let js = async_nats::jetstream::new(client);
    for subject in [
        "STREAM.DELETE.PORTICO",
        "STREAM.PURGE.PORTICO",
        "STREAM.UPDATE.PORTICO",
    ] {
        let answer = js.request::<_, _, serde_json::Value>(subject.to_owned(), &());
        let answer = tokio::time::timeout(Duration::from_millis(500), answer).await;
        assert!(!matches!(answer, Ok(Ok(_))), "{subject}");
    }
    // Nor by a message of its own that takes the place of all others.
    let operator = operator(&world).await;
    let messages = async || {
        let stream = operator.get_stream("PORTICO").await.unwrap();
        stream.cached_info().state.messages
    };
    let probe = || async_nats::jetstream::message::PublishMessage::build();
    let subject = "portico.catalog.probe";
    js.send_publish(subject, probe())
        .await
        .unwrap()
        .await
        .unwrap();
    let before = messages().await;
    for rollup in ["all", "sub"] {
        let published = js.send_publish(subject, probe().header("Nats-Rollup", rollup));
        assert!(published.await.unwrap().await.is_err(), "{rollup}");
    }
    assert!(before > 0 && messages().await == before);
}

async fn client(world: &World, user: &str) -> async_nats::Client {
    async_nats::ConnectOptions::new()
        .user_and_password(user.to_owned(), password(user))
        .custom_inbox_prefix(format!("_INBOX.{user}"))
        .connect(world.server.url())
        .await
        .unwrap()
}

async fn operator(world: &World) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(client(world, "operator").await)
}
