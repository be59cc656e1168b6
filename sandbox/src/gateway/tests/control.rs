use reqwest::Method;

use super::*;

struct Control {
    gateway: Handle,
}

impl Control {
    async fn start() -> Self {
        let settings = Settings {
            apis: vec![seed::no_operation_api()],
            policies: vec![seed::no_operation_policy()],
            ..Settings::default()
        };
        Self {
            gateway: start(settings).await.unwrap(),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut request = http_client()
            .unwrap()
            .request(method, format!("{}{path}", self.gateway.url()));
        request = request.header("X-Tyk-Authorization", self.gateway.secret());
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, None).await
    }
}

fn done(key: &str, action: &str) -> (u16, Value) {
    (200, json!({"key": key, "status": "ok", "action": action}))
}

fn failed(status: u16, message: &str) -> (u16, Value) {
    (status, json!({"status": "error", "message": message}))
}

fn ok(message: &str) -> (u16, Value) {
    (200, json!({"status": "ok", "message": message}))
}

#[tokio::test]
async fn the_secret_guards_everything_but_hello() {
    let control = Control::start().await;
    let http = http_client().unwrap();
    let hello: Value = http
        .get(format!("{}/hello", control.gateway.url()))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(hello["status"], "pass");
    for path in [
        "/tyk/apis",
        "/tyk/policies/x",
        "/tyk/reload",
        "/tyk/nothing",
    ] {
        let url = format!("{}{path}", control.gateway.url());
        for secret in ["", "wrong"] {
            let refused = http
                .get(&url)
                .header("X-Tyk-Authorization", secret)
                .send()
                .await
                .unwrap();
            assert_eq!(refused.status(), 403, "{path}");
            assert_eq!(refused.json::<Value>().await.unwrap()["status"], "error");
        }
    }
    assert!(control.gateway.control_calls().is_empty());
    assert_eq!(control.get("/tyk/nothing").await, failed(404, "Not Found"));
    let wrong_method = control.call(Method::PATCH, "/tyk/apis", None).await;
    assert_eq!(wrong_method, failed(405, "Method not supported"));
}

#[tokio::test]
async fn definitions_take_effect_at_the_reload_and_keep_every_member() {
    let control = Control::start().await;
    let api = json!({
        "api_id": "pay", "org_id": "sandbox", "colour": {"nested": [1, null]},
        "proxy": {"listen_path": "/pay/", "target_url": "http://127.0.0.1:9"},
    });
    assert_eq!(
        control.call(Method::POST, "/tyk/apis", Some(&api)).await,
        done("pay", "added")
    );
    assert_eq!(
        control.get("/tyk/apis/pay").await,
        failed(404, "API not found")
    );
    assert_eq!(
        control.call(Method::PUT, "/tyk/apis/pay", Some(&api)).await,
        failed(404, "API not found")
    );
    assert_eq!(control.gateway.written_api("pay"), Some(api.clone()));
    assert_eq!(control.get("/tyk/reload?block=true").await, ok(""));
    assert_eq!(control.get("/tyk/apis/pay").await, (200, api.clone()));

    let replaced = json!({"api_id": "pay", "only": "this", "proxy": {"listen_path": "/pay/"}});
    assert_eq!(
        control
            .call(Method::PUT, "/tyk/apis/pay", Some(&replaced))
            .await,
        done("pay", "modified")
    );
    assert_eq!(control.gateway.api("pay"), Some(api));
    control.get("/tyk/reload?block=true").await;
    assert_eq!(
        control.get("/tyk/apis/pay").await,
        (200, replaced.clone()),
        "replaced whole"
    );
    assert_eq!(
        control.get("/tyk/apis").await,
        (200, json!([seed::no_operation_api(), replaced]))
    );

    assert_eq!(
        control.call(Method::DELETE, "/tyk/apis/pay", None).await,
        done("pay", "deleted")
    );
    assert_eq!(
        control.get("/tyk/apis/pay").await.0,
        200,
        "until the reload"
    );
    control.get("/tyk/reload?block=true").await;
    assert_eq!(
        control.call(Method::DELETE, "/tyk/apis/pay", None).await,
        failed(404, "API not found")
    );
}

#[tokio::test]
async fn definitions_that_do_not_fit_are_refused() {
    let control = Control::start().await;
    let mismatch = json!({"api_id": "another"});
    assert_eq!(
        control
            .call(Method::PUT, "/tyk/apis/noop", Some(&mismatch))
            .await
            .0,
        400
    );
    for body in [
        json!([]),
        json!("text"),
        json!({"api_id": 7}),
        json!({"scopes": "none"}),
    ] {
        let refused = control.call(Method::POST, "/tyk/apis", Some(&body)).await;
        assert_eq!(refused, failed(400, "Request malformed"), "{body}");
    }
    let no_id = control.call(Method::DELETE, "/tyk/apis", None).await;
    assert_eq!(no_id, failed(400, "Must specify an apiID to delete"));
    let (status, named) = control
        .call(Method::POST, "/tyk/apis", Some(&json!({"name": "new"})))
        .await;
    let id = named["key"].as_str().unwrap();
    assert_eq!(
        (
            status,
            control.gateway.written_api(id).unwrap()["api_id"].as_str()
        ),
        (200, Some(id))
    );
}

#[tokio::test]
async fn policies_take_effect_at_the_reload() {
    let control = Control::start().await;
    let policy = seed::product_policy("prod", "Payments", &[("pay", "Payments")]);
    assert_eq!(
        control
            .call(Method::POST, "/tyk/policies", Some(&policy))
            .await,
        done("prod", "added")
    );
    assert_eq!(
        control.get("/tyk/policies/prod").await,
        failed(404, "Policy not found")
    );
    control.get("/tyk/reload?block=true").await;
    assert_eq!(
        control.get("/tyk/policies/prod").await,
        (200, policy.clone())
    );
    assert_eq!(
        control.get("/tyk/policies").await,
        (200, json!([seed::no_operation_policy(), policy]))
    );

    let other = seed::product_policy("other", "Other", &[]);
    assert_eq!(
        control
            .call(Method::PUT, "/tyk/policies/prod", Some(&other))
            .await
            .0,
        400
    );
    assert_eq!(
        control
            .call(Method::PUT, "/tyk/policies/other", Some(&other))
            .await,
        done("other", "modified")
    );
    let nameless = failed(400, "Unable to create policy without id.");
    assert_eq!(
        control
            .call(Method::POST, "/tyk/policies", Some(&json!({})))
            .await,
        nameless
    );
    let malformed = control
        .call(
            Method::POST,
            "/tyk/policies",
            Some(&json!({"id": "x", "rate": "fast"})),
        )
        .await;
    assert_eq!(malformed, failed(400, "Request malformed"));

    assert_eq!(
        control
            .call(Method::DELETE, "/tyk/policies/prod", None)
            .await,
        done("prod", "deleted")
    );
    assert_eq!(
        control
            .call(Method::DELETE, "/tyk/policies/prod", None)
            .await,
        failed(500, "Delete failed")
    );
    assert!(control.gateway.policy("prod").is_some());
    control.get("/tyk/reload?block=true").await;
    assert!(control.gateway.policy("prod").is_none());
}

#[tokio::test]
async fn other_reloads_come_later() {
    for path in ["/tyk/reload", "/tyk/reload/group"] {
        let control = Control::start().await;
        let policy = seed::product_policy("prod", "Payments", &[]);
        control
            .call(Method::POST, "/tyk/policies", Some(&policy))
            .await;
        assert_eq!(control.get(path).await, ok(""));
        assert!(control.gateway.policy("prod").is_none(), "not yet");
        let loaded = async {
            while control.gateway.policy("prod").is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), loaded)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_flush_makes_the_gateway_read_the_keys_again() {
    let world = World::start().await;
    let token = world.token("product_payments free_plan");
    let flush = async |path: &str| {
        let request = http_client()
            .unwrap()
            .delete(format!("{}{path}", world.gateway.url()));
        let response = request
            .header("X-Tyk-Authorization", world.gateway.secret())
            .send()
            .await
            .unwrap();
        response.json::<Value>().await.unwrap()["message"].clone()
    };
    world.call(&token).await;
    assert_eq!(flush("/tyk/cache/jwks/another").await, "cache invalidated");
    world.call(&token).await;
    assert_eq!(world.gateway.jwks_fetches(), 1);
    flush("/tyk/cache/jwks/payments").await;
    world.call(&token).await;
    assert_eq!(world.gateway.jwks_fetches(), 2);
    flush("/tyk/cache/jwks").await;
    world.call(&token).await;
    assert_eq!(world.gateway.jwks_fetches(), 3);
}

#[tokio::test]
async fn calls_are_recorded_and_can_be_made_to_fail() {
    let control = Control::start().await;
    control.gateway.fail_next_control(1, 500);
    assert_eq!(control.get("/tyk/apis").await.0, 500);
    assert_eq!(control.get("/tyk/apis/noop").await.0, 200);
    control.get("/tyk/reload?block=true").await;
    let calls: Vec<String> = control
        .gateway
        .control_calls()
        .into_iter()
        .map(|call| format!("{} {}", call.method, call.path))
        .collect();
    assert_eq!(
        calls,
        [
            "GET /tyk/apis",
            "GET /tyk/apis/noop",
            "GET /tyk/reload?block=true"
        ]
    );
    control.gateway.clear_control_calls();
    assert!(control.gateway.control_calls().is_empty());
}

#[tokio::test]
async fn a_restart_finds_what_was_written_and_seeds_only_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || Settings {
        data_file: Some(folder.path().join("gateway.json")),
        apis: vec![seed::no_operation_api()],
        policies: vec![seed::no_operation_policy()],
        ..Settings::default()
    };
    let first = start(settings()).await.unwrap();
    let mut edited = seed::no_operation_api();
    edited["name"] = json!("edited");
    first.load(vec![edited.clone()], Vec::new()).unwrap();
    assert!(first.remove_policy("noop").unwrap() && !first.remove_api("nothing").unwrap());
    first.stop().await;
    let second = start(settings()).await.unwrap();
    assert_eq!(second.api("noop"), Some(edited));
    assert_eq!(
        second.policy("noop"),
        Some(seed::no_operation_policy()),
        "a seed that is gone comes back"
    );
}
