//! What is looked for, and how it comes about: people write, the portal and its neighbours issue, and things go wrong.

use http::StatusCode;
use portico::client::{Answer, Portal};
use portico_sandbox::identity_provider::{Answer as Said, Fault, Operation};
use portico_tests::{
    canaries::Canaries,
    cluster::{IDENTITY_KEY, KEK},
};
use serde_json::json;

use crate::{
    api_keys,
    support::{
        actions::{Configured, DEVELOPER_EMAIL, DEVELOPER_PASSWORD, id, made},
        process::{ADMIN_EMAIL, ADMIN_PASSWORD},
        until,
        world::{INITIAL_ACCESS_TOKEN, Provider, World},
    },
    traces::COLLECTOR_TOKEN,
};

pub(super) const NAME: &str = "Zo\u{eb} \"Canary\" O'Quux";
pub(super) const EMAIL: &str = "zoe+canary@customer.example";
/// Has letters that every way of writing writes in another way.
const PASSWORD: &str = "p\u{e4}ss\"w\\rd/&=%+ canary";
const WRONG_PASSWORD: &str = "a-wrong-password-canary";
pub(super) const SMTP_PASSWORD: &str = "mail-canary+/=&%1";
const GATEWAY_SECRET: &str = "another-gateway-secret-canary";
/// Kept with the request, and told to nobody but those who may see it.
pub(super) const REASON: &str = "Because of the canary in the reason";
/// What only those who asked may read.
const SEARCHED: &str = "searched-for-canary";

/// What people write of an application; its name stands in clear for search, as long as its owner is there.
pub(super) const APPLICATION_NAME: &str = "Wetterstation Petra Quasebarth";
pub(super) const FORMER_NAME: &str = "Petra Quasebarths Versuch";
pub(super) const APPLICATION_DESCRIPTION: &str = "Messwerte aus dem Garten in Wuemmersbach";
pub(super) const REDIRECT_URL: &str = "https://wetter.wuemmersbach.example/cb";
pub(super) const REDIRECT_HOST: &str = "wuemmersbach.example";

/// What was made, to look for it.
pub(super) struct Scene {
    /// Nobody may be told.
    pub(super) secrets: Canaries,
    /// The secrets, and what says who people are.
    pub(super) all: Canaries,
    /// All, and what people said to each other: it is kept where their requests are.
    pub(super) said: Canaries,
    /// An access request, which is no secret.
    pub(super) request: String,
    /// What it is for.
    pub(super) application: String,
    /// The answers to what was wrong: code and body.
    pub(super) errors: Vec<(String, String)>,
}

impl Scene {
    pub(super) fn secret(&mut self, name: &str, value: &str) {
        self.secrets.add(name, value);
        self.personal(name, value);
    }

    fn personal(&mut self, name: &str, value: &str) {
        self.all.add(name, value);
        self.said.add(name, value);
    }

    /// What somebody was refused, in words.
    fn refused(&mut self, answer: Result<Answer, String>) {
        let answer = answer.unwrap();
        assert!(!answer.status.is_success(), "{}", answer.body);
        let code = answer.body["code"].as_str().unwrap_or_default();
        let code = format!("the error {code}");
        self.errors.push((code, answer.body.to_string()));
    }

    /// That the place was read, and what must not be there is not.
    pub(super) fn look(&self, canaries: &Canaries, place: &str, bytes: &[u8]) {
        let read = String::from_utf8_lossy(bytes).contains(&self.request);
        assert!(read, "{place} has nothing of the request {}", self.request);
        canaries.assert_absent(place, bytes);
    }
}

/// Everything that Portico issues is issued, and what can go wrong with a secret in it goes wrong.
pub(super) async fn play(world: &World) -> Scene {
    let portal = world.configure().await;
    let application = written(&portal.developer).await;
    let (request, _) = portal.submit(&portal.payments, Some(&application)).await;
    world.approve(&request).await;
    let mut scene = Scene {
        secrets: Canaries::default(),
        all: Canaries::default(),
        said: Canaries::default(),
        request,
        application,
        errors: Vec::new(),
    };
    for (name, value) in [
        ("initial access token", INITIAL_ACCESS_TOKEN),
        ("gateway's secret", world.gateway.secret()),
        ("admin's password", ADMIN_PASSWORD),
        ("developer's password", DEVELOPER_PASSWORD),
        ("developer's session", portal.developer.token().unwrap()),
        ("admin's session", world.admin.token().unwrap()),
        ("key-encryption key", KEK),
        ("identity key", IDENTITY_KEY),
        ("collector's token", COLLECTOR_TOKEN),
        ("wrong password", WRONG_PASSWORD),
        ("wrong gateway secret", GATEWAY_SECRET),
        ("password of the mail server", SMTP_PASSWORD),
        ("password with odd letters", PASSWORD),
    ] {
        scene.secret(name, value);
    }
    for (name, value) in [
        ("developer's name", "Ada Lovelace"),
        ("developer's address", DEVELOPER_EMAIL),
        ("admin's address", ADMIN_EMAIL),
        ("odd name", NAME),
        ("odd address", EMAIL),
        ("application's description", APPLICATION_DESCRIPTION),
        ("redirect URL", REDIRECT_URL),
        ("its host", REDIRECT_HOST),
    ] {
        scene.personal(name, value);
    }
    scene.said.add("reason", REASON);
    scene.said.add("search word", SEARCHED);
    issue(world, &portal, &mut scene).await;
    reject(world, &portal).await;
    go_wrong(world, &portal, &mut scene).await;
    scene
}

/// An application that was renamed.
async fn written(developer: &Portal) -> String {
    let body = json!({
        "name": FORMER_NAME, "description": APPLICATION_DESCRIPTION, "redirect_urls": [REDIRECT_URL],
        "visibility": "personal",
    });
    let application = id(&made(developer, "/api/v1/applications", body).await);
    let path = format!("/api/v1/applications/{application}");
    let renamed = json!({"name": APPLICATION_NAME});
    let answer = developer.patch(&path, renamed).await.unwrap();
    answer.expect(StatusCode::OK).unwrap();
    application
}

/// What the portal and its neighbours issue: an OAuth client, an API key, an API token.
async fn issue(world: &World, portal: &Configured, scene: &mut Scene) {
    let credentials = portal.credentials(&scene.application).await;
    scene.secret("client secret", &credentials.client_secret);
    let Provider::Sandbox(provider) = &world.provider else {
        panic!("this world has the sandbox's provider")
    };
    let registered = provider.clients().remove(0);
    let token = registered.registration_access_token.unwrap();
    scene.secret("registration access token", &token);

    let product = api_keys::product(world).await;
    let order = api_keys::order(portal, &product).await;
    world.approve(&order.request).await;
    let ready = api_keys::ready(&portal.developer, &order.application).await;
    let shown = api_keys::reveal(&portal.developer, &ready, StatusCode::OK).await;
    scene.secret("API key", shown["key"].as_str().unwrap());

    let name = json!({"name": "ci"});
    let made = made(&portal.developer, "/api/v1/api-tokens", name).await;
    let token = made["token"].as_str().unwrap();
    scene.secret("API token", token);
    let http = portico_sandbox::outgoing::http_client().unwrap();
    let program = Portal::with_token(http, world.portico.url(), token.to_owned());
    let search = format!("/api/v1/applications?q={SEARCHED}");
    let answer = program.get(&search).await.unwrap();
    answer.expect(StatusCode::OK).unwrap();
}

/// Somebody whose name and password need escapes asks, and is told why not.
async fn reject(world: &World, portal: &Configured) {
    let anonymous = world.portico.anonymous();
    let person = json!({"name": NAME, "email": EMAIL, "password": PASSWORD});
    made(&anonymous, "/api/v1/users", person).await;
    let developer = anonymous.sign_in(EMAIL, PASSWORD).await.unwrap();
    let body = json!({
        "items": [{"product_id": portal.orders, "plan_id": portal.free}],
        "application": {"name": "Shop", "description": "", "redirect_urls": [], "visibility": "personal"},
        "client_type_id": portal.client_type_id,
    });
    let request = id(&made(&developer, "/api/v1/access-requests", body).await);
    let path = format!("/api/v1/access-requests/{request}/reject");
    let rejected = world.admin.post(&path, json!({"reason": REASON})).await;
    rejected.unwrap().expect(StatusCode::ACCEPTED).unwrap();
    until("the mail about it", || async {
        let mails = world.mail.messages();
        let to_her = |to: &String| to.contains("zoe+canary");
        let there = mails.iter().any(|mail| mail.envelope_to.iter().any(to_her));
        there.then_some(())
    })
    .await;
}

/// Errors are made of what was sent: here it is secret.
async fn go_wrong(world: &World, portal: &Configured, scene: &mut Scene) {
    let anonymous = world.portico.anonymous();
    for body in [
        json!({"email": EMAIL, "password": WRONG_PASSWORD}),
        json!({"email": {"of": EMAIL}, "password": [WRONG_PASSWORD]}),
        json!({"email": EMAIL, "password": PASSWORD, "passwort": PASSWORD}),
    ] {
        scene.refused(anonymous.post("/api/v1/session", body).await);
    }
    let again =
        json!({"name": NAME, "email": DEVELOPER_EMAIL, "password": format!("{PASSWORD}\u{7}")});
    scene.refused(anonymous.post("/api/v1/users", again).await);
    let gateway = json!({
        "name": "Another", "type": "tyk", "url": world.gateway.url(), "secret": GATEWAY_SECRET,
        "org_id": portico_sandbox::gateway::seed::ORG,
    });
    scene.refused(world.admin.post("/api/v1/gateways", gateway).await);
    let provider = json!({
        "name": "Another", "type": "other", "well_known_url": format!("http://u:{WRONG_PASSWORD}@127.0.0.1:1/"),
        "initial_access_token": {"is": INITIAL_ACCESS_TOKEN},
    });
    scene.refused(
        world
            .admin
            .post("/api/v1/identity-providers", provider)
            .await,
    );
    let http = portico_sandbox::outgoing::http_client().unwrap();
    let almost = format!("{}x", portal.developer.token().unwrap());
    let almost = Portal::with_token(http, world.portico.url(), almost);
    scene.refused(almost.get("/api/v1/applications").await);

    // A provider that says aloud what it was told.
    let Provider::Sandbox(provider) = &world.provider else {
        panic!("this world has the sandbox's provider")
    };
    let words = format!("you sent Bearer {INITIAL_ACCESS_TOKEN}");
    let body = json!({"error": "invalid_client_metadata", "error_description": words});
    let refusal = Fault::Refuse(Said::json(400, &body));
    provider.fail_next(Operation::Register, 20, refusal);
    let (failed, _) = portal.submit(&portal.orders, None).await;
    let approved = world.act(&world.admin, &failed, "approve").await;
    approved.expect(StatusCode::ACCEPTED).unwrap();
    world.wait_for_status(&failed, "failed").await;
    provider.clear_faults();
    for who in [&world.admin, &portal.developer] {
        let path = format!("/api/v1/access-requests/{failed}");
        let told = who.get(&path).await.unwrap();
        let told = ("the failed request".to_owned(), told.body.to_string());
        scene.errors.push(told);
    }
}
