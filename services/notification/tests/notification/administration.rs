//! What admins see and do, and nobody else.

use std::fs;

use portico_proto::{Error, Kind, notification::v1::*};
use portico_runtime::{Caller, IDEMPOTENCY_KEY, Role};

use super::{doubles::*, support::*};

async fn every_method(app: &App, caller: &Caller) -> Vec<Result<(), Error>> {
    let mut client = app.client();
    let id = REQUEST.to_string();
    let name = MailTemplate::AccessRejected.into();
    macro_rules! call {
        ($method:ident, $message:expr) => {
            answer(client.$method(app.request(caller, $message)).await).map(|_| ())
        };
    }
    vec![
        call!(list_deliveries, ListDeliveriesRequest::default()),
        call!(list_templates, ListTemplatesRequest::default()),
        call!(preview_template, PreviewTemplateRequest { name }),
        call!(send_test_mail, SendTestMailRequest { name }),
        call!(get_delivery, GetDeliveryRequest { id: id.clone() }),
        call!(resend_delivery, ResendDeliveryRequest { id }),
    ]
}

#[tokio::test]
async fn every_method_is_for_admins_only() {
    let app = Setup::new().await.start().await;
    let developer = Caller::User {
        id: DEVELOPER,
        role: Role::Developer,
        let_in: false,
    };
    for (caller, kind) in [
        (Caller::Anonymous, Kind::Unauthenticated),
        (developer, Kind::Forbidden),
        (Caller::service("registration"), Kind::Forbidden),
    ] {
        for result in every_method(&app, &caller).await {
            assert_eq!(result.unwrap_err().kind, kind);
        }
    }
    assert_eq!(app.deliveries().await, []);
    let results = every_method(&app, &admin()).await;
    let kinds: Vec<_> = results
        .into_iter()
        .map(|r| r.err().map(|e| e.kind))
        .collect();
    let gone = Some(Kind::NotFound);
    assert_eq!(kinds, [None, None, None, None, gone, gone]);
}

#[tokio::test]
async fn a_test_mail_goes_to_the_caller_once_for_each_key() {
    let app = Setup::new().await.start().await;
    let send = async || {
        let message = SendTestMailRequest {
            name: MailTemplate::AccessProvisioned.into(),
        };
        let mut request = app.request(&admin(), message);
        let key = "key-1".parse().unwrap();
        request.metadata_mut().insert(IDEMPOTENCY_KEY, key);
        answer(app.client().send_test_mail(request).await)
            .unwrap()
            .delivery_id
    };
    let id = send().await;
    assert_eq!(send().await, id);
    let sent = app.delivery_when("sent").await;
    assert_eq!((sent.id, sent.subject_id), (id, None));
    let mails = app.setup.mail.messages();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].envelope_to, ["ada.admin@people.example"]);
    assert_eq!(
        mails[0].subject,
        "[Test] Your credentials for Web shop are ready"
    );
    assert!(mails[0].text.starts_with("Hello Ada Admin,"));
}

#[tokio::test]
async fn the_list_can_begin_with_the_oldest() {
    let app = Setup::new().await.start().await;
    for id in 1..=5 {
        app.tell(rejected(id)).await;
    }
    let list = async |sort: &str, after: &str| {
        let message = ListDeliveriesRequest {
            limit: 3,
            after: after.into(),
            sort: sort.into(),
            ..Default::default()
        };
        let request = app.request(&admin(), message);
        answer(app.client().list_deliveries(request).await)
    };
    // Meanwhile they are sent, so only which they are can be compared.
    let ids = |deliveries: Vec<Delivery>| -> Vec<String> {
        deliveries.into_iter().map(|delivery| delivery.id).collect()
    };
    let mut newest_first = ids(app.deliveries().await);
    let first = list("created_at", "").await.unwrap();
    let second = list("created_at", &first.next).await.unwrap();
    let oldest_first = ids([first.deliveries, second.deliveries].concat());
    newest_first.reverse();
    assert_eq!(oldest_first, newest_first);
    let error = list("status", "").await.unwrap_err();
    assert_eq!(error.fields[0].field, "sort");
}

#[tokio::test]
async fn the_list_has_pages_and_filters() {
    let app = Setup::new().await.start().await;
    for id in 1..=5 {
        app.tell(rejected(id)).await;
    }
    let list = async |message| {
        let request = app.request(&admin(), message);
        answer(app.client().list_deliveries(request).await)
    };
    let all: Vec<_> = app.deliveries().await.into_iter().map(|d| d.id).collect();
    assert_eq!(all.len(), 5);
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = list(ListDeliveriesRequest {
            limit: 2,
            after: after.clone(),
            ..Default::default()
        });
        let page = page.await.unwrap();
        found.extend(page.deliveries.into_iter().map(|d| d.id));
        after = page.next;
        if after.is_empty() {
            break;
        }
    }
    assert_eq!(found, all);
    let about = |subject_id: String| ListDeliveriesRequest {
        subject_id,
        ..Default::default()
    };
    assert_eq!(
        list(about(REQUEST.to_string()))
            .await
            .unwrap()
            .deliveries
            .len(),
        5
    );
    assert_eq!(
        list(about(APPLICATION.to_string()))
            .await
            .unwrap()
            .deliveries,
        []
    );
    let with_status = |status: i32| ListDeliveriesRequest {
        status,
        ..Default::default()
    };
    let failed = with_status(DeliveryStatus::Failed.into());
    assert_eq!(list(failed).await.unwrap().deliveries, []);
    for (message, field) in [
        (with_status(99), "status"),
        (about("x".into()), "subject_id"),
        (
            ListDeliveriesRequest {
                after: "x".into(),
                ..Default::default()
            },
            "after",
        ),
    ] {
        assert_eq!(list(message).await.unwrap_err().fields[0].field, field);
    }
}

#[tokio::test]
async fn templates_of_the_operator_show_in_preview_and_mail() {
    let mut setup = Setup::new().await;
    let theme = setup.folder.path().join("theme");
    fs::create_dir_all(theme.join("mail")).unwrap();
    let own = theme.join("mail/access_rejected.subject.txt");
    fs::write(&own, "Nein: {{ application_name }}").unwrap();
    setup.set("PORTICO_THEME_DIR", theme.to_str().unwrap());
    let app = setup.start().await;
    let preview = async |name: MailTemplate| {
        let request = app.request(&admin(), PreviewTemplateRequest { name: name.into() });
        answer(app.client().preview_template(request).await)
    };
    assert_eq!(
        preview(MailTemplate::AccessRejected).await.unwrap().subject,
        "Nein: Web shop"
    );
    let request = app.request(&admin(), ListTemplatesRequest {});
    let templates = answer(app.client().list_templates(request).await).unwrap();
    let overridden: Vec<_> = templates
        .templates
        .iter()
        .filter(|template| template.overridden)
        .map(Template::name)
        .collect();
    assert_eq!(overridden, [MailTemplate::AccessRejected]);
    app.tell(rejected(1)).await;
    let mails = app.setup.mail.wait_for_count(PATIENCE, 1).await.unwrap();
    assert_eq!(mails[0].subject, "Nein: Web shop <b>&</b> co");

    // Broken while it runs: named in the preview, and no mail is lost.
    fs::write(&own, "Nein: {{ aplication_name }}").unwrap();
    let error = preview(MailTemplate::AccessRejected).await.unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_ref()),
        (Kind::Conflict, "template_broken")
    );
    assert_eq!(
        error.message,
        "mail/access_rejected.subject.txt, line 1: `aplication_name` does not exist. Until it is mended, this \
         message is sent from the built-in templates."
    );
    app.tell(rejected(2)).await;
    let mails = app.setup.mail.wait_for_count(PATIENCE, 2).await.unwrap();
    assert_eq!(
        mails[1].subject,
        "Your access request for Web shop <b>&</b> co was not approved"
    );
    assert_eq!(
        preview(MailTemplate::Unspecified).await.unwrap_err().kind,
        Kind::NotFound
    );
}
