//! Orders of events that must end well although registration and gateway work in parallel: an approval without a
//! mapping, a scope that goes to another product, a revocation that overtakes an approval.

use std::time::Duration;

use http::StatusCode;
use portico_sandbox::identity_provider::{self, Answer, Fault, Operation};
use portico_trials::{Trial, trials};
use serde_json::{Value, json};

use crate::support::{
    actions::DEVELOPER_EMAIL,
    until,
    world::{Backends, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials!(single, [];
        no_credentials_before_the_mapping_stands,
        a_scope_goes_to_another_product_only_when_nobody_holds_it_from_the_former,
        a_revocation_that_overtakes_an_approval_leaves_nothing_behind,
    )
}

/// More faults than there are calls before they are cleared.
const UNTIL_CLEARED: usize = 10_000;

async fn world() -> World {
    let mut backends = Backends::embedded();
    backends.with("PORTICO_RETRY_MAX_DELAY", "500ms");
    World::start(Provider::sandbox().await, backends).await
}

impl World {
    fn idp_of_the_sandbox(&self) -> &identity_provider::Handle {
        match &self.provider {
            Provider::Sandbox(provider) => provider,
            _ => panic!("this needs a provider that fails when it is told to"),
        }
    }

    async fn decide(&self, request: &str, action: &str) {
        let answer = self.act(&self.admin, request, action).await;
        answer.expect(StatusCode::ACCEPTED).unwrap();
    }

    async fn read(&self, path: &str) -> Value {
        let answer = self.admin.get(path).await.unwrap();
        answer.expect(StatusCode::OK).unwrap()
    }

    /// The step of a request's timeline as soon as there is one that is so.
    async fn step(&self, request: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/api/v1/access-requests/{request}");
        until(&format!("a step of {request}"), || async {
            let now = self.read(&path).await;
            let mut steps = now["timeline"].as_array().unwrap().iter();
            steps.find(|step| is_so(step)).cloned()
        })
        .await
    }

    /// Subjects of the mails to the developer so far.
    fn told_to_the_developer(&self) -> Vec<String> {
        let mails = self.mail.messages().into_iter();
        mails
            .filter(|mail| mail.envelope_to.iter().any(|to| to == DEVELOPER_EMAIL))
            .map(|mail| mail.subject)
            .collect()
    }
}

async fn no_credentials_before_the_mapping_stands() {
    let world = world().await;
    let portal = world.configure().await;
    let (request, application) = portal.submit(&portal.payments, None).await;
    world.gateway.fail_next_control(UNTIL_CLEARED, 503);
    world.decide(&request, "approve").await;
    world
        .step(&request, |step| step["step"] == "registered")
        .await;
    world.step(&request, |step| step["step"] == "delayed").await;

    // The client is there and would get tokens, which open nothing yet.
    assert_eq!(world.provider.client_count().await, 1);
    let path = format!("/api/v1/applications/{application}/credentials");
    let answer = portal.developer.get(&path).await.unwrap();
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (StatusCode::CONFLICT, &json!("not_ready"))
    );
    let now = world
        .read(&format!("/api/v1/access-requests/{request}"))
        .await;
    assert_eq!(now["status"], "provisioning");
    assert_eq!(world.told_to_the_developer(), [""; 0]);

    world.gateway.clear_faults();
    world.wait_for_status(&request, "active").await;
    let credentials = portal.credentials(&application).await;
    let scopes = "product_payments free_plan";
    assert_eq!(world.call(&credentials, scopes, "payments").await.1, 200);
    until("the developer is told", || async {
        (world.told_to_the_developer().len() == 1).then_some(())
    })
    .await;
}

async fn a_scope_goes_to_another_product_only_when_nobody_holds_it_from_the_former() {
    let world = world().await;
    let portal = world.configure().await;
    let (former, application) = portal.submit(&portal.payments, None).await;
    world.approve(&former).await;
    let credentials = portal.credentials(&application).await;

    // The product gives its scope up, and the provider does not take it from the client.
    let provider = world.idp_of_the_sandbox();
    let refusal = Fault::Refuse(Answer::status(503));
    provider.fail_next(Operation::Update, UNTIL_CLEARED, refusal);
    let product = format!("/api/v1/products/{}", portal.payments);
    let scopes = json!({"scopes": "product_unlisted"});
    let answer = world.admin.patch(&product, scopes).await.unwrap();
    answer.expect(StatusCode::OK).unwrap();
    world.step(&former, |step| step["step"] == "delayed").await;

    // Another product takes it.
    let returns = world
        .product(
            "Returns API",
            "product_payments",
            "orders",
            &portal.client_type_id,
        )
        .await;
    let (latter, other) = portal.submit(&returns, None).await;
    world.decide(&latter, "approve").await;
    let waits = world
        .step(&latter, |step| {
            let detail = step["detail"].as_str().unwrap_or_default();
            step["step"] == "delayed" && detail.contains("Payments API")
        })
        .await;
    assert_eq!(waits["by"], "service:gateway");
    let held = world.read("/api/v1/gateways/held-scopes").await;
    let [held] = held["items"].as_array().unwrap().as_slice() else {
        panic!("one scope is held: {held}")
    };
    let member = |name: &str| held[name].as_str().unwrap();
    let named = ["scope", "holder_product_id", "product_id"].map(member);
    assert_eq!(
        named,
        [
            "product_payments",
            portal.payments.as_str(),
            returns.as_str()
        ]
    );
    // The client that was made for the former product does not open the latter.
    let scopes = "product_payments free_plan";
    assert_eq!(world.call(&credentials, scopes, "orders").await.1, 403);

    provider.clear_faults();
    for request in [&former, &latter] {
        world.wait_for_status(request, "active").await;
    }
    let others = portal.credentials(&other).await;
    assert_eq!(world.call(&others, scopes, "orders").await.1, 200);
    let scopes = "product_unlisted free_plan";
    assert_eq!(world.call(&credentials, scopes, "payments").await.1, 200);
    let now = portal.credentials(&application).await;
    assert_eq!(now.scopes, "free_plan product_unlisted");
    let held = world.read("/api/v1/gateways/held-scopes").await;
    assert_eq!(held["items"], json!([]));
}

async fn a_revocation_that_overtakes_an_approval_leaves_nothing_behind() {
    let world = world().await;
    let portal = world.configure().await;
    let provider = world.idp_of_the_sandbox();
    let (request, _) = portal.submit(&portal.payments, None).await;
    // The provider registers the client at once and answers late; the gateway is away for some calls.
    let late = Fault::CommitThenDelay(Duration::from_secs(2));
    provider.fail_next(Operation::Register, 1, late);
    world.gateway.fail_next_control(4, 503);
    world.decide(&request, "approve").await;
    until("the provider is registering the client", || async {
        (provider.requests(Operation::Register) == 1).then_some(())
    })
    .await;
    world.decide(&request, "revoke").await;

    world
        .step(&request, |step| step["step"] == "deprovisioned")
        .await;
    let now = world
        .read(&format!("/api/v1/access-requests/{request}"))
        .await;
    assert_eq!(now["status"], "revoked");
    let mut steps = now["timeline"].as_array().unwrap().iter();
    assert!(steps.all(|step| step["step"] != "provisioned"), "{now}");
    assert_eq!(world.provider.client_count().await, 0);
    for api in ["payments", "orders"] {
        let written = world.gateway.api(api).unwrap().to_string();
        assert!(!written.contains("product_payments"), "{written}");
    }
    // What was never created is taken away without a call, so faults may be left.
    world.gateway.clear_faults();
    let gateways = world.read("/api/v1/gateways").await;
    let gateway = gateways["items"][0]["id"].as_str().unwrap();
    until("no policy is left", || async {
        let path = format!("/api/v1/gateways/{gateway}/policies");
        let list = world.read(&path).await;
        let mut policies = list["items"].as_array().unwrap().iter();
        policies.all(|policy| policy["id"] == "noop").then_some(())
    })
    .await;
    until("the developer is told", || async {
        (!world.told_to_the_developer().is_empty()).then_some(())
    })
    .await;
    let told = world.told_to_the_developer();
    assert!(
        matches!(told.as_slice(), [subject] if subject.contains("revoked")),
        "{told:?}"
    );
}
