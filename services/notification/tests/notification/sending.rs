//! What is sent, to whom, how often.

use std::time::Duration;

use portico_bus::{Faults, MemoryBus};
use portico_proto::{
    Kind,
    notification::v1::{DeliveryStatus, MailFailed, MailFailure, MailSent, MailTemplate},
};
use portico_sandbox::mail::Fault;
use prost::Message as _;

use super::{doubles::*, support::*};

#[tokio::test]
async fn every_admin_is_told_of_a_request_once_however_often_it_is_delivered() {
    let app = Setup::new().await.start().await;
    for _ in 0..5 {
        app.tell(submitted(1)).await;
    }
    let mails = app.setup.mail.wait_for_count(PATIENCE, 2).await.unwrap();
    // A fact that comes later is sent later: when its mail is there, no second one of the first is to come.
    app.tell(rejected(2)).await;
    let last = app.setup.mail.wait_for_count(PATIENCE, 3).await.unwrap();
    assert_eq!(last.len(), 3);
    let mut to: Vec<_> = mails.iter().flat_map(|m| m.envelope_to.clone()).collect();
    to.sort();
    assert_eq!(to, ["ada.admin@people.example", "bo.boss@people.example"]);
    for mail in &mails {
        assert_eq!(
            mail.subject,
            "Access request: Web shop <b>&</b> co requests Payments"
        );
        assert!(mail.text.contains("Dee Müller requests"), "{}", mail.text);
        assert!(mail.text.contains("> Please, for the shop."));
        assert!(mail.html.contains("Web shop &lt;b&gt;&amp;&lt;"));
        let link = format!("https://portal.example/admin/access-requests/{REQUEST}");
        assert!(mail.text.contains(&link) && mail.html.contains(&link));
    }
}

#[tokio::test]
async fn a_bus_that_duplicates_and_reorders_makes_no_second_mail() {
    for seed in 0..10 {
        let faults = Faults {
            seed,
            duplicate: 0.8,
            delay: Duration::from_millis(5),
            reorder: 0.5,
            drop: 0.2,
        };
        let setup = Setup::with_bus(MemoryBus::with_faults(faults)).await;
        let app = setup.start().await;
        let (a, b, c) = tokio::join!(
            app.setup.bus.publish(submitted(1)),
            app.setup.bus.publish(rejected(2)),
            app.setup.bus.publish(activated(3)),
        );
        for receipt in [a, b, c] {
            receipt.unwrap().await.unwrap();
        }
        let mails = app.setup.mail.wait_for_count(PATIENCE, 4).await.unwrap();
        let setup = app.stop().await;
        assert_eq!(setup.mail.messages().len(), 4, "seed {seed}");
        let mut ids: Vec<_> = mails.into_iter().map(|mail| mail.message_id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 4, "seed {seed}");
    }
}

#[tokio::test]
async fn a_mail_has_text_and_html_and_says_who_it_is_from() {
    let app = Setup::new().await.start().await;
    app.tell(activated(1)).await;
    let mails = app.setup.mail.wait_for_count(PATIENCE, 1).await.unwrap();
    let mail = &mails[0];
    assert_eq!(mail.envelope_from, "portal@mail.example");
    assert_eq!(mail.envelope_to, ["dee.mueller@people.example"]);
    assert!(mail.from.contains("Example portal"), "{}", mail.from);
    assert!(mail.to.contains("Dee Müller"), "{}", mail.to);
    assert!(
        mail.header("Content-Type")
            .starts_with("multipart/alternative")
    );
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert!(!mail.header("Date").is_empty());
    let link = format!("https://portal.example/dashboard/applications/{APPLICATION}");
    assert!(mail.text.contains(&link) && mail.html.contains(&link));
    let delivery = app.delivery_when("sent").await;
    assert_eq!(mail.message_id, format!("<{}@mail.example>", delivery.id));
    assert_eq!(mail.message_id, delivery.message_id);
    assert!(delivery.sent_at.is_some());
}

#[tokio::test]
async fn the_reason_is_that_of_the_step() {
    let app = Setup::new().await.start().await;
    app.tell(rejected(1)).await;
    app.tell(revoked(2)).await;
    let mails = app.setup.mail.wait_for_count(PATIENCE, 2).await.unwrap();
    let text_of = |subject: &str| {
        let mail = mails.iter().find(|mail| mail.subject.contains(subject));
        &mail.unwrap().text
    };
    assert!(text_of("not approved").contains("> Not in this quarter."));
    assert!(text_of("revoked").contains("> The trial is over."));
}

#[tokio::test]
async fn admins_read_the_providers_own_words() {
    let app = Setup::new().await.start().await;
    app.tell(failed(1)).await;
    let mails = app.setup.mail.wait_for_count(PATIENCE, 2).await.unwrap();
    for mail in mails {
        assert!(mail.subject.ends_with("at Company login"));
        // Codes are for programs.
        assert!(!mail.text.contains("invalid_client_metadata"));
        assert!(mail.text.contains("> Invalid scope: free_plan"));
    }
}

#[tokio::test]
async fn a_451_is_tried_again() {
    let app = Setup::new().await.start().await;
    app.setup.mail.fail_next(2, Fault::RefuseMessage(451));
    let mut published = app.published().await;
    app.tell(rejected(1)).await;
    let delivery = app.delivery_when("sent").await;
    assert_eq!(delivery.attempts, 3);
    assert_eq!(delivery.last_error, None);
    assert_eq!(app.setup.mail.messages().len(), 1);
    let event = next(&mut published).await;
    assert_eq!(event.subject, "portico.notification.mail_sent");
    let event = MailSent::decode(event.payload).unwrap();
    assert_eq!(
        (event.template(), event.delivery_id, event.subject_id),
        (
            MailTemplate::AccessRejected,
            delivery.id,
            Some(REQUEST.to_string())
        )
    );
}

#[tokio::test]
async fn a_550_is_final_until_an_admin_asks_again() {
    let app = Setup::new().await.start().await;
    app.setup.mail.fail_next(1, Fault::RefuseRecipient(550));
    let mut published = app.published().await;
    app.tell(rejected(1)).await;
    let failed = app.delivery_when("failed").await;
    assert_eq!(
        (failed.attempts, failed.last_error()),
        (1, "550 not accepted")
    );
    let event = next(&mut published).await;
    assert_eq!(event.subject, "portico.notification.mail_failed");
    assert_eq!(
        MailFailed::decode(event.payload).unwrap().reason(),
        MailFailure::Refused
    );

    let waiting = app.resend(&failed.id).await.unwrap();
    assert_eq!(waiting.last_error, None);
    let sent = app.delivery_when("sent").await;
    let mails = app.setup.mail.messages();
    assert_eq!(mails.len(), 1);
    let id = format!("<{}.1@mail.example>", failed.id);
    assert_eq!((&mails[0].message_id, &sent.message_id), (&id, &id));
    // What was sent can be sent once more, as another message.
    app.resend(&failed.id).await.unwrap();
    app.delivery_that(|one| one.status() == DeliveryStatus::Sent && one.attempts == 3)
        .await;
    let mails = app.setup.mail.messages();
    assert_eq!(
        mails[1].message_id,
        format!("<{}.2@mail.example>", failed.id)
    );
}

#[tokio::test]
async fn what_looks_encoded_is_read_as_it_was_written() {
    const NAME: &str = "=?utf-8?b?UGF5UGFsIHN1cHBvcnQ=?=";
    let app = Setup::new().await.start().await;
    {
        let mut world = app.setup.world.lock().unwrap();
        world.requests[0].application_name = NAME.into();
        world.people[2].name = NAME;
    }
    app.tell(rejected(1)).await;
    let mails = app.setup.mail.wait_for_count(PATIENCE, 1).await.unwrap();
    assert_eq!(mails[0].envelope_to, ["dee.mueller@people.example"]);
    let raw = String::from_utf8_lossy(&mails[0].raw);
    let (head, _) = raw.split_once("\r\n\r\n").unwrap();
    assert!(!head.contains("UGF5UGFsIHN1cHBvcnQ"), "{head}");
    // Decoded once, as a reader does.
    assert!(mails[0].subject.contains(NAME), "{}", mails[0].subject);
    assert_eq!(mails[0].to, format!("{NAME} <dee.mueller@people.example>"));
}

#[tokio::test]
async fn a_recipient_that_the_server_can_never_take_is_tried_once() {
    let mut setup = Setup::new().await;
    let settings = portico_sandbox::mail::Settings {
        smtputf8: false,
        ..Default::default()
    };
    setup.mail = portico_sandbox::mail::start(settings).await.unwrap();
    setup.unset("PORTICO_SMTP_URL");
    let url = setup.mail.smtp_url();
    setup.set("PORTICO_SMTP_URL", &url);
    setup.world.lock().unwrap().people[2].email = "dée.müller@people.example";
    let app = setup.start().await;
    app.tell(rejected(1)).await;
    let failed = app.delivery_when("failed").await;
    assert_eq!(failed.attempts, 1);
    assert_eq!(
        failed.last_error(),
        "the mail server does not take addresses with letters outside ASCII (SMTPUTF8)"
    );
}

#[tokio::test]
async fn attempts_end() {
    let mut setup = Setup::new().await;
    setup.set("PORTICO_RETRY_MAX_ATTEMPTS", "3");
    let app = setup.start().await;
    app.setup.mail.fail_next(3, Fault::RefuseMessage(451));
    app.tell(rejected(1)).await;
    let failed = app.delivery_when("failed").await;
    assert_eq!(
        (failed.attempts, failed.last_error()),
        (3, "451 try again later")
    );
    assert_eq!(app.setup.mail.messages().len(), 0);
}

#[tokio::test]
async fn a_server_that_disconnects_before_its_answer_gets_the_message_again() {
    let app = Setup::new().await.start().await;
    app.setup.mail.fail_next(1, Fault::Close);
    app.tell(rejected(1)).await;
    let delivery = app.delivery_when("sent").await;
    assert_eq!(delivery.attempts, 2);
    assert_eq!(app.setup.mail.messages().len(), 1);
}

#[tokio::test]
async fn a_message_that_may_have_been_accepted_is_repeated_under_the_same_id() {
    let app = Setup::new().await.start().await;
    app.setup.mail.fail_next(1, Fault::KeepThenClose);
    app.tell(rejected(1)).await;
    app.delivery_when("sent").await;
    let mails = app.setup.mail.messages();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].message_id, mails[1].message_id);
}

#[tokio::test]
async fn an_unavailable_server_is_tried_again() {
    let mut setup = Setup::new().await;
    setup.mail.stop().await;
    setup.set("PORTICO_RETRY_MAX_ATTEMPTS", "2");
    let app = setup.start().await;
    app.tell(rejected(1)).await;
    let failed = app.delivery_when("failed").await;
    assert_eq!(failed.attempts, 2);
    assert!(failed.last_error().contains("onnection"), "{failed:?}");
}

#[tokio::test]
async fn an_erased_user_gets_nothing() {
    let app = Setup::new().await.start().await;
    app.setup.world.lock().unwrap().people.clear();
    let mut published = app.published().await;
    app.tell(rejected(1)).await;
    let failed = app.delivery_when("failed").await;
    assert_eq!(failed.last_error(), "the recipient has no account any more");
    let event = MailFailed::decode(next(&mut published).await.payload).unwrap();
    assert_eq!(event.reason(), MailFailure::RecipientGone);
    assert_eq!(app.setup.mail.messages().len(), 0);
    let error = app.resend(&REQUEST.to_string()).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
}

#[tokio::test]
async fn unavailable_services_delay_mails_and_lose_none() {
    let app = Setup::new().await.start().await;
    // The policy asks for the admins; then every sending asks for the people.
    app.setup.world.lock().unwrap().accounts_away_for = 1;
    app.tell(submitted(1)).await;
    app.setup.mail.wait_for_count(PATIENCE, 2).await.unwrap();
    app.setup.world.lock().unwrap().accounts_away_for = 2;
    app.tell(rejected(2)).await;
    app.setup.mail.wait_for_count(PATIENCE, 3).await.unwrap();
}

#[tokio::test]
async fn without_an_admin_nobody_is_told() {
    let app = Setup::new().await.start().await;
    app.setup
        .world
        .lock()
        .unwrap()
        .people
        .retain(|person| !person.admin);
    app.tell(submitted(1)).await;
    assert_eq!(app.deliveries().await, []);
    // It was handled: an admin who comes later is not told.
    let person = Person {
        id: ADMIN,
        name: "Ada",
        email: "ada@people.example",
        admin: true,
    };
    app.setup.world.lock().unwrap().people.push(person);
    app.tell(rejected(2)).await;
    app.setup.mail.wait_for_count(PATIENCE, 1).await.unwrap();
    assert_eq!(app.deliveries().await.len(), 1);
}
