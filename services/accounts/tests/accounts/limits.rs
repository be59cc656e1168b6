//! How often signing in may fail: all replicas count together.

use std::time::Duration;

use futures::future::join_all;
use portico_proto::Kind;
use portico_trials::Trial;

use crate::support::{ADMIN, PASSWORD, Place, World, code, on_every_database};

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        replicas_count_an_account_together,
        replicas_count_an_address_together,
        success_clears_the_account_and_not_the_address,
        concurrent_attempts_do_not_exceed_the_limit,
        guesses_elsewhere_do_not_lock_out_the_owner,
        guesses_from_a_known_address_lock_that_address_only,
        places_are_known_for_a_time_and_so_many,
        a_guess_counts_though_nobody_waits_for_the_answer,
        an_address_signs_in_so_often,
    )
}

const HOME: &str = "192.0.2.1";
const BROWSER: &str = "the mark of a browser";

const WRONG: &str = "not the password";

/// A failure, and its code.
async fn fail(world: &World, email: &str, address: &str) -> String {
    code(world.sign_in_with(email, WRONG, address).await)
}

async fn replicas_count_an_account_together(place: Place) {
    let one = World::start(&place).await;
    let other = one.again().await;
    for n in 0..5 {
        for replica in [&one, &other] {
            let code = fail(replica, ADMIN, &format!("192.0.2.{n}")).await;
            assert_eq!(code, "credentials_wrong");
        }
    }
    for replica in [&one, &other] {
        let limited = replica.sign_in(ADMIN).await.unwrap_err();
        assert_eq!(
            (limited.kind, limited.code.as_ref()),
            (Kind::Limited, "too_many_attempts")
        );
        assert_eq!(limited.retry_after, Some(Duration::from_secs(301)));
        assert_eq!(
            fail(replica, "nobody@example.org", "").await,
            "credentials_wrong"
        );
    }
    for replica in [&one, &other] {
        replica.advance(300);
        assert!(replica.sign_in(ADMIN).await.is_ok());
    }
}

async fn replicas_count_an_address_together(place: Place) {
    let one = World::start(&place).await;
    let other = one.again().await;
    for n in 0..25 {
        for (replica, word) in [(&one, "one"), (&other, "other")] {
            let email = format!("{word}{n}@example.org");
            let code = fail(replica, &email, &format!("2001:db8::{n}")).await;
            assert_eq!(code, "credentials_wrong");
        }
    }
    for replica in [&one, &other] {
        let address = "[2001:db8::ffff:1]:443";
        let limited = replica.sign_in_with(ADMIN, PASSWORD, address).await;
        assert_eq!(code(limited), "too_many_attempts");
        let elsewhere = replica
            .sign_in_with(ADMIN, PASSWORD, "2001:db8:0:1::1")
            .await;
        assert!(elsewhere.is_ok());
    }
}

async fn success_clears_the_account_and_not_the_address(place: Place) {
    let world = World::start(&place).await;
    for n in 0..49 {
        let email = format!("user{n}@example.org");
        assert_eq!(fail(&world, &email, "192.0.2.1").await, "credentials_wrong");
    }
    for _ in 0..8 {
        assert_eq!(fail(&world, ADMIN, "").await, "credentials_wrong");
    }
    assert!(
        world
            .sign_in_with(ADMIN, PASSWORD, "192.0.2.1")
            .await
            .is_ok()
    );
    for _ in 0..10 {
        assert_eq!(fail(&world, ADMIN, "").await, "credentials_wrong");
    }
    assert_eq!(fail(&world, ADMIN, "").await, "too_many_attempts");
    let other = "bob@example.org";
    assert_eq!(fail(&world, other, "192.0.2.1").await, "credentials_wrong");
    assert_eq!(fail(&world, other, "192.0.2.1").await, "too_many_attempts");
}

async fn concurrent_attempts_do_not_exceed_the_limit(place: Place) {
    let world = World::start(&place).await;
    let codes = join_all((0..40).map(|_| fail(&world, ADMIN, ""))).await;
    let tried = codes.iter().filter(|code| *code == "credentials_wrong");
    let tried = tried.count();
    // One that has just failed may be counted twice for a moment, and another one be refused for it.
    assert!((1..=10).contains(&tried), "{codes:?}");
    // What was refused was not counted.
    for _ in tried..10 {
        assert_eq!(fail(&world, ADMIN, "").await, "credentials_wrong");
    }
    assert_eq!(fail(&world, ADMIN, "").await, "too_many_attempts");
    let rows = world.rows("sign_in_failures", &["failures"]).await;
    assert_eq!(rows, [["10"]]);
}

/// Ten guesses, so that an account is locked for whoever they count for.
async fn guess(world: &World, from: impl Fn(u32) -> String, device: &str) {
    for n in 0..10 {
        let wrong = world.sign_in_from(ADMIN, WRONG, &from(n), device).await;
        assert_eq!(code(wrong), "credentials_wrong");
    }
}

async fn guesses_elsewhere_do_not_lock_out_the_owner(place: Place) {
    let world = World::start(&place).await;
    let replica = world.again().await;
    assert!(
        world
            .sign_in_from(ADMIN, PASSWORD, HOME, BROWSER)
            .await
            .is_ok()
    );
    guess(&world, |n| format!("198.51.100.{n}"), "").await;
    for (address, device) in [
        ("203.0.113.1", ""),
        ("", ""),
        ("203.0.113.1", "another mark"),
    ] {
        let stranger = replica.sign_in_from(ADMIN, PASSWORD, address, device).await;
        assert_eq!(code(stranger), "too_many_attempts", "{address} {device}");
    }
    assert!(
        replica
            .sign_in_from(ADMIN, PASSWORD, HOME, "")
            .await
            .is_ok()
    );
    let abroad = replica
        .sign_in_from(ADMIN, PASSWORD, "203.0.113.2", BROWSER)
        .await;
    assert!(abroad.is_ok());
    // What is known of one account says nothing about another.
    world.sign_up("Ada", "ada@example.org").await.unwrap();
    for n in 0..10 {
        assert_eq!(
            fail(&world, "ada@example.org", &format!("198.51.100.{n}")).await,
            "credentials_wrong"
        );
    }
    let other = world
        .sign_in_from("ada@example.org", PASSWORD, HOME, BROWSER)
        .await;
    assert_eq!(code(other), "too_many_attempts");
}

async fn guesses_from_a_known_address_lock_that_address_only(place: Place) {
    let world = World::start(&place).await;
    assert!(
        world
            .sign_in_from(ADMIN, PASSWORD, HOME, BROWSER)
            .await
            .is_ok()
    );
    guess(&world, |_| HOME.to_owned(), "").await;
    let at_home = world.sign_in_from(ADMIN, PASSWORD, HOME, "").await;
    assert_eq!(code(at_home), "too_many_attempts");
    assert!(
        world
            .sign_in_from(ADMIN, PASSWORD, HOME, BROWSER)
            .await
            .is_ok()
    );
    assert!(
        world
            .sign_in_from(ADMIN, PASSWORD, "203.0.113.1", "")
            .await
            .is_ok()
    );
    // A mark that was stolen has no more guesses than anybody.
    guess(&world, |n| format!("198.51.100.{n}"), BROWSER).await;
    let stolen = world
        .sign_in_from(ADMIN, PASSWORD, "198.51.100.1", BROWSER)
        .await;
    assert_eq!(code(stolen), "too_many_attempts");
}

async fn places_are_known_for_a_time_and_so_many(place: Place) {
    let world = World::with(&place, &[("PORTICO_ATTEMPTS_KNOWN_FOR", "30d")]).await;
    for n in 0..25 {
        let address = format!("192.0.2.{n}");
        assert!(world.sign_in_with(ADMIN, PASSWORD, &address).await.is_ok());
        world.advance(1);
    }
    assert_eq!(world.rows("known_places", &["place_index"]).await.len(), 20);
    guess(&world, |n| format!("198.51.100.{n}"), "").await;
    let first = world.sign_in_with(ADMIN, PASSWORD, "192.0.2.0").await;
    assert_eq!(
        code(first),
        "too_many_attempts",
        "was forgotten for later ones"
    );
    assert!(
        world
            .sign_in_with(ADMIN, PASSWORD, "192.0.2.24")
            .await
            .is_ok()
    );
    world.advance(30 * 24 * 3600);
    guess(&world, |n| format!("198.51.100.{n}"), "").await;
    let last = world.sign_in_with(ADMIN, PASSWORD, "192.0.2.24").await;
    assert_eq!(code(last), "too_many_attempts");
}

async fn a_guess_counts_though_nobody_waits_for_the_answer(place: Place) {
    let world = World::start(&place).await;
    for tried in 1..=10 {
        let guess = world.sign_in_with(ADMIN, WRONG, "");
        tokio::select! {
            biased;
            answer = guess => panic!("answered before the hash was made: {answer:?}"),
            () = tokio::task::yield_now() => {}
        }
        let counted = async {
            while world.rows("sign_in_failures", &["failures"]).await != [[tried.to_string()]] {
                tokio::task::yield_now().await;
            }
        };
        let counted = tokio::time::timeout(Duration::from_secs(60), counted).await;
        counted.unwrap();
    }
    assert_eq!(fail(&world, ADMIN, "").await, "too_many_attempts");
}

async fn an_address_signs_in_so_often(place: Place) {
    let world = World::with(&place, &[("PORTICO_ATTEMPTS_SUCCESSES", "3")]).await;
    for device in [BROWSER, "", "another mark"] {
        let signed_in = world.sign_in_from(ADMIN, PASSWORD, HOME, device).await;
        assert!(signed_in.is_ok());
    }
    // Whatever the device, and whoever it is.
    let limited = world.sign_in_from(ADMIN, PASSWORD, HOME, BROWSER).await;
    let limited = limited.unwrap_err();
    assert_eq!(
        (limited.kind, limited.code.as_ref(), limited.retry_after),
        (
            Kind::Limited,
            "too_many_sign_ins",
            Some(Duration::from_secs(301))
        )
    );
    let elsewhere = world.sign_in_with(ADMIN, PASSWORD, "203.0.113.1").await;
    assert!(elsewhere.is_ok());
    world.advance(300);
    assert!(world.sign_in_with(ADMIN, PASSWORD, HOME).await.is_ok());
}
