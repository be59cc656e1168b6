//! A portal with people in it: victims who have one of everything, and those who look at it.

use http::StatusCode;
use portico::{
    client::Portal as Client,
    demo::{
        seed::{self, Catalogue},
        world::{Given, World},
    },
};
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

const PASSWORD: &str = "a-password-of-the-matrix";
/// Waiting for what follows from an approval.
const TRIES: usize = 9_000;

/// Somebody who calls, with a session or an API token.
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) token: Option<String>,
    pub(super) portal: Client,
    /// Cookies of their browser, and the token that its forms have.
    pub(super) browser: OnceCell<(String, String)>,
}

/// A developer with an application that has credentials, one that has an API key, and what else there is to have.
pub(super) struct Victim {
    pub(super) person: Person,
    user: String,
    application: String,
    keyed_application: String,
    request: String,
    key_request: String,
    api_key: String,
    api_token: String,
    oauth_client: String,
    client_id: String,
    client_secret: String,
    delivery: String,
    email: String,
}

pub(super) struct Portal {
    world: World,
    pub(super) catalogue: Catalogue,
    provider: String,
    gateway: String,
    pub(super) http: reqwest::Client,
    people: AtomicUsize,
}

impl Portal {
    pub(super) async fn start() -> Self {
        let given = Given {
            file: None,
            variables: vec![("PORTICO_ATTEMPTS_SIGN_UPS".into(), "1000".into())],
        };
        let world = World::start(true, &given, CancellationToken::new())
            .await
            .unwrap();
        let catalogue = seed::seed(&world).await.unwrap();
        let http = portico_sandbox::outgoing::http_client().unwrap();
        let mut portal = Self {
            world,
            catalogue,
            provider: String::new(),
            gateway: String::new(),
            http,
            people: AtomicUsize::new(0),
        };
        let admin = portal.admin().await.portal;
        let first = async |path: &str| {
            let list = read(&admin, path).await;
            text(&list["items"][0], "id")
        };
        portal.provider = first("/api/v1/identity-providers").await;
        portal.gateway = first("/api/v1/gateways").await;
        portal
    }

    pub(super) async fn stop(self) {
        self.world.stop().await;
    }

    pub(super) fn url(&self) -> String {
        self.world.portal_url()
    }

    pub(super) fn grpc_url(&self) -> String {
        format!("http://{}", self.world.grpc_address())
    }

    fn anonymous(&self) -> Client {
        Client::anonymous(self.http.clone(), self.url())
    }

    async fn signed_in(&self, name: &'static str, email: &str, password: &str) -> Person {
        let portal = self.anonymous().sign_in(email, password).await.unwrap();
        Person {
            name,
            token: portal.token().map(str::to_owned),
            portal,
            browser: OnceCell::new(),
        }
    }

    pub(super) async fn admin(&self) -> Person {
        self.signed_in("an admin", seed::ADMIN_EMAIL, seed::ADMIN_PASSWORD)
            .await
    }

    /// Signs somebody up, and gives their id and address.
    async fn newcomer(&self) -> (String, String) {
        let number = self.people.fetch_add(1, Ordering::Relaxed);
        let email = format!("person{number}@elsewhere.example");
        let body =
            json!({"name": format!("Person {number}"), "email": email, "password": PASSWORD});
        let user = made(&self.anonymous(), "/api/v1/users", body).await;
        (text(&user, "id"), email)
    }

    /// A visitor, somebody whose account is suspended, a developer, and the same with an API token.
    pub(super) async fn outsiders(&self) -> [Person; 4] {
        let visitor = Person {
            name: "a visitor",
            token: None,
            portal: self.anonymous(),
            browser: OnceCell::new(),
        };
        let (id, email) = self.newcomer().await;
        let suspended = self
            .signed_in("a suspended account", &email, PASSWORD)
            .await;
        let suspend = format!("/api/v1/users/{id}/suspend");
        done(&self.admin().await.portal, &suspend).await;
        let (_, email) = self.newcomer().await;
        let developer = self.signed_in("a developer", &email, PASSWORD).await;
        let token = made(
            &developer.portal,
            "/api/v1/api-tokens",
            json!({"name": "matrix"}),
        )
        .await;
        let token = text(&token, "token");
        let portal = Client::with_token(self.http.clone(), self.url(), token.clone());
        let program = Person {
            name: "a developer's API token",
            token: Some(token),
            portal,
            browser: OnceCell::new(),
        };
        [visitor, suspended, developer, program]
    }

    pub(super) async fn victim(&self) -> Victim {
        let (user, email) = self.newcomer().await;
        let person = self.signed_in("the owner", &email, PASSWORD).await;
        let developer = &person.portal;
        let catalogue = &self.catalogue;
        let item =
            |product: &str| json!([{"product_id": product, "plan_id": catalogue.plan_ids[0]}]);
        let application = json!({
            "name": "Ledger", "description": "", "redirect_urls": [], "visibility": "personal",
        });
        let wanted = json!({
            "items": item(&catalogue.product_ids[0]), "application": application,
            "client_type_id": catalogue.client_type_id,
        });
        let request = made(developer, "/api/v1/access-requests", wanted).await;
        let wanted = json!({"items": item(&catalogue.key_product_id), "application": application});
        let key_request = made(developer, "/api/v1/access-requests", wanted).await;
        for request in [&request, &key_request] {
            self.approve(&text(request, "id")).await;
        }
        let cart = json!({"items": item(&catalogue.product_ids[1])});
        let cart = developer.put("/api/v1/cart", cart).await.unwrap();
        cart.expect(StatusCode::OK).unwrap();
        let api_token = made(developer, "/api/v1/api-tokens", json!({"name": "ledger"})).await;
        let (application, keyed) = (
            text(&request, "application_id"),
            text(&key_request, "application_id"),
        );
        let list = format!("/api/v1/applications/{application}/clients");
        let clients = read(developer, &list).await;
        let keys = read(developer, &format!("/api/v1/applications/{keyed}/api-keys")).await;
        let credentials = format!("/api/v1/applications/{application}/credentials");
        let credentials = read(developer, &credentials).await;
        let delivery = self.delivery(&text(&request, "id")).await;
        Victim {
            user,
            application,
            keyed_application: keyed,
            request: text(&request, "id"),
            key_request: text(&key_request, "id"),
            api_key: text(&keys["items"][0], "id"),
            api_token: text(&api_token, "id"),
            oauth_client: text(&clients["items"][0], "id"),
            client_id: text(&credentials, "client_id"),
            client_secret: text(&credentials, "client_secret"),
            delivery,
            email,
            person,
        }
    }

    async fn approve(&self, request: &str) {
        let admin = self.admin().await.portal;
        done(
            &admin,
            &format!("/api/v1/access-requests/{request}/approve"),
        )
        .await;
        let path = format!("/api/v1/access-requests/{request}");
        until("active", || async {
            let now = read(&admin, &path).await;
            (text(&now, "status") == "active").then_some(())
        })
        .await;
    }

    /// A mail about a request.
    async fn delivery(&self, request: &str) -> String {
        let admin = self.admin().await.portal;
        let path = format!("/api/v1/deliveries?subject_id={request}");
        until("a mail", || async {
            let list = read(&admin, &path).await;
            list["items"][0]["id"].as_str().map(str::to_owned)
        })
        .await
    }

    /// What the victim has, as they see it, and the clients and keys of all at the provider and the gateway.
    pub(super) async fn everything_of(&self, victim: &Victim) -> Vec<Value> {
        let (application, keyed) = (&victim.application, &victim.keyed_application);
        let mut all = vec![json!([self.world.client_count(), self.world.key_count()])];
        for path in [
            "session".to_owned(),
            "cart".to_owned(),
            "api-tokens".to_owned(),
            "applications".to_owned(),
            "access-requests".to_owned(),
            format!("users/{}", victim.user),
            format!("applications/{application}"),
            format!("applications/{application}/clients"),
            format!("applications/{application}/credentials"),
            format!("applications/{keyed}"),
            format!("applications/{keyed}/api-keys"),
            format!("access-requests/{}", victim.request),
            format!("access-requests/{}", victim.key_request),
        ] {
            all.push(read(&victim.person.portal, &format!("/api/v1/{path}")).await);
        }
        all
    }

    /// What stands for a placeholder below a word such as `applications`, of a victim or of the portal.
    pub(super) fn id_of(&self, word: &str, victim: &Victim) -> String {
        let catalogue = &self.catalogue;
        let id = match word {
            "access-requests" => &victim.request,
            "api-keys" => &victim.api_key,
            "api-tokens" => &victim.api_token,
            "applications" => &victim.application,
            "oauth-clients" => &victim.oauth_client,
            "users" => &victim.user,
            "deliveries" | "mails" => &victim.delivery,
            "client-types" => &catalogue.client_type_id,
            "products" | "catalogue" => &catalogue.product_ids[0],
            "plans" => &catalogue.plan_ids[0],
            "identity-providers" => &self.provider,
            "gateways" => &self.gateway,
            "mail-templates" => "access_submitted",
            "parked-messages" => "access-request",
            "static" => "portico.css",
            // Of orphans and parked messages there are none.
            _ => "0190b6f1-7c3e-7d2a-9b1e-5f3c2a1b0d4e",
        };
        id.to_owned()
    }
}

impl Victim {
    /// What of the victim's stands in a text.
    pub(super) fn shown_in(&self, text: &str) -> Option<&str> {
        let marks = [
            &self.user,
            &self.application,
            &self.keyed_application,
            &self.request,
            &self.key_request,
            &self.api_key,
            &self.api_token,
            &self.oauth_client,
            &self.client_id,
            &self.client_secret,
            &self.delivery,
            &self.email,
        ];
        let mut marks = marks.into_iter().map(String::as_str);
        marks.find(|mark| text.contains(mark))
    }

    /// The application that an operation is about: API keys have one of their own.
    pub(super) fn application_for(&self, path: &str) -> &str {
        match path.contains("api-keys") || path.contains("ApiKeys") {
            true => &self.keyed_application,
            false => &self.application,
        }
    }
}

pub(super) fn text(body: &Value, member: &str) -> String {
    let found = body[member].as_str();
    found
        .unwrap_or_else(|| panic!("no {member} in {body}"))
        .to_owned()
}

pub(super) async fn read(who: &Client, path: &str) -> Value {
    let answer = who.get(path).await.unwrap();
    let body = answer.expect(StatusCode::OK);
    body.unwrap_or_else(|error| panic!("GET {path}: {error}"))
}

async fn made(who: &Client, path: &str, body: Value) -> Value {
    let answer = who.post(path, body).await.unwrap();
    let body = answer.expect(StatusCode::CREATED);
    body.unwrap_or_else(|error| panic!("POST {path}: {error}"))
}

pub(super) async fn done(who: &Client, path: &str) {
    let answer = who.post(path, json!({})).await.unwrap();
    assert!(
        answer.status.is_success(),
        "{path}: {} {}",
        answer.status,
        answer.body
    );
}

async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    for _ in 0..TRIES {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {what}");
}
