//! Sessions, tokens, authentication.

use std::time::Duration;

use portico_accounts::user::{AccountCommand, Command, User};
use portico_proto::{
    Kind,
    accounts::v1::{
        CreateApiTokenRequest, CreateSessionRequest, DeleteSessionRequest, GetCurrentUserRequest,
        GetEndedTokensRequest, SuspendUserRequest, UserStatus,
    },
    time,
};
use portico_runtime::{Caller, Role};
use portico_trials::Trial;
use sha2::{Digest as _, Sha256};

use crate::support::{ADMIN, PASSWORD, Place, World, code, developer, on_every_database};

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        a_session_becomes_an_identity_that_services_verify,
        a_text_that_is_no_token_is_unauthenticated,
        sign_out_ends_the_session_and_no_other,
        sessions_end_after_their_lifetime_however_busy,
        idle_sessions_end_earlier,
        the_last_use_is_recorded_once_a_minute,
        an_unknown_address_and_a_wrong_password_look_the_same,
        guessing_locks_the_account_for_strangers,
        a_suspension_ends_sessions_at_once,
        the_event_alone_disables_sessions_and_api_tokens,
        housekeeping_deletes_expired_sessions,
        ended_tokens_are_told_to_the_edge,
        an_idempotency_key_makes_no_oracle_of_signing_in,
    )
}

async fn a_session_becomes_an_identity_that_services_verify(place: Place) {
    let world = World::start(&place).await;
    let session = world.sign_in(ADMIN).await.unwrap();
    assert!(session.token.starts_with("pts_"));
    assert_eq!(session.expires_at, time::parse("2026-01-01T12:00:00Z"));
    let authenticated = world.authenticate(&session.token).await.unwrap();
    let caller = world.deps.identity.verify(&authenticated.identity).unwrap();
    let (id, role) = caller.require_user().unwrap();
    assert_eq!((id.to_string(), role), (authenticated.user_id, Role::Admin));
    let request = world.request(&caller, GetCurrentUserRequest {});
    let user = world.client().get_current_user(request).await.unwrap();
    assert_eq!(user.into_inner(), session.user.unwrap());
}

async fn a_text_that_is_no_token_is_unauthenticated(place: Place) {
    let world = World::start(&place).await;
    let unknown = format!("pts_{}", "a".repeat(43));
    let api = format!("ptk_{}", "a".repeat(43));
    for token in ["", "Bearer", "pts_", &unknown, &api, "' OR 1=1 --"] {
        let error = world.authenticate(token).await.unwrap_err();
        assert_eq!(
            (error.kind, error.code.as_ref()),
            (Kind::Unauthenticated, "token_invalid")
        );
    }
}

async fn sign_out_ends_the_session_and_no_other(place: Place) {
    let world = World::start(&place).await;
    let [first, second] = [
        world.sign_in(ADMIN).await.unwrap().token,
        world.sign_in(ADMIN).await.unwrap().token,
    ];
    assert_ne!(first, second);
    for _ in 0..2 {
        let message = DeleteSessionRequest {
            token: first.clone(),
        };
        world.client().delete_session(message).await.unwrap();
    }
    assert_eq!(code(world.authenticate(&first).await), "token_invalid");
    assert!(world.authenticate(&second).await.is_ok());
    // An API token is revoked, and would go on working after a sign-out.
    let message = CreateApiTokenRequest {
        name: "CI".into(),
        expires_in_days: None,
    };
    let request = world.request(&world.admin().await, message);
    let token = world
        .client()
        .create_api_token(request)
        .await
        .unwrap()
        .into_inner()
        .token;
    let message = DeleteSessionRequest {
        token: token.clone(),
    };
    let refused = world.client().delete_session(message).await;
    assert_eq!(code(refused), "token_is_no_session");
    assert!(world.authenticate(&token).await.is_ok());
}

async fn sessions_end_after_their_lifetime_however_busy(place: Place) {
    let world = World::start(&place).await;
    let token = world.sign_in(ADMIN).await.unwrap().token;
    for _ in 0..11 {
        world.advance(3600);
        assert!(world.authenticate(&token).await.is_ok());
    }
    world.advance(3599);
    assert!(world.authenticate(&token).await.is_ok());
    world.advance(1);
    assert_eq!(code(world.authenticate(&token).await), "token_invalid");
}

async fn idle_sessions_end_earlier(place: Place) {
    let world = World::start(&place).await;
    let token = world.sign_in(ADMIN).await.unwrap().token;
    world.advance(7199);
    assert!(world.authenticate(&token).await.is_ok());
    world.advance(7200);
    assert_eq!(code(world.authenticate(&token).await), "token_invalid");
}

async fn the_last_use_is_recorded_once_a_minute(place: Place) {
    let world = World::start(&place).await;
    let token = world.sign_in(ADMIN).await.unwrap().token;
    let mut seen = Vec::new();
    for seconds in [0, 59, 1, 59, 1] {
        world.advance(seconds);
        world.authenticate(&token).await.unwrap();
        let row = world.rows("sessions", &["last_seen_ms"]).await.remove(0);
        seen.push(row[0].parse::<i64>().unwrap() - 1_767_225_600_000);
    }
    assert_eq!(seen, [0, 0, 60_000, 60_000, 120_000]);
}

async fn an_unknown_address_and_a_wrong_password_look_the_same(place: Place) {
    let world = World::start(&place).await;
    let unknown = world.sign_in("nobody@example.org").await.unwrap_err();
    let wrong = world
        .sign_in_with(ADMIN, "not the password", "")
        .await
        .unwrap_err();
    assert_eq!(unknown, wrong);
    assert_eq!(
        (wrong.kind, wrong.code.as_ref()),
        (Kind::Unauthenticated, "credentials_wrong")
    );
}

async fn guessing_locks_the_account_for_strangers(place: Place) {
    let world = World::start(&place).await;
    for email in [ADMIN, "nobody@example.org"] {
        for _ in 0..10 {
            let wrong = world.sign_in_with(email, "not the password", "").await;
            assert_eq!(code(wrong), "credentials_wrong");
        }
        let error = world
            .sign_in_with(email, PASSWORD, "192.0.2.1")
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind, error.code.as_ref()),
            (Kind::Limited, "too_many_attempts")
        );
        assert!(error.retry_after.unwrap() <= Duration::from_secs(301));
    }
    world.advance(300);
    assert!(world.sign_in(ADMIN).await.is_ok());
}

async fn a_suspension_ends_sessions_at_once(place: Place) {
    let world = World::start(&place).await;
    let user = world.sign_up("Ada", "ada@example.org").await.unwrap();
    let token = world.sign_in("ada@example.org").await.unwrap().token;
    assert!(world.authenticate(&token).await.is_ok());
    let admin = world.admin().await;
    let message = SuspendUserRequest {
        id: user.id.clone(),
    };
    let request = world.request(&admin, message);
    let suspended = world.client().suspend_user(request).await.unwrap();
    assert_eq!(suspended.into_inner().status(), UserStatus::Suspended);
    assert_eq!(code(world.authenticate(&token).await), "token_invalid");
    let error = world.sign_in("ada@example.org").await.unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_ref()),
        (Kind::Forbidden, "account_suspended")
    );
    // The identity that the edge got before is worth what it says for a minute more, and not longer.
    let request = world.request(&developer(&user), GetCurrentUserRequest {});
    world.advance(120);
    assert_eq!(
        code(world.client().get_current_user(request).await),
        "clock_differs"
    );
}

async fn the_event_alone_disables_sessions_and_api_tokens(place: Place) {
    let world = World::start(&place).await;
    let user = world.sign_up("Ada", "ada@example.org").await.unwrap();
    let session = world.sign_in("ada@example.org").await.unwrap().token;
    let message = CreateApiTokenRequest {
        name: "ci".into(),
        expires_in_days: Some(1),
    };
    let request = world.request(&developer(&user), message);
    let created = world.client().create_api_token(request).await.unwrap();
    let api_token = created.into_inner().token;
    // As after a crash between the event and the end of the sessions.
    let run = async |command: AccountCommand| {
        let context = portico_eventstore::testing::context(world.deps.clock.new_id());
        let id = user.id.parse().unwrap();
        let done = world
            .store
            .execute::<User>(id, &Command::Account(command), &context)
            .await;
        assert_eq!(done.unwrap().events.len(), 1);
    };
    run(AccountCommand::Suspend { other_admins: true }).await;
    for token in [&session, &api_token] {
        assert_eq!(code(world.authenticate(token).await), "token_invalid");
    }
    run(AccountCommand::Activate).await;
    assert!(world.authenticate(&api_token).await.is_ok());
}

async fn housekeeping_deletes_expired_sessions(place: Place) {
    let mut world = World::start(&place).await;
    world.sign_in(ADMIN).await.unwrap();
    world.advance(7200);
    let fresh = world.sign_in(ADMIN).await.unwrap().token;
    world.service.run(&world.deps);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while world.rows("sessions", &["digest"]).await.len() != 1 {
        assert!(tokio::time::Instant::now() < deadline, "still there");
        tokio::task::yield_now().await;
    }
    assert!(world.authenticate(&fresh).await.is_ok());
    world.deps.shutdown.cancel();
    world.deps.tasks.close();
    world.deps.tasks.wait().await;
}

async fn ended_tokens_are_told_to_the_edge(place: Place) {
    let world = World::start(&place).await;
    let admin = world.admin().await;
    let user = world.sign_up("Ada", "ada@example.org").await.unwrap();
    let session = world.sign_in("ada@example.org").await.unwrap().token;
    let other = world.sign_in("ada@example.org").await.unwrap().token;
    let message = CreateApiTokenRequest {
        name: "ci".into(),
        expires_in_days: Some(1),
    };
    let request = world.request(&developer(&user), message);
    let created = world.client().create_api_token(request).await.unwrap();
    let api_token = created.into_inner().token;
    let all = [session.clone(), other, api_token, "unknown".to_owned()].map(|token| digest(&token));
    let ended = async || {
        let message = GetEndedTokensRequest {
            digests: all.to_vec(),
        };
        let request = world.request(&Caller::service("edge"), message);
        let answer = world.client().get_ended_tokens(request).await.unwrap();
        answer.into_inner().digests
    };
    assert_eq!(ended().await, [all[3].as_str()]);
    let message = DeleteSessionRequest { token: session };
    world.client().delete_session(message).await.unwrap();
    assert_eq!(ended().await, [all[0].as_str(), &all[3]]);
    // Being asked about is no use of a session.
    world.advance(7200);
    assert_eq!(ended().await, [all[0].as_str(), &all[1], &all[3]]);
    let message = SuspendUserRequest {
        id: user.id.clone(),
    };
    let request = world.request(&admin, message);
    world.client().suspend_user(request).await.unwrap();
    assert_eq!(ended().await, all);

    for (caller, digests, expected) in [
        (developer(&user), 1, "forbidden"),
        (Caller::Anonymous, 1, "unauthenticated"),
        (Caller::service("edge"), 1001, "digests_invalid"),
    ] {
        let message = GetEndedTokensRequest {
            digests: vec![String::new(); digests],
        };
        let request = world.request(&caller, message);
        assert_eq!(
            code(world.client().get_ended_tokens(request).await),
            expected
        );
    }
}

fn digest(token: &str) -> String {
    portico_vault::hex(&Sha256::digest(token.as_bytes()))
}

async fn an_idempotency_key_makes_no_oracle_of_signing_in(place: Place) {
    let world = World::start(&place).await;
    let try_with = async |password: &str| {
        let message = CreateSessionRequest {
            email: ADMIN.into(),
            password: password.into(),
            ..CreateSessionRequest::default()
        };
        let request = world.keyed(&Caller::Anonymous, "key 1", message);
        world.client().create_session(request).await
    };
    let first = try_with(PASSWORD).await.unwrap().into_inner().token;
    // Each try is one of its own: a repetition neither hands out the session nor goes uncounted.
    for _ in 0..10 {
        assert_eq!(
            code(try_with("a guessed password").await),
            "credentials_wrong"
        );
    }
    assert_eq!(
        code(try_with("a guessed password").await),
        "too_many_attempts"
    );
    world.advance(300);
    assert_ne!(try_with(PASSWORD).await.unwrap().into_inner().token, first);
}
