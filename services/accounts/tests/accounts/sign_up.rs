//! How people become users.

use std::time::Duration;

use futures::{future::join_all, join};
use portico_proto::{
    Kind,
    accounts::v1::{GetUserRequest, Role, SignUpRequest, UserStatus},
    time,
};
use portico_runtime::Caller;
use portico_trials::Trial;

use crate::support::{ADMIN, PASSWORD, Place, World, code, on_every_database};

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        open_sign_up_creates_an_active_developer,
        with_approval_a_new_user_waits_for_an_admin,
        closed_sign_up_is_closed_for_everybody,
        all_problems_are_reported_at_once,
        an_address_has_one_account,
        a_flood_of_sign_ups_is_bounded_and_keeps_nobody_from_signing_in,
        of_concurrent_sign_ups_one_gets_the_address,
        a_claim_left_behind_by_a_crash_blocks_nobody,
        a_repeated_call_answers_the_same_whatever_the_password,
        an_address_signs_up_so_many_whatever_the_mode,
        a_flood_from_one_address_makes_no_more_accounts_than_it_may,
        the_first_admin_is_created_once,
        replicas_on_an_empty_store_create_one_admin
    )
}

fn ada(password: &str) -> SignUpRequest {
    SignUpRequest {
        name: "Ada".into(),
        email: "ada@example.org".into(),
        password: password.into(),
        remote_address: String::new(),
    }
}

async fn open_sign_up_creates_an_active_developer(place: Place) {
    let world = World::start(&place).await;
    let user = world.sign_up(" Ada ", " Ada@example.org").await.unwrap();
    assert_eq!((user.name(), user.email()), ("Ada", "Ada@example.org"));
    assert_eq!(
        (user.role(), user.status()),
        (Role::Developer, UserStatus::Active)
    );
    assert_eq!(user.created_at, time::parse("2026-01-01T00:00:00Z"));
    let session = world.sign_in("aDA@EXAMPLE.org ").await.unwrap();
    assert_eq!(session.user.unwrap(), user);
}

async fn with_approval_a_new_user_waits_for_an_admin(place: Place) {
    let world = World::with(&place, &[("PORTICO_SIGNUP", "approval")]).await;
    let user = world.sign_up("Ada", "ada@example.org").await.unwrap();
    assert_eq!(user.status(), UserStatus::Pending);
    assert_eq!(
        code(world.sign_in("ada@example.org").await),
        "account_pending"
    );
    let wrong = world
        .sign_in_with("ada@example.org", "wrong password", "")
        .await;
    assert_eq!(code(wrong), "credentials_wrong");
}

async fn closed_sign_up_is_closed_for_everybody(place: Place) {
    let world = World::with(&place, &[("PORTICO_SIGNUP", "closed")]).await;
    assert_eq!(
        code(world.sign_up("Ada", "ada@example.org").await),
        "signup_closed"
    );
    let admin = world.admin().await;
    let request = world.request(&admin, ada(PASSWORD));
    assert_eq!(code(world.client().sign_up(request).await), "signup_closed");
}

async fn all_problems_are_reported_at_once(place: Place) {
    let world = World::start(&place).await;
    let message = SignUpRequest {
        name: "A\u{7}".into(),
        email: "ada".into(),
        password: "1234567".into(),
        remote_address: String::new(),
    };
    let error: portico_proto::Error = world.client().sign_up(message).await.unwrap_err().into();
    let fields: Vec<_> = error.fields.iter().map(|f| f.field.as_str()).collect();
    assert_eq!(fields, ["name", "email", "password"]);
}

async fn an_address_has_one_account(place: Place) {
    let world = World::start(&place).await;
    world.sign_up("Ada", "ada@example.org").await.unwrap();
    assert_eq!(
        code(world.sign_up("Eve", "ADA@example.org").await),
        "email_taken"
    );
    assert_eq!(code(world.sign_up("Eve", ADMIN).await), "email_taken");
    // With the accent in the letter, and after it.
    let [composed, apart] = ["zo\u{eb}@example.org", "zoe\u{308}@example.org"];
    let zoe = world.sign_up("Zo\u{eb}", apart).await.unwrap();
    assert_eq!(zoe.email(), composed);
    assert_eq!(code(world.sign_up("Eve", composed).await), "email_taken");
    assert_eq!(world.sign_in(composed).await.unwrap().user.unwrap(), zoe);
}

async fn a_flood_of_sign_ups_is_bounded_and_keeps_nobody_from_signing_in(place: Place) {
    let few = [
        ("PORTICO_PASSWORDS_SIGN_UPS", "1"),
        ("PORTICO_PASSWORDS_MAX_WAITING", "1"),
    ];
    let world = World::with(&place, &few).await;
    let flood = join_all((0..40).map(|n| {
        let email = format!("user{n}@example.org");
        let world = &world;
        async move { world.sign_up("User", &email).await }
    }));
    let (tried, signed_in) = join!(flood, world.sign_in(ADMIN));
    assert!(signed_in.is_ok(), "{signed_in:?}");
    let (done, refused): (Vec<_>, Vec<_>) = tried.into_iter().partition(Result::is_ok);
    assert!(!done.is_empty() && !refused.is_empty());
    for error in refused.into_iter().map(Result::unwrap_err) {
        assert_eq!(error.code, "sign_up_busy");
        assert_eq!(error.kind, Kind::Unavailable);
        assert!(error.retry_after.is_some());
    }
}

async fn of_concurrent_sign_ups_one_gets_the_address(place: Place) {
    let world = World::start(&place).await;
    let tries = (0..8).map(|n| {
        let mut client = world.client();
        tokio::spawn(async move {
            let message = SignUpRequest {
                name: format!("Racer {n}"),
                email: "racer@example.org".into(),
                password: format!("password of {n}"),
                remote_address: String::new(),
            };
            (n, client.sign_up(message).await)
        })
    });
    let mut winners = Vec::new();
    for done in join_all(tries).await {
        match done.unwrap() {
            (n, Ok(user)) => winners.push((n, user.into_inner())),
            (_, Err(refused)) => assert_eq!(code(Err::<(), _>(refused)), "email_taken"),
        }
    }
    let [(n, user)] = &winners[..] else {
        panic!("{} users have one address", winners.len());
    };
    assert_eq!(user.name(), format!("Racer {n}"));
    let password = format!("password of {n}");
    let session = world
        .sign_in_with("racer@example.org", &password, "")
        .await
        .unwrap();
    assert_eq!(session.user.unwrap().id, user.id);
    // What the others left in the vault is gone: three texts for the admin, three for the winner.
    assert_eq!(world.rows("vault_value", &["id"]).await.len(), 6);
}

async fn a_claim_left_behind_by_a_crash_blocks_nobody(place: Place) {
    let world = World::start(&place).await;
    let user = world.sign_up("Ada", "ada@example.org").await.unwrap();
    // As after a crash between the claim and the event: the address is there, its user is not.
    let orphan = "0190b6f1-7c3e-7d2a-9b1e-5f3c2a1b0d4e";
    sqlx::query("UPDATE user_emails SET user_id = $1 WHERE user_id = $2")
        .bind(orphan)
        .bind(user.id)
        .execute(world.pool())
        .await
        .unwrap();
    let again = world.sign_up("Ada", "ada@example.org").await.unwrap();
    assert_eq!(again.id, orphan);
}

async fn an_address_signs_up_so_many_whatever_the_mode(place: Place) {
    for mode in ["open", "approval"] {
        let settings = [("PORTICO_SIGNUP", mode), ("PORTICO_ATTEMPTS_SIGN_UPS", "3")];
        let one = World::with(&place, &settings).await;
        let other = one.again().await;
        let sign_up = async |world: &World, n: u32, address: &str| {
            let email = format!("user{n}@example.org");
            world.sign_up_from("User", &email, address).await
        };
        assert!(sign_up(&one, 1, "2001:db8::1").await.is_ok());
        // An address that is taken is an answer too, so it counts.
        assert_eq!(code(sign_up(&other, 1, "2001:db8::2").await), "email_taken");
        assert!(sign_up(&other, 2, "2001:db8::3").await.is_ok());
        for replica in [&one, &other] {
            let refused = sign_up(replica, 3, "2001:db8::4").await.unwrap_err();
            assert_eq!(
                (refused.kind, refused.code.as_ref()),
                (Kind::Limited, "too_many_sign_ups")
            );
            let hour = Duration::from_secs(3601);
            assert_eq!(refused.retry_after, Some(hour), "{mode}");
        }
        assert!(sign_up(&one, 3, "2001:db8:0:1::1").await.is_ok());
        one.advance(3600);
        assert!(sign_up(&one, 4, "2001:db8::1").await.is_ok());
    }
}

async fn a_flood_from_one_address_makes_no_more_accounts_than_it_may(place: Place) {
    let world = World::with(&place, &[("PORTICO_ATTEMPTS_SIGN_UPS", "5")]).await;
    let flood = join_all((0..60).map(|n| {
        let email = format!("user{n}@example.org");
        let world = &world;
        async move { world.sign_up_from("User", &email, "192.0.2.1").await }
    }));
    let (tried, signed_in) = join!(flood, world.sign_in_with(ADMIN, PASSWORD, "192.0.2.1"));
    assert!(signed_in.is_ok(), "{signed_in:?}");
    let refused = tried.into_iter().filter_map(Result::err);
    let codes: Vec<_> = refused.map(|error| error.code).collect();
    assert!(
        codes.iter().all(|code| code == "too_many_sign_ups"),
        "{codes:?}"
    );
    // And the admin.
    assert_eq!(world.rows("users", &["id"]).await.len(), 6);
}

async fn a_repeated_call_answers_the_same_whatever_the_password(place: Place) {
    let world = World::start(&place).await;
    let call = |password| world.keyed(&Caller::Anonymous, "key 1", ada(password));
    let first = world.client().sign_up(call(PASSWORD)).await.unwrap();
    let second = world.client().sign_up(call(PASSWORD)).await.unwrap();
    assert_eq!(first.get_ref(), second.get_ref());
    // Idempotency keys are no secret: who knows one learns neither whether a password is right nor a name.
    let stranger = world.client().sign_up(call("a guessed password")).await;
    assert_eq!(stranger.unwrap().get_ref(), first.get_ref());
    let mut curious = ada("a guessed password");
    curious.name = "Somebody".into();
    let curious = world.keyed(&Caller::Anonymous, "key 1", curious);
    let told = world.client().sign_up(curious).await.unwrap().into_inner();
    assert_eq!(told.name(), "Somebody");
    assert!(
        world
            .sign_in_with("ada@example.org", "a guessed password", "")
            .await
            .is_err()
    );
    assert!(world.sign_in("ada@example.org").await.is_ok());
    let other_key = world.keyed(&Caller::Anonymous, "key 2", ada(PASSWORD));
    assert_eq!(code(world.client().sign_up(other_key).await), "email_taken");
    assert_eq!(world.rows("vault_value", &["id"]).await.len(), 6);
}

async fn the_first_admin_is_created_once(place: Place) {
    let empty = World::bare(&place, &[]).await;
    assert!(empty.rows("users", &["id"]).await.is_empty());

    let world = World::start(&place).await;
    let (second, third) = tokio::join!(world.again(), world.again());
    for replica in [&world, &second, &third] {
        let admin = replica.sign_in(ADMIN).await.unwrap().user.unwrap();
        assert_eq!(
            (admin.role(), admin.status()),
            (Role::Admin, UserStatus::Active)
        );
    }
    assert_eq!(world.rows("users", &["id"]).await.len(), 1);
    // Not made again where there is somebody, and a changed password in the settings changes nothing.
    let events = world.rows("events", &["type"]).await;
    let of_users = events.iter().filter(|row| row[0].starts_with("user."));
    assert_eq!(of_users.count(), 2);
}

async fn replicas_on_an_empty_store_create_one_admin(place: Place) {
    let empty = World::bare(&place, &[]).await;
    let admin: [(&str, &str); 2] = [
        ("PORTICO_ADMIN_EMAIL", ADMIN),
        ("PORTICO_ADMIN_PASSWORD", PASSWORD),
    ];
    let worlds = join_all((0..3).map(|_| empty.again_with(admin.to_vec()))).await;
    assert_eq!(empty.rows("users", &["id"]).await.len(), 1);
    let caller = worlds[2].admin().await;
    let id = caller.require_admin().unwrap().to_string();
    let request = worlds[1].request(&caller, GetUserRequest { id });
    let user = worlds[1].client().get_user(request).await.unwrap();
    assert_eq!(user.into_inner().email(), ADMIN);
}
