//! After a crash, after a stop, and in a second process.

use portico_eventstore::testing::{assert_equal_a_rebuild, context};
use portico_notification::{
    delivery::{self, Command, Mail, Phase},
    templates::Template,
};
use portico_proto::notification::v1::DeliveryStatus;
use portico_runtime::Deps;
use portico_sandbox::mail::Fault;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{doubles::*, support::*};

const ID: Uuid = Uuid::from_u128(0x77);

async fn execute(app: &App, command: Command) {
    let command_id = Uuid::new_v5(&ID, format!("{command:?}").as_bytes());
    app.store
        .execute::<delivery::Delivery>(ID, &command, &context(command_id))
        .await
        .unwrap();
}

fn queue() -> Command {
    Command::Queue(Mail {
        template: Template::AccessRejected,
        recipient_id: DEVELOPER,
        subject_id: Some(REQUEST),
        failure: None,
    })
}

#[tokio::test]
async fn an_attempt_without_an_outcome_is_repeated_under_the_same_id() {
    // As a process leaves it that ends between the mail server's 250 and its record.
    let mut app = Setup::new().await.open().await;
    execute(&app, queue()).await;
    execute(&app, Command::StartSending).await;
    app.run();
    let sent = app.delivery_when("sent").await;
    assert_eq!(sent.attempts, 2);
    let mails = app.setup.mail.messages();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].message_id, format!("<{ID}@mail.example>"));
}

#[tokio::test]
async fn mails_queued_before_a_shutdown_are_sent_after_it() {
    let mut setup = Setup::new().await;
    let smtp = setup.mail.smtp_url();
    setup.unset("PORTICO_SMTP_URL");
    let app = setup.start().await;
    app.tell(rejected(1)).await;
    let waiting = app.delivery_when("queued").await;
    assert_eq!(
        (waiting.attempts, waiting.last_error()),
        (0, "no mail server is configured")
    );
    let error = app.resend(&waiting.id).await.unwrap_err();
    assert_eq!(error.code, "delivery_under_way");
    let mut setup = app.stop().await;
    setup.set("PORTICO_SMTP_URL", &smtp);
    let app = setup.start().await;
    let sent = app.delivery_when("sent").await;
    assert_eq!((sent.id, sent.attempts), (waiting.id, 1));
    assert_eq!(app.setup.mail.messages().len(), 1);
}

#[tokio::test]
async fn a_shutdown_finishes_attempts_under_way() {
    let app = Setup::new().await.start().await;
    for id in 1..=20 {
        app.tell(rejected(id)).await;
    }
    let store = app.store.clone();
    let setup = app.stop().await;
    let mut sent = 0;
    for id in 1..=20_u128 {
        let id = Uuid::new_v5(&Uuid::from_u128(id), DEVELOPER.as_bytes());
        let loaded = store.load::<delivery::Delivery>(id).await.unwrap();
        assert_ne!(
            loaded.state.phase,
            Phase::Sending,
            "left without an outcome"
        );
        sent += usize::from(loaded.state.phase == Phase::Sent);
    }
    assert_eq!(setup.mail.messages().len(), sent);
    // And the rest is sent by the next process.
    let app = setup.start().await;
    let mails = app.setup.mail.wait_for_count(PATIENCE, 20).await.unwrap();
    assert_eq!(mails.len(), 20);
}

#[tokio::test]
async fn a_rebuilt_list_is_the_same() {
    rebuild(Setup::new().await).await;
}

pub(crate) async fn rebuild(setup: Setup) {
    let app = setup.start().await;
    app.setup.mail.fail_next(1, Fault::RefuseMessage(451));
    app.setup.mail.fail_next(1, Fault::RefuseRecipient(550));
    app.tell(rejected(1)).await;
    let failed = app.delivery_when("failed").await;
    assert_eq!(failed.attempts, 2);
    app.resend(&failed.id).await.unwrap();
    app.delivery_when("sent").await;
    app.tell(submitted(2)).await;
    app.setup.mail.wait_for_count(PATIENCE, 3).await.unwrap();
    let setup = app.stop().await;
    let app = setup.open().await;
    let live = app.deliveries().await;
    assert_eq!(live.len(), 3);
    assert!(
        live.iter().all(|one| one.status() == DeliveryStatus::Sent),
        "{live:?}"
    );
    assert_equal_a_rebuild(&app.store).await;
}

#[tokio::test]
async fn two_replicas_send_once_and_one_takes_over() {
    let app = Setup::new().await.start().await;
    let other = Deps {
        process: app.deps.clock.new_id(),
        tasks: TaskTracker::new(),
        shutdown: CancellationToken::new(),
        ..app.deps.clone()
    };
    portico_notification::start(&other)
        .await
        .unwrap()
        .run(&other);
    for id in 1..=20 {
        app.tell(rejected(id)).await;
    }
    app.setup.mail.wait_for_count(PATIENCE, 20).await.unwrap();
    let setup = app.stop().await;
    assert_eq!(setup.mail.messages().len(), 20);
    let receipt = setup.bus.publish(rejected(21)).await.unwrap();
    receipt.await.unwrap();
    let mails = setup.mail.wait_for_count(PATIENCE, 21).await.unwrap();
    assert_eq!(mails.len(), 21);
    other.shutdown.cancel();
}
