//! What somebody wrote of their applications is in the vault, and gone when they are erased.

use portico_eventstore::{Stream, testing::assert_equal_a_rebuild};
use portico_proto::{access::v1 as api, accounts::v1::UserErased};
use portico_runtime::Caller;
use sqlx::Row as _;
use uuid::Uuid;

use crate::{
    actor::Actor,
    support::{FREE, PAYMENTS, Portal, existing, foreign, order, update},
};

const NAME: &str = "Wetterstation Petra Quasebarth";
const FORMER: &str = "Quasebarth zuerst";
const DESCRIPTION: &str = "Messwerte aus Petras Garten in Wümmersbach.";
const URL: &str = "https://quasebarth.example/wetter/cb";

fn application(name: &str) -> api::Application {
    api::Application {
        name: name.into(),
        description: DESCRIPTION.into(),
        redirect_urls: vec![URL.into()],
        ..Default::default()
    }
}

/// All that is stored in clear: the files of SQLite with its write-ahead log, or the tables of PostgreSQL.
async fn stored(portal: &Portal) -> String {
    let mut found = String::new();
    for file in portal.files() {
        found.push_str(&String::from_utf8_lossy(&file));
    }
    for (table, columns) in [
        ("events", "data, metadata"),
        ("applications", "state"),
        ("access_requests", "state, timeline"),
        ("application_names", "name, name_lower"),
    ] {
        let sql = format!("SELECT {columns} FROM {table}");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql));
        let rows = rows.fetch_all(portal.store.database().pool()).await;
        for row in rows.unwrap() {
            for column in 0..row.len() {
                found.push_str(&row.get::<String, _>(column));
                found.push('\n');
            }
        }
    }
    found.to_lowercase()
}

fn assert_nowhere(texts: &[&str], stored: &str) {
    for text in texts {
        assert!(
            !stored.contains(&text.to_lowercase()),
            "{text} is stored in clear"
        );
    }
}

/// Names and the write-ahead log are overwritten after the event.
async fn until_nowhere(portal: &Portal, texts: &[&str]) {
    let gone = async {
        loop {
            let stored = stored(portal).await;
            if !texts
                .iter()
                .any(|text| stored.contains(&text.to_lowercase()))
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::support::DEADLINE, gone)
        .await
        .unwrap();
}

async fn erased(portal: &Portal, who: &Actor, position: i64) {
    let user_id = who.id.to_string();
    let message = foreign("accounts.user_erased", position, &UserErased { user_id });
    portal.bus_publish(message).await;
}

/// The application once it is erased.
async fn until_erased(admin: &Actor, id: &str) -> api::Application {
    let reached = async {
        loop {
            let request = api::GetApplicationRequest { id: id.into() };
            let application = admin.get_application(request).await.unwrap();
            if application.status() == api::ApplicationStatus::Erased {
                return application;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::support::DEADLINE, reached)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_somebody_wrote_is_gone_with_them() {
    gone_with_them(&Portal::running().await).await;
}

pub(crate) async fn gone_with_them(portal: &Portal) {
    let (petra, admin) = (portal.developer(7), portal.admin());
    let mut published = portal.published().await;
    let made = petra.create(application(FORMER)).await.unwrap();
    let renamed = update(&made.id, application(NAME), &["name"]);
    petra.update_application(renamed).await.unwrap();
    let changed: api::ApplicationChanged = published.next("application_changed").await;
    let mut asked = order(PAYMENTS, FREE);
    asked.target = Some(existing(&made.id));
    let request = petra.submit_access_request(asked).await.unwrap();
    assert_eq!(request.application_name, NAME);
    let found = api::ListAccessRequestsRequest {
        q: "quasebarth".into(),
        ..Default::default()
    };
    let found = admin.list_access_requests(found).await.unwrap();
    assert_eq!(found.access_requests.len(), 1);
    let before = stored(portal).await;
    assert!(
        before.contains(&NAME.to_lowercase()),
        "the search finds what is there"
    );
    assert_nowhere(&[DESCRIPTION, URL], &before);

    erased(portal, &petra, 1).await;
    let application = until_erased(&admin, &made.id).await;
    assert_eq!(application.name, "Erased application");
    assert_eq!(
        (
            application.description.as_str(),
            application.redirect_urls.len()
        ),
        ("", 0)
    );
    let message: api::ApplicationChanged = published.next("application_changed").await;
    assert!(message.erased);
    assert_eq!(message.profile_id, changed.profile_id);
    let request = admin.get(&request.id).await.unwrap();
    assert_eq!(request.application_name, "Erased application");
    let registration = portal.actor(Caller::service("registration"));
    let profile = registration
        .get_application_profile(api::GetApplicationProfileRequest {
            application_id: made.id.clone(),
            profile_id: message.profile_id,
        })
        .await
        .unwrap();
    assert!(profile.erased && profile.redirect_urls.is_empty());
    until_nowhere(portal, &[NAME, FORMER, DESCRIPTION, URL]).await;
    assert_equal_a_rebuild(&portal.store).await;
    assert_nowhere(&[NAME, FORMER, DESCRIPTION, URL], &stored(portal).await);
}

/// Created in the last second of a session, when the erasure was followed already.
#[tokio::test]
async fn a_late_application_is_erased_as_well() {
    let portal = Portal::running().await;
    let (petra, admin) = (portal.developer(7), portal.admin());
    let early = petra.create(application(FORMER)).await.unwrap();
    erased(&portal, &petra, 1).await;
    until_erased(&admin, &early.id).await;
    let late = petra.create(application(NAME)).await.unwrap();
    assert_eq!(late.name, "Erased application");
    let id: Uuid = late.id.parse().unwrap();
    let stream = Stream::of::<portico_access_request::application::Application>(id);
    let events = portal.store.read_stream(&stream).await.unwrap();
    assert_eq!(events.last().unwrap().event_type, "application.erased");
    until_nowhere(&portal, &[NAME, FORMER, DESCRIPTION]).await;
}

/// The digest by which a repeated call is known again stays in the log.
#[tokio::test]
async fn what_was_written_cannot_be_guessed_from_the_log() {
    let mut digests = Vec::new();
    for _ in 0..2 {
        let portal = Portal::running().await;
        let petra = portal.developer(7);
        let mut asked = order(PAYMENTS, FREE);
        asked.note = NAME.into();
        let first = petra.submit_keyed("key 1", asked.clone()).await.unwrap();
        assert_eq!(
            petra.submit_keyed("key 1", asked).await.unwrap().id,
            first.id
        );
        let events = portal.store.read(0, 100).await.unwrap();
        let digest =
            |event: &portico_eventstore::RecordedEvent| event.metadata.command_digest.clone();
        digests.push(events.iter().find_map(digest).unwrap());
    }
    assert_ne!(digests[0], digests[1], "anybody could make them");
}
