//! Tokens for programs.

use portico_proto::{
    accounts::v1::{
        CreateApiTokenRequest, CreateApiTokenResponse, ListApiTokensRequest, RevokeApiTokenRequest,
        Role,
    },
    time,
};
use portico_runtime::Caller;
use portico_trials::Trial;

use crate::support::{Place, World, code, developer, on_every_database};

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        an_api_token_stands_for_its_user_until_it_is_revoked,
        tokens_come_in_pages,
        an_api_token_expires,
        tokens_of_other_users_are_not_found,
        a_repeated_call_creates_no_second_token_and_shows_none,
        all_problems_are_reported_at_once
    )
}

fn wanted(days: Option<u32>) -> CreateApiTokenRequest {
    CreateApiTokenRequest {
        name: "ci".into(),
        expires_in_days: days,
    }
}

async fn create(world: &World, caller: &Caller, days: Option<u32>) -> CreateApiTokenResponse {
    let request = world.request(caller, wanted(days));
    let answer = world.client().create_api_token(request).await.unwrap();
    answer.into_inner()
}

async fn revoke(world: &World, caller: &Caller, id: &str) -> Result<(), tonic::Status> {
    let message = RevokeApiTokenRequest { id: id.into() };
    let request = world.request(caller, message);
    world.client().revoke_api_token(request).await.map(|_| ())
}

async fn an_api_token_stands_for_its_user_until_it_is_revoked(place: Place) {
    let world = World::start(&place).await;
    let user = world.sign_up("Ada", "ada@example.org").await.unwrap();
    let ada = developer(&user);
    let created = create(&world, &ada, None).await;
    let described = created.api_token.unwrap();
    assert!(created.token.starts_with("ptk_"));
    assert_eq!(described.expires_at, time::parse("2026-04-01T00:00:00Z"));

    world.advance(60);
    let authenticated = world.authenticate(&created.token).await.unwrap();
    assert_eq!(
        (authenticated.role(), authenticated.user_id),
        (Role::Developer, user.id)
    );
    let request = world.request(&ada, ListApiTokensRequest::default());
    let listed = world.client().list_api_tokens(request).await.unwrap();
    let [listed] = &listed.into_inner().api_tokens[..] else {
        panic!("one token");
    };
    assert_eq!(listed.last_used_at, time::parse("2026-01-01T00:01:00Z"));
    assert_eq!(listed.name, "ci");
    assert_eq!(
        (&listed.id, &listed.created_at, &listed.expires_at),
        (&described.id, &described.created_at, &described.expires_at)
    );

    revoke(&world, &ada, &described.id).await.unwrap();
    revoke(&world, &ada, &described.id).await.unwrap();
    assert_eq!(
        code(world.authenticate(&created.token).await),
        "token_invalid"
    );
}

async fn tokens_come_in_pages(place: Place) {
    let world = World::start(&place).await;
    let ada = developer(&world.sign_up("Ada", "ada@example.org").await.unwrap());
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(create(&world, &ada, Some(1)).await.api_token.unwrap().id);
        world.advance(1);
    }
    let page = |after: &str, sort: &str| {
        let request = ListApiTokensRequest {
            limit: 2,
            after: after.to_owned(),
            sort: sort.to_owned(),
        };
        let request = world.request(&ada, request);
        async { world.client().list_api_tokens(request).await }
    };
    for sort in ["", "-created_at"] {
        let mut seen = Vec::new();
        let mut after = String::new();
        loop {
            let answer = page(&after, sort).await.unwrap().into_inner();
            assert!(answer.api_tokens.len() <= 2);
            seen.extend(answer.api_tokens.into_iter().map(|token| token.id));
            after = answer.next;
            if after.is_empty() {
                break;
            }
        }
        if !sort.is_empty() {
            seen.reverse();
        }
        assert_eq!(seen, made);
    }
    assert_eq!(code(page("", "name").await), "sort_invalid");
}

async fn an_api_token_expires(place: Place) {
    let world = World::start(&place).await;
    let user = world.sign_up("Ada", "ada@example.org").await.unwrap();
    let token = create(&world, &developer(&user), Some(1)).await.token;
    world.advance(24 * 3600 - 1);
    assert!(world.authenticate(&token).await.is_ok());
    world.advance(1);
    assert_eq!(code(world.authenticate(&token).await), "token_invalid");
}

async fn tokens_of_other_users_are_not_found(place: Place) {
    let world = World::start(&place).await;
    let ada = world.sign_up("Ada", "ada@example.org").await.unwrap();
    let eve = developer(&world.sign_up("Eve", "eve@example.org").await.unwrap());
    let token = create(&world, &developer(&ada), Some(1)).await;
    let id = token.api_token.unwrap().id;
    for stranger in [eve, world.admin().await] {
        assert_eq!(code(revoke(&world, &stranger, &id).await), "not_found");
        let request = world.request(&stranger, ListApiTokensRequest::default());
        let listed = world.client().list_api_tokens(request).await.unwrap();
        assert!(listed.into_inner().api_tokens.is_empty());
    }
    assert!(world.authenticate(&token.token).await.is_ok());
    for nobody in [Caller::Anonymous, Caller::service("registration")] {
        let request = world.request(&nobody, wanted(Some(1)));
        assert!(world.client().create_api_token(request).await.is_err());
        assert!(revoke(&world, &nobody, &id).await.is_err());
    }
}

async fn a_repeated_call_creates_no_second_token_and_shows_none(place: Place) {
    let world = World::start(&place).await;
    let ada = developer(&world.sign_up("Ada", "ada@example.org").await.unwrap());
    let call = |days| world.keyed(&ada, "key 1", wanted(days));
    let first = world
        .client()
        .create_api_token(call(Some(1)))
        .await
        .unwrap();
    assert_eq!(
        code(world.client().create_api_token(call(Some(1))).await),
        "api_token_shown_before"
    );
    assert_eq!(
        code(world.client().create_api_token(call(Some(2))).await),
        "idempotency_key_reused"
    );
    assert_eq!(world.rows("api_tokens", &["id"]).await.len(), 1);
    assert!(world.authenticate(&first.into_inner().token).await.is_ok());
}

async fn all_problems_are_reported_at_once(place: Place) {
    let world = World::start(&place).await;
    let ada = developer(&world.sign_up("Ada", "ada@example.org").await.unwrap());
    for days in [0, 367] {
        let message = CreateApiTokenRequest {
            name: " ".into(),
            expires_in_days: Some(days),
        };
        let request = world.request(&ada, message);
        let status = world.client().create_api_token(request).await.unwrap_err();
        let error = portico_proto::Error::from(status);
        let fields: Vec<_> = error.fields.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(fields, ["name", "expires_in_days"]);
    }
}
