use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::*;

const BOTH: &str = "product_payments free_plan";
const NOT_AUTHORIZED: &str = "Key not authorized";
const DISALLOWED: &str = "Access to this API has been disallowed";

#[tokio::test]
async fn row_1_both_scopes() {
    let world = World::start().await;
    let token = world.token(BOTH);
    assert_eq!(world.call(&token).await, answer(200, ""));
    assert_eq!(
        world
            .call_with("/invoices/1", Some(&format!("bearer {token}")))
            .await,
        answer(403, DISALLOWED)
    );
    assert_eq!(
        world.call_with("/payments/1", Some(&token)).await,
        answer(200, ""),
        "Bearer may be left out"
    );
    assert_eq!(world.upstream.calls(), 2);
}

#[tokio::test]
async fn row_2_product_scope_only_has_the_default_limits() {
    let world = World::start().await;
    let token = world.token("product_payments");
    assert_eq!(world.call(&token).await, answer(200, ""));
    assert_eq!(world.call(&token).await, answer(200, ""));
    assert_eq!(
        world.call(&token).await,
        answer(429, "Rate Limit Exceeded"),
        "the default policy allows two"
    );
}

#[tokio::test]
async fn row_3_plan_scope_only() {
    let world = World::start().await;
    let refused = answer(403, "key not authorized: could not apply several policies");
    assert_eq!(world.call(&world.token("free_plan")).await, refused);
}

#[tokio::test]
async fn row_4_no_scope_claim() {
    let world = World::start().await;
    assert_eq!(
        world.call_claims(world.claims("someone", json!({}))).await,
        answer(403, DISALLOWED)
    );
}

#[tokio::test]
async fn row_5_scopes_none_mapped() {
    let world = World::start().await;
    let refused = answer(
        403,
        "key not authorized: no matching policy found in scope claim",
    );
    assert_eq!(world.call(&world.token("openid profile")).await, refused);
    assert_eq!(
        world.call(&world.token("")).await,
        refused,
        "an empty claim is a claim"
    );
}

#[tokio::test]
async fn row_6_no_token() {
    let world = World::start().await;
    assert_eq!(
        world.call_with("/payments/1", None).await,
        answer(400, "Authorization field missing")
    );
    assert_eq!(world.upstream.calls(), 0);
}

#[tokio::test]
async fn row_7_bad_signature_or_unknown_key() {
    let world = World::start().await;
    let token = world.token(BOTH);
    let parts: Vec<&str> = token.split('.').collect();
    let forged =
        URL_SAFE_NO_PAD.encode(world.claims("another", json!({"scope": BOTH})).to_string());
    assert_eq!(
        world
            .call(&format!("{}.{forged}.{}", parts[0], parts[2]))
            .await,
        answer(403, NOT_AUTHORIZED)
    );
    let other = identity_provider::start(identity_provider::Settings::default())
        .await
        .unwrap();
    let foreign = other
        .sign(&world.claims("someone", json!({"scope": BOTH})))
        .unwrap();
    assert_eq!(world.call(&foreign).await, answer(403, NOT_AUTHORIZED));
    assert_eq!(world.call("nonsense").await, answer(403, NOT_AUTHORIZED));
    let unsigned = format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
        parts[1]
    );
    assert_eq!(
        world.call(&unsigned).await,
        answer(403, "Key not authorized: Unexpected signing method")
    );
}

#[tokio::test]
async fn row_8_expired() {
    let world = World::start().await;
    let token = world.token(BOTH);
    assert_eq!(world.call(&token).await.0, 200);
    world.gateway.clock().advance(Duration::from_secs(301));
    assert_eq!(
        world.call(&token).await,
        answer(401, "Key not authorized: token has expired")
    );
    let early = world.claims(
        "someone",
        json!({"scope": BOTH, "exp": 9_999_999_999_i64, "nbf": 9_999_999_998_i64}),
    );
    assert_eq!(
        world.call_claims(early).await,
        answer(401, "Key not authorized: token is not valid yet")
    );
}

#[tokio::test]
async fn row_9_rate_then_quota() {
    let world = World::start().await;
    let token = world
        .provider
        .sign(&world.claims("busy", json!({"scope": BOTH, "exp": 9_999_999_999_i64})))
        .unwrap();
    for _ in 0..20 {
        for _ in 0..5 {
            assert_eq!(world.call(&token).await, answer(200, ""));
        }
        assert_eq!(world.call(&token).await, answer(429, "Rate Limit Exceeded"));
        world.gateway.clock().advance(Duration::from_secs(61));
    }
    assert_eq!(world.call(&token).await, answer(403, "Quota exceeded"));
    world.gateway.clock().advance(Duration::from_secs(3600));
    assert_eq!(
        world.call(&token).await,
        answer(200, ""),
        "the quota renews"
    );
}

#[tokio::test]
async fn limits_belong_to_the_identity_not_to_the_token() {
    let world = World::start().await;
    let scope = |number: i64| json!({"scope": BOTH, "jti": number});
    for number in 0..5 {
        assert_eq!(
            world
                .call_claims(world.claims("same", scope(number)))
                .await
                .0,
            200
        );
    }
    assert_eq!(
        world.call_claims(world.claims("same", scope(6))).await.0,
        429
    );
    assert_eq!(
        world.call_claims(world.claims("other", scope(7))).await.0,
        200
    );
    world.gateway.clear_limits();
    assert_eq!(
        world.call_claims(world.claims("same", scope(8))).await.0,
        200
    );
}

#[tokio::test]
async fn a_pol_claim_comes_with_the_mapped_policies() {
    let world = World::start().await;
    let gold = PlanLimits { rate: 50, ..PLAN };
    world
        .gateway
        .load(
            Vec::new(),
            vec![
                seed::plan_policy("gold", "Gold", &[PAYMENTS], gold),
                seed::product_policy("own", "Own", &[PAYMENTS]),
            ],
        )
        .unwrap();
    let with = |pol: &str, scope: &str| world.claims(pol, json!({"pol": pol, "scope": scope}));
    assert_eq!(
        world.call_claims(with("own", "free_plan")).await,
        answer(200, ""),
        "it opens what the plan limits"
    );
    assert_eq!(
        world.call_claims(with("no such policy", BOTH)).await,
        answer(403, "key not authorized: no matching policy")
    );
    assert_eq!(
        world.call_claims(with("gold", BOTH)).await,
        answer(
            500,
            "failed to create key: key has no valid policies to be applied"
        ),
        "a plan alone is no base policy"
    );
}

#[tokio::test]
async fn without_a_default_policy_it_depends_on_the_version() {
    let refused = answer(403, "key not authorized: no matching policy found");
    let old = World::start().await;
    old.edit_api(|api| api["jwt_default_policies"] = json!([]));
    assert_eq!(old.call(&old.token(BOTH)).await, refused);
    let new = World::start_with(Settings {
        default_policy_needed: false,
        ..Settings::default()
    })
    .await;
    new.edit_api(|api| api["jwt_default_policies"] = Value::Null);
    assert_eq!(new.call(&new.token(BOTH)).await, answer(200, ""));
    assert_eq!(
        new.call_claims(new.claims("someone", json!({}))).await,
        refused
    );
}

#[tokio::test]
async fn a_missing_or_broken_default_policy_admits_nobody() {
    let world = World::start().await;
    world.edit_api(|api| api["jwt_default_policies"] = json!(["gone"]));
    assert_eq!(
        world.call(&world.token(BOTH)).await,
        answer(403, "key not authorized: no matching policy")
    );
    world.edit_api(|api| api["org_id"] = json!("another organisation"));
    assert_eq!(
        world.call(&world.token(BOTH)).await,
        answer(403, "key not authorized: no matching policy")
    );
}

#[tokio::test]
async fn a_stale_mapping_beside_sound_ones_does_no_harm() {
    let world = World::start().await;
    world.edit_api(|api| api["scopes"]["jwt"]["scope_to_policy"]["old"] = json!("deleted policy"));
    assert_eq!(
        world
            .call(&world.token("old product_payments free_plan"))
            .await,
        answer(200, "")
    );
    let refused = answer(403, "key not authorized: could not apply several policies");
    assert_eq!(world.call(&world.token("old")).await, refused);
}

#[tokio::test]
async fn the_scope_claim_may_be_renamed_nested_or_a_list() {
    let world = World::start().await;
    let list = json!(["product_payments", "free_plan"]);
    assert_eq!(
        world
            .call_claims(world.claims("a", json!({"scope": list})))
            .await,
        answer(200, "")
    );
    world.edit_api(|api| api["scopes"]["jwt"]["scope_claim_name"] = json!("realm.scp"));
    assert_eq!(
        world
            .call_claims(world.claims("b", json!({"realm": {"scp": BOTH}})))
            .await,
        answer(200, "")
    );
    assert_eq!(
        world
            .call_claims(world.claims("c", json!({"scope": BOTH})))
            .await,
        answer(403, DISALLOWED)
    );
}

#[tokio::test]
async fn the_identity_falls_back_to_sub() {
    let world = World::start().await;
    world.edit_api(|api| api["jwt_identity_base_field"] = json!("azp"));
    assert_eq!(world.call(&world.token(BOTH)).await.0, 200);
    let nobody = json!({"scope": BOTH, "sub": ""});
    let refused = answer(403, "no suitable claims for user ID were found");
    assert_eq!(world.call_claims(world.claims("x", nobody)).await, refused);
}

#[tokio::test]
async fn keys_are_kept_for_240_seconds_or_until_flushed() {
    let world = World::start().await;
    let far = world.claims(
        "someone",
        json!({"scope": "product_payments free_plan", "exp": 9_999_999_999_i64}),
    );
    let token = world.provider.sign(&far).unwrap();
    for _ in 0..3 {
        assert_eq!(world.call(&token).await.0, 200);
    }
    assert_eq!(world.gateway.jwks_fetches(), 1);
    world.gateway.clock().advance(Duration::from_secs(241));
    assert_eq!(world.call(&token).await.0, 200);
    assert_eq!(world.gateway.jwks_fetches(), 2);

    let other = identity_provider::start(identity_provider::Settings::default())
        .await
        .unwrap();
    world.edit_api(|api| api["jwt_source"] = STANDARD.encode(other.jwks_url()).into());
    assert_eq!(
        world.call(&token).await,
        answer(403, NOT_AUTHORIZED),
        "another address, other keys"
    );
    assert_eq!(world.gateway.jwks_fetches(), 3);
}

#[tokio::test]
async fn unreadable_keys_refuse_and_are_asked_for_again() {
    use identity_provider::{Answer, Fault, Operation};
    let world = World::start().await;
    world
        .provider
        .fail_next(Operation::Jwks, 1, Fault::Refuse(Answer::html(200)));
    world
        .provider
        .fail_next(Operation::Jwks, 1, Fault::Refuse(Answer::status(500)));
    let token = world.token(BOTH);
    assert_eq!(world.call(&token).await, answer(403, NOT_AUTHORIZED));
    assert_eq!(world.call(&token).await, answer(403, NOT_AUTHORIZED));
    assert_eq!(world.call(&token).await, answer(200, ""));
    world.edit_api(|api| api["jwt_source"] = json!(""));
    assert_eq!(world.call(&token).await, answer(403, NOT_AUTHORIZED));
}

#[tokio::test]
async fn a_body_a_query_and_headers_reach_the_upstream_and_the_token_does_not() {
    let world = World::start().await;
    let url = format!("{}/payments/7?currency=EUR", world.gateway.url());
    let request = http_client()
        .unwrap()
        .post(url)
        .bearer_auth(world.token(BOTH));
    let response = request
        .header("x-trace", "42")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .body("{}");
    let response = response.send().await.unwrap();
    assert_eq!(response.headers()["x-ratelimit-limit"], "100");
    assert_eq!(response.headers()["x-ratelimit-remaining"], "99");
    let seen: Value = response.json().await.unwrap();
    assert_eq!(
        (&seen["method"], &seen["path"]),
        (&json!("POST"), &json!("/7")),
        "{seen}"
    );
    assert_eq!(
        (&seen["query"]["currency"], &seen["headers"]["x-trace"]),
        (&json!("EUR"), &json!("42"))
    );
    assert_eq!(seen["headers"]["content-length"], "2");
    assert_eq!(seen["headers"]["x-hop"], Value::Null);
    world.edit_api(|api| api["proxy"]["strip_listen_path"] = json!(false));
    let seen: Value = world
        .get("/payments/7", Some(&world.token(BOTH)))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(seen["path"], "/payments/7");
}

#[tokio::test]
async fn unknown_paths_keyless_apis_and_dead_upstreams() {
    let world = World::start().await;
    assert_eq!(world.get("/nothing/here", None).await.status(), 404);
    world.edit_api(|api| api["use_keyless"] = json!(true));
    assert_eq!(world.call_with("/payments/1", None).await, answer(200, ""));
    world.edit_api(|api| api["proxy"]["target_url"] = json!("http://127.0.0.1:9"));
    let refused = answer(500, "there was a problem proxying the request");
    assert_eq!(world.call(&world.token(BOTH)).await, refused);
    world.edit_api(|api| api["enable_jwt"] = json!(false));
    assert_eq!(
        world.call(&world.token(BOTH)).await,
        answer(401, "Authorization field missing")
    );
}

#[tokio::test]
async fn a_token_issued_to_a_registered_client_opens_its_product() {
    let world = World::start().await;
    for scope in ["product_payments", "free_plan"] {
        assert!(world.provider.add_scope(scope));
    }
    let wanted = json!({"grant_types": ["client_credentials"], "scope": BOTH});
    let http = http_client().unwrap();
    let register = http
        .post(format!("{}/register", world.provider.url()))
        .json(&wanted);
    let client: Value = register.send().await.unwrap().json().await.unwrap();
    let request = http.post(format!("{}/token", world.provider.url()));
    let request = request.basic_auth(
        client["client_id"].as_str().unwrap(),
        client["client_secret"].as_str(),
    );
    let form = [("grant_type", "client_credentials"), ("scope", BOTH)];
    let issued: Value = request
        .form(&form)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        world.call(issued["access_token"].as_str().unwrap()).await,
        answer(200, "")
    );
}
