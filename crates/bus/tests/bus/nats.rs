//! A NATS server that is away, killed, wiped, or wants a password.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use portico_bus::{
    Bus, BusError, ConsumerSpec, Message, NatsBus, NatsSettings, NotReady, SharedBus,
    nats::durables,
};
use portico_trials::{NATS, NatsServer, Trial, trials};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::support::*;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = trials!(single, [NATS]; a_killed_server_is_unavailable_and_all_flows_again, a_wiped_server_gets_its_stream_and_consumers_again, a_consumer_that_only_waits_survives_a_wipe, an_acknowledgement_from_before_a_wipe_is_refused, a_deleted_consumer_is_made_again, connecting_before_the_server_is_there, a_second_process_shares_the_consumer_and_keeps_its_subjects, settings_of_an_existing_stream_are_updated_and_others_kept, a_password_in_the_url_is_used, a_store_without_room_is_named_until_there_is_room, a_permission_that_one_consumer_lacks_is_named_until_it_is_given, a_consumer_that_may_not_be_made_keeps_none_from_the_others, what_readiness_stores_ends_by_itself, closing_ends_the_deliveries, what_was_fetched_ahead_is_given_back);
    trials.extend(trials!(single, []; a_missing_credentials_file_is_named));
    trials
}

async fn until_ready(bus: &SharedBus) {
    let ready = async {
        while bus.check().await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    within(ready).await;
}

async fn until_not_ready(bus: &SharedBus, code: &str) -> NotReady {
    let refused = async {
        loop {
            match bus.check().await {
                Err(why) if why.code == code => return why,
                _ => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    within(refused).await
}

async fn a_killed_server_is_unavailable_and_all_flows_again() {
    let mut server = NatsServer::start().await.unwrap();
    let bus = nats(&server).await;
    bus.declare(&[REGISTRATION]).await.unwrap();
    let before = bus.incarnation().await.unwrap();
    let mut deliveries = bus.consume(&REGISTRATION).await.unwrap();
    publish(&bus, message(1, APPROVED)).await.unwrap();
    drain(&mut deliveries, 1).await;
    publish(&bus, message(2, APPROVED)).await.unwrap();

    server.kill().unwrap();
    let asked = Instant::now();
    let refused = publish(&bus, message(3, APPROVED)).await;
    assert!(
        matches!(refused, Err(BusError::Unavailable(_))),
        "{refused:?}"
    );
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "took {:?}",
        asked.elapsed()
    );
    assert!(bus.check().await.is_err());

    server.restart().await.unwrap();
    publish_until_safe(&bus, &message(3, APPROVED)).await;
    // The server may have lost the acknowledgement of the first: then it comes again.
    let mut missing = vec![message(2, APPROVED), message(3, APPROVED)];
    while !missing.is_empty() {
        let delivery = next(&mut deliveries).await;
        delivery.ack().await.unwrap();
        missing.retain(|message| *message != delivery.message);
    }
    assert_eq!(
        bus.incarnation().await.unwrap(),
        before,
        "the data is still there"
    );
}

async fn a_wiped_server_gets_its_stream_and_consumers_again() {
    let mut server = NatsServer::start().await.unwrap();
    let bus = nats(&server).await;
    bus.declare(&[REGISTRATION, NOTIFICATION]).await.unwrap();
    let before = bus.incarnation().await.unwrap();
    let mut registration = bus.consume(&REGISTRATION).await.unwrap();
    let mut notification = bus.consume(&NOTIFICATION).await.unwrap();
    publish(&bus, message(1, APPROVED)).await.unwrap();
    drain(&mut registration, 1).await;
    drain(&mut notification, 1).await;

    server.wipe().unwrap();
    server.restart().await.unwrap();
    for n in 1..=20 {
        publish_until_safe(&bus, &message(n, APPROVED)).await;
    }
    drain(&mut registration, 20).await;
    drain(&mut notification, 20).await;
    assert_ne!(
        bus.incarnation().await.unwrap(),
        before,
        "the relay has to see the loss"
    );
}

async fn a_consumer_that_only_waits_survives_a_wipe() {
    let mut server = NatsServer::start().await.unwrap();
    let consuming = nats(&server).await;
    consuming.declare(&[REGISTRATION]).await.unwrap();
    let mut deliveries = consuming.consume(&REGISTRATION).await.unwrap();
    let (had_one, first) = tokio::sync::oneshot::channel();
    let waiting = tokio::spawn(async move {
        drain(&mut deliveries, 1).await;
        had_one.send(()).unwrap();
        drain(&mut deliveries, 1).await
    });
    let publishing = nats(&server).await;
    publish_until_safe(&publishing, &message(1, APPROVED)).await;
    within(first).await.unwrap();

    server.wipe().unwrap();
    server.restart().await.unwrap();
    publish_until_safe(&publishing, &message(2, APPROVED)).await;
    publish_until_safe(&publishing, &message(3, APPROVED)).await;
    within(waiting).await.unwrap();
}

/// An acknowledgement names a place in the stream: after a wipe it would acknowledge another message.
async fn an_acknowledgement_from_before_a_wipe_is_refused() {
    let mut server = NatsServer::start().await.unwrap();
    let bus = nats(&server).await;
    bus.declare(&[REGISTRATION]).await.unwrap();
    let mut deliveries = bus.consume(&REGISTRATION).await.unwrap();
    publish(&bus, message(1, APPROVED)).await.unwrap();
    let stale = next(&mut deliveries).await;

    server.wipe().unwrap();
    server.restart().await.unwrap();
    publish_until_safe(&bus, &message(2, APPROVED)).await;
    let first = next(&mut deliveries).await;
    assert_eq!(first.message.id, message(2, APPROVED).id);
    drop(first);
    assert!(matches!(stale.ack().await, Err(BusError::Unavailable(_))));
    let again = next(&mut deliveries).await;
    assert_eq!(
        (again.message.id, again.attempt),
        (message(2, APPROVED).id, 2)
    );
    again.ack().await.unwrap();
}

async fn a_deleted_consumer_is_made_again() {
    let server = NatsServer::start().await.unwrap();
    let bus = nats(&server).await;
    bus.declare(&[REGISTRATION]).await.unwrap();
    let mut deliveries = bus.consume(&REGISTRATION).await.unwrap();
    publish(&bus, message(1, APPROVED)).await.unwrap();
    drain(&mut deliveries, 1).await;

    let waiting = tokio::spawn(async move { drain(&mut deliveries, 2).await });
    let client = async_nats::connect(server.url()).await.unwrap();
    let js = async_nats::jetstream::new(client);
    let [(name, _)] = durables(&REGISTRATION).try_into().unwrap();
    js.delete_consumer_from_stream(name, "PORTICO")
        .await
        .unwrap();
    publish(&bus, message(2, APPROVED)).await.unwrap();
    within(waiting).await.unwrap();
}

async fn connecting_before_the_server_is_there() {
    let mut server = NatsServer::start().await.unwrap();
    server.kill().unwrap();
    let settings = NatsSettings {
        connect_wait: Duration::from_millis(50),
        ..nats_settings(&server)
    };
    let bus: SharedBus = Arc::new(NatsBus::connect(settings).await.unwrap());
    assert!(bus.check().await.unwrap_err().code == "bus_unavailable");
    let undone = bus.declare(&[REGISTRATION]).await;
    assert!(matches!(undone, Err(BusError::Unavailable(_))));
    let mut deliveries = bus.consume(&REGISTRATION).await.unwrap();

    server.restart().await.unwrap();
    publish_until_safe(&bus, &message(1, APPROVED)).await;
    drain(&mut deliveries, 1).await;
    until_ready(&bus).await;
}

async fn a_second_process_shares_the_consumer_and_keeps_its_subjects() {
    let server = NatsServer::start().await.unwrap();
    let grown = ConsumerSpec {
        name: REGISTRATION.name,
        subjects: &[APPROVED, REVOKED],
    };
    let old = nats(&server).await;
    old.declare(&[REGISTRATION]).await.unwrap();
    let new = nats(&server).await;
    new.declare(std::slice::from_ref(&grown)).await.unwrap();
    // The old replica looks for its consumer, and must not take the new subject away.
    let mut deliveries = old.consume(&REGISTRATION).await.unwrap();
    publish(&new, message(1, APPROVED)).await.unwrap();
    drain(&mut deliveries, 1).await;
    drop(deliveries);
    publish(&new, message(2, REVOKED)).await.unwrap();
    let mut deliveries = new.consume(&grown).await.unwrap();
    drain(&mut deliveries, 1).await;
}

async fn settings_of_an_existing_stream_are_updated_and_others_kept() {
    let server = NatsServer::start().await.unwrap();
    let bus = nats(&server).await;
    bus.declare(&[REGISTRATION]).await.unwrap();
    let js = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let mut config = js
        .get_stream("PORTICO")
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    config.max_messages = 1_000_000;
    js.update_stream(config).await.unwrap();

    let settings = NatsSettings {
        max_age: Duration::from_secs(3600),
        max_bytes: 1 << 20,
        ..nats_settings(&server)
    };
    let second = NatsBus::connect(settings).await.unwrap();
    second.declare(&[REGISTRATION]).await.unwrap();
    let config = js
        .get_stream("PORTICO")
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    assert_eq!(
        (config.max_age.as_secs(), config.max_bytes),
        (3600, 1 << 20)
    );
    assert_eq!(config.max_messages, 1_000_000);
    // The oldest go for new ones, so that publishing never waits for a consumer.
    for n in 1..=12 {
        let large = Message {
            payload: vec![0; 100_000].into(),
            ..message(n, APPROVED)
        };
        publish(&bus, large).await.unwrap();
    }
    let mut stream = js.get_stream("PORTICO").await.unwrap();
    let state = &stream.info().await.unwrap().state;
    assert!(state.bytes <= 1 << 20, "{state:?}");
    assert!(
        state.first_sequence > 1 && state.last_sequence == 12,
        "{state:?}"
    );
}

async fn a_password_in_the_url_is_used() {
    let server = NatsServer::start_with(&["--user", "portico", "--pass", "pa:ss"])
        .await
        .unwrap();
    let settings = |user: &str| NatsSettings {
        url: server.url().replace("nats://", &format!("nats://{user}@")),
        ..nats_settings(&server)
    };
    let bus = NatsBus::connect(settings("portico:pa:ss")).await.unwrap();
    bus.declare(&[REGISTRATION]).await.unwrap();
    let wrong = NatsSettings {
        connect_wait: Duration::from_millis(500),
        ..settings("portico:wrong")
    };
    let stranger: SharedBus = Arc::new(NatsBus::connect(wrong).await.unwrap());
    until_not_ready(&stranger, "bus_refuses_login").await;
}

/// A server with a file for its configuration, which is there as long as the folder.
async fn configured(configuration: &str) -> (NatsServer, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nats.conf");
    std::fs::write(&file, configuration).unwrap();
    let server = NatsServer::start_configured(&file, &[]).await.unwrap();
    (server, folder)
}

async fn a_store_without_room_is_named_until_there_is_room() {
    let (server, _folder) = configured("jetstream { max_file_store: 1MB }").await;
    // A limit of the stream would be room that it reserves.
    let settings = NatsSettings {
        max_bytes: 0,
        ..nats_settings(&server)
    };
    let bus: SharedBus = Arc::new(NatsBus::connect(settings).await.unwrap());
    bus.declare(&[REGISTRATION]).await.unwrap();
    until_ready(&bus).await;
    let mut numbers = 1..;
    let full = async {
        loop {
            let large = Message {
                payload: vec![b'x'; 60_000].into(),
                ..message(numbers.next().unwrap(), APPROVED)
            };
            if publish(&bus, large).await.is_err() {
                return;
            }
        }
    };
    within(full).await;
    let why = until_not_ready(&bus, "bus_full").await;
    assert!(why.cause.contains("insufficient"), "{why}");

    let js = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let stream = js.get_stream("PORTICO").await.unwrap();
    stream.purge().await.unwrap();
    until_ready(&bus).await;
}

/// Everything else works, so that nothing but the consumer itself can tell.
async fn a_permission_that_one_consumer_lacks_is_named_until_it_is_given() {
    let permissions = |denied: &str| {
        format!(
            "authorization {{ users: [{{ user: u, password: p, \
             permissions: {{ publish: {{ allow: [\">\"], deny: [{denied}] }} }} }}] }}"
        )
    };
    let [(durable, _)] = durables(&REGISTRATION).try_into().unwrap();
    let next_message = format!("\"$JS.API.CONSUMER.MSG.NEXT.PORTICO.{durable}\"");
    let (server, folder) = configured(&permissions(&next_message)).await;
    let settings = NatsSettings {
        url: server.url().replace("://", "://u:p@"),
        ..nats_settings(&server)
    };
    let bus: SharedBus = Arc::new(NatsBus::connect(settings).await.unwrap());
    bus.declare(&[REGISTRATION, NOTIFICATION]).await.unwrap();
    let mut deliveries = bus.consume(&REGISTRATION).await.unwrap();
    let waiting = tokio::spawn(async move { drain(&mut deliveries, 1).await });
    publish(&bus, message(1, APPROVED)).await.unwrap();
    let why = until_not_ready(&bus, "bus_permission_missing").await;
    assert!(why.cause.contains(&durable), "{why}");
    let [first] = bus
        .waiting(&REGISTRATION)
        .await
        .unwrap()
        .try_into()
        .unwrap();
    let [second] = bus
        .waiting(&REGISTRATION)
        .await
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!(second.messages, Some(1));
    assert!(second.oldest > first.oldest, "{first:?} {second:?}");

    std::fs::write(folder.path().join("nats.conf"), permissions("")).unwrap();
    server.reload().unwrap();
    within(waiting).await.unwrap();
    until_ready(&bus).await;
}

async fn a_consumer_that_may_not_be_made_keeps_none_from_the_others() {
    let [(denied, _), _] = durables(&NOTIFICATION).try_into().unwrap();
    let (server, _folder) = configured(&format!(
        "authorization {{ users: [{{ user: u, password: p, permissions: {{ publish: {{ allow: [\">\"], \
         deny: [\"$JS.API.CONSUMER.CREATE.PORTICO.{denied}.>\"] }} }} }}] }}"
    ))
    .await;
    let settings = NatsSettings {
        url: server.url().replace("://", "://u:p@"),
        timeout: Duration::from_secs(1),
        ..nats_settings(&server)
    };
    let bus: SharedBus = Arc::new(NatsBus::connect(settings).await.unwrap());
    bus.declare(&[NOTIFICATION]).await.unwrap_err();
    let mut deliveries = bus.consume(&NOTIFICATION).await.unwrap();
    publish(&bus, message(1, REVOKED)).await.unwrap();
    drain(&mut deliveries, 1).await;
    let why = until_not_ready(&bus, "bus_permission_missing").await;
    assert!(why.cause.contains(&denied), "{why}");
    let [approved, revoked] = bus
        .waiting(&NOTIFICATION)
        .await
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!(approved.messages, None, "nobody tells");
    assert!(revoked.messages.is_some());
}

async fn what_readiness_stores_ends_by_itself() {
    let server = NatsServer::start().await.unwrap();
    let js = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let bus = nats(&server).await;
    bus.declare(&[REGISTRATION]).await.unwrap();
    bus.check().await.unwrap();
    bus.check().await.unwrap();
    let stream = js.get_stream("PORTICO").await.unwrap();
    let (state, config) = (&stream.cached_info().state, &stream.cached_info().config);
    assert_eq!(state.messages, 1, "one for some seconds");
    assert!(!config.allow_rollup);
    let probe = stream.get_raw_message(1).await.unwrap();
    let ends = probe.headers.get("Nats-TTL").map(ToString::to_string);
    assert_eq!(ends.as_deref(), Some("60"));
}

async fn a_missing_credentials_file_is_named() {
    let settings = NatsSettings {
        credentials_file: Some("/does/not/exist.creds".into()),
        ..NatsSettings::default()
    };
    let Err(error) = NatsBus::connect(settings).await else {
        panic!("connected without credentials");
    };
    assert!(
        error.to_string().contains("/does/not/exist.creds"),
        "{error}"
    );
}

async fn closing_ends_the_deliveries() {
    let server = NatsServer::start().await.unwrap();
    let bus = NatsBus::connect(nats_settings(&server)).await.unwrap();
    bus.declare(&[REGISTRATION]).await.unwrap();
    let mut deliveries = bus.consume(&REGISTRATION).await.unwrap();
    bus.close().await;
    assert!(within(deliveries.next()).await.is_none());
}

/// Otherwise it would come after the ack wait, which is longer than this test has.
async fn what_was_fetched_ahead_is_given_back() {
    let server = NatsServer::start().await.unwrap();
    let settings = NatsSettings {
        ack_wait: Duration::from_hours(1),
        ..nats_settings(&server)
    };
    let all = 3 * u128::from(settings.batch);
    let leaving: SharedBus = Arc::new(NatsBus::connect(settings.clone()).await.unwrap());
    leaving.declare(&[REGISTRATION]).await.unwrap();
    for number in 1..=all {
        publish(&leaving, message(number, APPROVED)).await.unwrap();
    }
    let mut deliveries = leaving.consume(&REGISTRATION).await.unwrap();
    drain(&mut deliveries, 1).await;
    // Somebody works on this one: it is theirs until the ack wait is over.
    let begun = next(&mut deliveries).await;
    drop(deliveries);
    leaving.close().await;

    let staying = NatsBus::connect(settings).await.unwrap();
    staying.declare(&[REGISTRATION]).await.unwrap();
    let mut deliveries = staying.consume(&REGISTRATION).await.unwrap();
    let others = usize::try_from(all).unwrap() - 2;
    let left = drain(&mut deliveries, others).await;
    assert!(!left.contains(&begun.message));
}
