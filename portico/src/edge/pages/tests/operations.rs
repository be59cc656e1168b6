//! What an operator looks at and repairs, over REST, gRPC and on the pages.

use http::StatusCode;
use portico_eventstore::{
    Database,
    sqlx::{self},
};
use portico_proto::operations::v1::{
    ListParkedMessagesRequest, ParkedMessagesRequest,
    operations_service_client::OperationsServiceClient,
};
use serde_json::{Value, json};
use tonic::{Code, Request, transport::Endpoint};

use super::Portal;
use crate::{client::Portal as Client, demo::seed};

const PARKED: &str = "/api/v1/parked-messages";
const CONSUMER: &str = "registration";
/// A message that no version can read.
const POISON: [&str; 3] = [
    "0190b6f1-7c3e-7d2a-9b1e-5f3c2a1b0d41",
    "0190b6f1-7c3e-7d2a-9b1e-5f3c2a1b0d42",
    "0190b6f1-7c3e-7d2a-9b1e-5f3c2a1b0d43",
];

impl Portal {
    async fn client(&self, email: &str, password: &str) -> Client {
        let http = portico_sandbox::outgoing::http_client().unwrap();
        let anonymous = Client::anonymous(http, self.world.portal_url());
        anonymous.sign_in(email, password).await.unwrap()
    }

    async fn admin_client(&self) -> Client {
        self.client(seed::ADMIN_EMAIL, seed::ADMIN_PASSWORD).await
    }

    /// Parks messages in the registration service, as its consumer would have.
    async fn park(&self, ids: &[&str]) {
        let database = Database::sqlite(self.world.data_dir(), CONSUMER, &[])
            .await
            .unwrap();
        for id in ids {
            sqlx::query(
                "INSERT INTO parked (consumer, message_id, subject, payload, headers, reason, attempts, first_parked_at, parked_at) \
                 VALUES ($1, $2, 'portico.access.access_approved', 'ff', '{}', 'from before', 8, $3, $3)",
            )
            .bind(CONSUMER)
            .bind(*id)
            .bind("2026-01-02T12:00:00Z")
            .execute(database.pool())
            .await
            .unwrap();
        }
        database.pool().close().await;
    }
}

async fn items(client: &Client, query: &str) -> Vec<Value> {
    let answer = client.get(&format!("{PARKED}?{query}")).await.unwrap();
    let page = answer.expect(StatusCode::OK).unwrap();
    assert_eq!(page["unreachable"], json!([]));
    page["items"].as_array().unwrap().clone()
}

/// Looks again until it is so.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "not in time: {what}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn refused(client: &Client, path: &str) -> (u16, String, Value) {
    let answer = client.get(path).await.unwrap();
    let code = answer.body["code"].as_str().unwrap_or_default().to_owned();
    let field = answer.body["errors"][0]["field"].clone();
    (answer.status.as_u16(), code, field)
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "a journey is read from top to bottom"
)]
async fn parked_messages() {
    let portal = Portal::start().await;
    let admin = portal.admin_client().await;
    assert_eq!(items(&admin, "").await, Vec::<Value>::new());
    portal.park(&POISON).await;

    // Page by page, filtered, and only for admins.
    let first = admin.get(&format!("{PARKED}?limit=2")).await.unwrap();
    let first = first.expect(StatusCode::OK).unwrap();
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let next = first["next"].as_str().unwrap();
    let rest = items(&admin, &format!("limit=2&after={next}")).await;
    assert_eq!(rest.len(), 1);
    let one = &rest[0];
    assert_eq!(one["service"], CONSUMER);
    assert_eq!(one["subject"], "portico.access.access_approved");
    assert_eq!(
        (&one["attempts"], &one["status"]),
        (&json!(8), &json!("parked"))
    );
    assert!(one.get("payload").is_none());
    assert_eq!(items(&admin, "service=catalog").await.len(), 0);
    assert_eq!(items(&admin, "consumer=registration").await.len(), 3);
    for (query, code, field) in [
        ("service=x", "service_invalid", "service"),
        ("status=x", "status_invalid", "status"),
        ("limit=101", "limit_invalid", "limit"),
        ("after=x", "cursor_invalid", "after"),
        ("after=catalog.x", "cursor_invalid", "after"),
    ] {
        let refused = refused(&admin, &format!("{PARKED}?{query}")).await;
        assert_eq!(refused, (400, code.to_owned(), json!(field)), "{query}");
    }
    let developer = portal
        .client(seed::DEVELOPER_EMAIL, seed::DEVELOPER_PASSWORD)
        .await;
    for path in [PARKED, "/api/v1/relays"] {
        assert_eq!(refused(&developer, path).await.0, 403, "{path}");
    }

    // Handled again, twice: still poison, with the new reason.
    let path = format!("{PARKED}/registration/{}", POISON[0]);
    for _ in 0..2 {
        let answer = admin
            .post(&format!("{path}/replay"), json!({}))
            .await
            .unwrap();
        let body = answer.expect(StatusCode::ACCEPTED).unwrap();
        assert_eq!(body["count"], 1);
    }
    let again = until("it is parked again", async || {
        let parked = items(&admin, "status=parked").await;
        let mut again = parked.into_iter().filter(|one| one["id"] == POISON[0]);
        again.find(|one| one["reason"] != "from before")
    })
    .await;
    assert!(again["attempts"].as_u64().unwrap() >= 9, "{again}");
    assert_eq!(again["first_parked_at"], "2026-01-02T12:00:00Z");
    assert_ne!(again["last_parked_at"], again["first_parked_at"]);

    // Dropped: by whom and when is kept.
    let answer = admin.delete(&path).await.unwrap();
    answer.expect(StatusCode::NO_CONTENT).unwrap();
    let me = admin.get("/api/v1/session").await.unwrap().body;
    let dropped = items(&admin, "status=dropped").await;
    assert_eq!(dropped.len(), 1);
    assert_eq!(dropped[0]["id"], POISON[0]);
    let by = dropped[0]["dropped_by"].as_str().unwrap();
    assert!(me.to_string().contains(by), "{by} {me}");
    assert_eq!(admin.delete(&path).await.unwrap().status, 404);
    for unknown in ["registration/nonsense", "nonsense/nonsense"] {
        let path = format!("{PARKED}/{unknown}/replay");
        let status = admin.post(&path, json!({})).await.unwrap().status.as_u16();
        assert!(matches!(status, 400 | 404), "{unknown}: {status}");
    }

    // The same over gRPC.
    let address = format!("http://{}", portal.world.grpc_address());
    let channel = Endpoint::from_shared(address)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut grpc = OperationsServiceClient::new(channel);
    let anonymous = grpc.list_parked_messages(ListParkedMessagesRequest::default());
    assert_eq!(anonymous.await.unwrap_err().code(), Code::Unauthenticated);
    let bearer = format!("Bearer {}", admin.token().unwrap())
        .parse()
        .unwrap();
    let mut request = Request::new(ListParkedMessagesRequest::default());
    request.metadata_mut().insert("authorization", bearer);
    let page = grpc
        .list_parked_messages(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(page.items.len(), 2);
    let bearer = format!("Bearer {}", admin.token().unwrap())
        .parse()
        .unwrap();
    let mut request = Request::new(ParkedMessagesRequest {
        service: CONSUMER.to_owned(),
        ..ParkedMessagesRequest::default()
    });
    request.metadata_mut().insert("authorization", bearer);
    let refused = grpc.drop_parked_messages(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);

    // And on the page.
    let mut browser = portal.admin().await;
    let list = "/admin/parked-messages";
    browser
        .get(list)
        .await
        .is(200)
        .shows(POISON[1])
        .hides(POISON[0])
        .shows("from before");
    let replay = format!("{list}/registration/registration/{}/replay", POISON[1]);
    browser
        .submit(&replay, &[])
        .await
        .is(200)
        .shows("The message is being processed again.");
    let drop = format!("{list}/registration/registration/drop");
    browser.get(&drop).await.is(200).shows("Drop all stuck");
    browser
        .submit(&drop, &[])
        .await
        .is(200)
        .shows("Dropped.")
        .shows("No stuck messages.");
    browser
        .get(&format!("{list}?status=dropped"))
        .await
        .is(200)
        .shows(POISON[2])
        .shows("dropped");
    portal.world.stop().await;
}

#[tokio::test]
async fn events_are_published_again() {
    let portal = Portal::start().await;
    let admin = portal.admin_client().await;
    let relays = async || {
        let answer = admin.get("/api/v1/relays").await.unwrap();
        answer.expect(StatusCode::OK).unwrap()["items"].clone()
    };
    let service = |all: &Value, name: &str| {
        let all = all.as_array().unwrap().clone();
        all.into_iter().find(|one| one["service"] == name).unwrap()
    };
    let before = until("all is published", async || {
        let all = relays().await;
        let done = |one: &Value| one["position"] == one["head"];
        all.as_array().unwrap().iter().all(done).then_some(all)
    })
    .await;
    assert!(service(&before, "registration")["head"].as_u64().unwrap() > 0);
    let republish = "/api/v1/relays/republish";
    for (body, field) in [
        (json!({"service": "x"}), "service"),
        (json!({"from": u64::MAX}), "from"),
        (json!({"from": -1}), "from"),
    ] {
        let answer = admin.post(republish, body).await.unwrap();
        assert_eq!(answer.status, 400);
        assert_eq!(answer.body["errors"][0]["field"], field);
    }
    let answer = admin.post(republish, json!({"from": 0})).await.unwrap();
    let answer = answer.expect(StatusCode::ACCEPTED).unwrap();
    let asked = service(&answer["items"], "registration");
    assert_eq!(asked["republishing"]["position"], 0);
    until("it is done", async || {
        let all = relays().await;
        let done = |one: &Value| one["republishing"].is_null();
        all.as_array().unwrap().iter().all(done).then_some(())
    })
    .await;
    assert_eq!(relays().await, before, "nothing came of it a second time");

    let mut browser = portal.admin().await;
    browser
        .get("/admin/relays")
        .await
        .is(200)
        .shows("registration");
    let form = "/admin/relays/republish";
    browser
        .submit(form, &[("from", "x")])
        .await
        .is(400)
        .shows("It must be a whole number from 0 to 9007199254740991.");
    browser
        .submit(form, &[("service", "catalog"), ("from", "0")])
        .await
        .is(200)
        .shows("The events are being republished.");
    portal.world.stop().await;
}
