//! Where personal data and secrets must not be, what becomes public, and that the views can be rebuilt from the log.

use std::{path::Path, sync::Arc, time::Duration};

use portico_accounts::user::{AccountCommand, Command, User};
use portico_bus::ConsumerSpec;
use portico_eventstore::testing::assert_equal_a_rebuild;
use portico_proto::accounts::v1::{
    CreateApiTokenRequest, EraseUserRequest, UserErased, UserSignedUp,
};
use portico_trials::Trial;
use prost::Message as _;

use crate::support::{ADMIN, PASSWORD, Place, World, developer, on_every_database};

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        nothing_personal_or_secret_is_stored_in_clear,
        the_log_holds_nothing_that_a_password_can_be_guessed_from,
        an_erased_user_is_gone_from_the_vault_and_the_index,
        an_erasure_that_a_crash_interrupted_is_finished_at_the_start,
        rebuilt_views_equal_the_live_ones,
        public_events_hold_no_personal_data
    )
}

const NAME: &str = "Augusta Ada King";
/// People write what they like into names of tokens.
const TOKEN_NAME: &str = "Ada's notebook in Marylebone";
const EMAIL: &str = "Ada.Lovelace@Example.org";
/// From which signing in failed.
const ADDRESS: &str = "203.0.113.77";

/// What is in the files of the data folder, the write-ahead log too; with PostgreSQL, in its tables.
async fn stored(world: &World) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        bytes.extend(read(&entry.unwrap().path()));
    }
    for (table, columns) in [
        ("events", &["id", "data", "metadata"][..]),
        ("users", &["id", "name_ref", "email_ref", "password_ref"]),
        ("user_emails", &["email_index", "user_id"]),
        ("sessions", &["digest", "user_id"]),
        ("sign_in_failures", &["key_index", "failures"]),
        ("api_tokens", &["id", "digest", "name_ref"]),
        ("vault_value", &["id", "subject", "sealed"]),
    ] {
        for cell in world.rows(table, columns).await.concat() {
            bytes.extend(cell.into_bytes());
        }
    }
    bytes
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    let (bytes, text) = (bytes.to_ascii_lowercase(), text.to_ascii_lowercase());
    bytes.windows(text.len()).any(|w| w == text.as_bytes())
}

async fn nothing_personal_or_secret_is_stored_in_clear(place: Place) {
    let world = World::start(&place).await;
    let user = world.sign_up(NAME, EMAIL).await.unwrap();
    let session = world.sign_in(EMAIL).await.unwrap().token;
    let message = CreateApiTokenRequest {
        name: TOKEN_NAME.into(),
        expires_in_days: Some(1),
    };
    let request = world.keyed(&developer(&user), "key 1", message);
    let created = world.client().create_api_token(request).await.unwrap();
    let api_token = created.into_inner().token;
    let wrong = world.sign_in_with(EMAIL, "a wrong guess", ADDRESS).await;
    assert!(wrong.is_err());
    world.authenticate(&session).await.unwrap();
    world.authenticate(&api_token).await.unwrap();

    let bytes = stored(&world).await;
    assert!(contains(&bytes, &user.id), "the search finds what is there");
    for text in [
        NAME,
        TOKEN_NAME,
        "Lovelace",
        EMAIL,
        ADDRESS,
        ADMIN,
        PASSWORD,
        "$argon2id",
        &session[4..],
        &api_token[4..],
    ] {
        assert!(!contains(&bytes, text), "{text} is stored in clear");
    }
}

async fn the_log_holds_nothing_that_a_password_can_be_guessed_from(place: Place) {
    let world = World::start(&place).await;
    let message = portico_proto::accounts::v1::SignUpRequest {
        name: NAME.into(),
        email: EMAIL.into(),
        password: PASSWORD.into(),
        remote_address: String::new(),
    };
    let request = world.keyed(&portico_runtime::Caller::Anonymous, "key 1", message);
    world.client().sign_up(request).await.unwrap();
    for row in world.rows("events", &["type", "metadata"]).await {
        assert!(!row[1].contains("command_digest"), "{row:?}");
    }
}

async fn an_erased_user_is_gone_from_the_vault_and_the_index(place: Place) {
    let world = World::start(&place).await;
    let admin = world.admin().await;
    let user = world.sign_up(NAME, EMAIL).await.unwrap();
    let signed_in = world
        .sign_in_from(EMAIL, PASSWORD, ADDRESS, "browser")
        .await;
    assert!(signed_in.is_ok());
    let places = async || world.rows("known_places", &["place_index"]).await.len();
    assert_eq!(places().await, 2);
    let about_user = async || {
        let mut rows = world.rows("vault_value", &["subject"]).await;
        rows.extend(world.rows("vault_key", &["subject"]).await);
        rows.extend(world.rows("user_emails", &["user_id"]).await);
        rows.concat()
            .iter()
            .filter(|t| t.contains(&user.id))
            .count()
    };
    assert_eq!(about_user().await, 6);
    let message = CreateApiTokenRequest {
        name: TOKEN_NAME.into(),
        expires_in_days: Some(1),
    };
    let request = world.request(&developer(&user), message);
    world.client().create_api_token(request).await.unwrap();
    assert_eq!(about_user().await, 7);
    let message = EraseUserRequest {
        id: user.id.clone(),
    };
    let request = world.request(&admin, message);
    world.client().erase_user(request).await.unwrap();
    assert_eq!(about_user().await, 0);
    assert_eq!(places().await, 0);
}

async fn an_erasure_that_a_crash_interrupted_is_finished_at_the_start(place: Place) {
    let world = World::start(&place).await;
    let user = world.sign_up(NAME, EMAIL).await.unwrap();
    // The event without what follows it.
    let done = world
        .store
        .execute::<User>(
            user.id.parse().unwrap(),
            &Command::Account(AccountCommand::Erase { other_admins: true }),
            &portico_eventstore::testing::context(world.deps.clock.new_id()),
        )
        .await
        .unwrap();
    assert_eq!(done.events.len(), 1);
    let mut restarted = world.again().await;
    restarted.service.run(&restarted.deps);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while restarted.rows("user_emails", &["user_id"]).await.len() != 1 {
        assert!(tokio::time::Instant::now() < deadline, "still there");
        tokio::task::yield_now().await;
    }
    for row in restarted.rows("vault_value", &["subject"]).await {
        assert!(!row[0].contains(&user.id));
    }
    restarted.deps.shutdown.cancel();
    restarted.deps.tasks.close();
    restarted.deps.tasks.wait().await;
}

async fn rebuilt_views_equal_the_live_ones(place: Place) {
    let world = World::with(&place, &[("PORTICO_SIGNUP", "approval")]).await;
    let admin = world.admin().await;
    let mut users = Vec::new();
    for n in 0..3 {
        let email = format!("user{n}@example.org");
        users.push(world.sign_up("User", &email).await.unwrap());
    }
    for user in &users {
        let id = user.id.clone();
        let message = portico_proto::accounts::v1::ActivateUserRequest { id };
        let request = world.request(&admin, message);
        world.client().activate_user(request).await.unwrap();
        for n in 0..2 {
            let message = CreateApiTokenRequest {
                name: format!("token {n}"),
                expires_in_days: Some(1),
            };
            let request = world.request(&developer(user), message);
            let made = world.client().create_api_token(request).await.unwrap();
            if n == 0 {
                let id = made.into_inner().api_token.unwrap().id;
                let message = portico_proto::accounts::v1::RevokeApiTokenRequest { id };
                let request = world.request(&developer(user), message);
                world.client().revoke_api_token(request).await.unwrap();
            }
        }
    }
    let suspend = portico_proto::accounts::v1::SuspendUserRequest {
        id: users[1].id.clone(),
    };
    let request = world.request(&admin, suspend);
    world.client().suspend_user(request).await.unwrap();
    let erase = EraseUserRequest {
        id: users[2].id.clone(),
    };
    let request = world.request(&admin, erase);
    world.client().erase_user(request).await.unwrap();

    let rows = assert_equal_a_rebuild(&world.store).await;
    assert!(rows.contains(&"users: 4".to_owned()) && rows.contains(&"api_tokens: 2".to_owned()));
}

async fn public_events_hold_no_personal_data(place: Place) {
    let mut world = World::bare(&place, &[]).await;
    let spec = ConsumerSpec {
        name: "probe",
        subjects: &[
            "portico.accounts.user_signed_up",
            "portico.accounts.user_erased",
        ],
    };
    world
        .deps
        .bus
        .declare(std::slice::from_ref(&spec))
        .await
        .unwrap();
    let bus = Arc::clone(&world.deps.bus);
    let mut deliveries = bus.consume(&spec).await.unwrap();
    world.service.run(&world.deps);

    let user = world.sign_up(NAME, EMAIL).await.unwrap();
    let admin = portico_runtime::Caller::User {
        id: world.deps.clock.new_id(),
        role: portico_runtime::Role::Admin,
        let_in: false,
    };
    let message = EraseUserRequest {
        id: user.id.clone(),
    };
    let request = world.request(&admin, message);
    world.client().erase_user(request).await.unwrap();

    let mut seen = Vec::new();
    for _ in 0..2 {
        let next = tokio::time::timeout(Duration::from_secs(20), deliveries.next());
        let delivery = next.await.unwrap().unwrap();
        assert!(!contains(
            format!("{:?}", delivery.message).as_bytes(),
            "lovelace"
        ));
        seen.push((
            delivery.message.subject.clone(),
            delivery.message.payload.clone(),
        ));
        delivery.ack().await.unwrap();
    }
    let signed_up = UserSignedUp {
        user_id: user.id.clone(),
        status: portico_proto::accounts::v1::UserStatus::Active.into(),
    };
    let erased = UserErased { user_id: user.id };
    assert_eq!(
        seen,
        [
            (
                "portico.accounts.user_signed_up".to_owned(),
                signed_up.encode_to_vec().into()
            ),
            (
                "portico.accounts.user_erased".to_owned(),
                erased.encode_to_vec().into()
            ),
        ]
    );
    world.deps.shutdown.cancel();
    world.deps.tasks.close();
    world.deps.tasks.wait().await;
}
