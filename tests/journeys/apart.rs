//! Every service as processes of its own, two of each: what is decided twice at once, what is away for a while, and
//! restarts under load.

use std::collections::BTreeSet;

use futures::{StreamExt as _, stream};
use http::{Method, StatusCode};
use portico_eventstore::sqlx::{self, Connection as _, Row as _};
use portico_runtime::ServiceName;
use portico_tests::cluster::{Cluster, Part};
use portico_trials::{NATS, POSTGRESQL, Trial, trials};
use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    actions::{Configured, id},
    process::{ADMIN_EMAIL, ADMIN_PASSWORD},
    until, until_all,
    world::{Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials!(multi, [POSTGRESQL, NATS]; two_admins_approve_the_same_requests_at_once,
        restarts_under_load_lose_nothing, what_is_away_is_named_and_comes_back)
}

/// The fault runner does it a thousand times, with both replicas in one process each.
const PAIRS: usize = 200;
const UNDER_LOAD: usize = 200;
const AT_ONCE: usize = 8;

async fn two_admins_approve_the_same_requests_at_once() {
    let mut world = World::start_apart(Provider::sandbox().await).await;
    let portal = world.configure().await;
    let cluster = world.portico.as_cluster();
    // What comes of it is the subject of others: here it would only take time.
    kill_all(cluster, ServiceName::Notification);
    let url = |number: usize| format!("http://{}", cluster.edge(number).0);
    let edges = [Client::to(url(0)), Client::to(url(1))];
    let developer = edges[0].with(portal.developer.token().unwrap());
    let requests: Vec<String> = stream::iter(0..PAIRS)
        .map(|number| developer.submit(&portal, number))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    kill_all(cluster, ServiceName::Registration);

    let one = edges[0].sign_in(ADMIN_EMAIL, ADMIN_PASSWORD).await;
    let two = edges[1].sign_in(ADMIN_EMAIL, ADMIN_PASSWORD).await;
    let outcomes: Vec<(StatusCode, StatusCode)> = stream::iter(&requests)
        .map(async |request| {
            let path = format!("/api/v1/access-requests/{request}/approve");
            let (one, two) = tokio::join!(
                one.send(Method::POST, &path, Some(json!({})), None),
                two.send(Method::POST, &path, Some(json!({})), None),
            );
            (one.status, two.status)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for outcome in &outcomes {
        let one_of_them = matches!(
            *outcome,
            (StatusCode::ACCEPTED, StatusCode::CONFLICT)
                | (StatusCode::CONFLICT, StatusCode::ACCEPTED)
        );
        assert!(one_of_them, "{outcome:?}");
    }
    assert_eq!(outcomes.len(), PAIRS);
    let mut database = sqlx::AnyConnection::connect(&world.database_url())
        .await
        .unwrap();
    let counted = "SELECT COUNT(*), COUNT(DISTINCT stream) FROM portico_access_request.events \
                   WHERE type = 'access_request.approved'";
    let row = sqlx::query(counted).fetch_one(&mut database).await.unwrap();
    let (events, streams): (i64, i64) = (row.get(0), row.get(1));
    assert_eq!((events, streams), (PAIRS as i64, PAIRS as i64));
}

async fn restarts_under_load_lose_nothing() {
    let mut world = World::start_apart(Provider::sandbox().await).await;
    let portal = world.configure().await;
    let client = Client::to(world.portico.url());
    let developer = client.with(portal.developer.token().unwrap());
    let admin = client.with(world.admin.token().unwrap());
    let cluster = world.portico.as_cluster();
    let replicas = cluster.replicas();
    let mut requests = Vec::new();
    for (turn, replica) in replicas.iter().enumerate() {
        // The same number during each restart.
        let numbers = turn * UNDER_LOAD / replicas.len()..(turn + 1) * UNDER_LOAD / replicas.len();
        let load = stream::iter(numbers)
            .map(async |number| {
                let request = developer.submit(&portal, number).await;
                let path = format!("/api/v1/access-requests/{request}/approve");
                let key = format!("approve {number}");
                let approved = admin
                    .persist(Method::POST, &path, Some(json!({})), &key)
                    .await;
                assert_eq!(approved.status, StatusCode::ACCEPTED, "{}", approved.body);
                request
            })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<String>>();
        let ((), made) = tokio::join!(cluster.restart(*replica), load);
        requests.extend(made);
    }
    let requests: BTreeSet<String> = requests.into_iter().collect();
    assert_eq!(requests.len(), UNDER_LOAD);
    until_all("active requests", UNDER_LOAD, || count(&world, "active")).await;
    for request in &requests {
        world.wait_for_status(request, "active").await;
    }
    let Provider::Sandbox(provider) = &world.provider else {
        panic!("the sandbox's provider")
    };
    assert_eq!(provider.client_count(), UNDER_LOAD);
    // Of each request: submitted, to the admin, and ready, to the developer.
    until_all("mails", 2 * UNDER_LOAD, async || {
        world.mail.messages().len()
    })
    .await;
    let mails = world.mail.messages();
    let facts: BTreeSet<&str> = mails.iter().map(|mail| mail.message_id.as_str()).collect();
    assert_eq!((mails.len(), facts.len()), (2 * UNDER_LOAD, 2 * UNDER_LOAD));
}

/// How many requests have this status.
async fn count(world: &World, status: &str) -> usize {
    let (mut count, mut after) = (0, String::new());
    loop {
        let path = format!("/api/v1/access-requests?status={status}&limit=100&after={after}");
        let page = world.admin.get(&path).await.unwrap();
        let page = page.expect(StatusCode::OK).unwrap();
        count += page["items"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(next) if !next.is_empty() => after = next.to_owned(),
            _ => return count,
        }
    }
}

async fn what_is_away_is_named_and_comes_back() {
    let mut world = World::start_apart(Provider::sandbox().await).await;
    let portal = world.configure().await;
    let client = Client::to(world.portico.url());
    let developer = client.with(portal.developer.token().unwrap());
    let admin = client.with(world.admin.token().unwrap());

    // Appended at one of the replicas, seen at all of them.
    let edges = [0, 1].map(|number| world.portico.as_cluster().edge(number).0);
    let token = portal.developer.token().unwrap();
    let streams = edges.map(|edge| Client::to(format!("http://{edge}")).with(token));
    let (mut first, mut second) = tokio::join!(streams[0].events(), streams[1].events());
    for number in 0..4 {
        let request = developer.submit(&portal, number).await;
        first.wait_for(&request).await;
        second.wait_for(&request).await;
    }

    // A service.
    kill_all(world.portico.as_cluster(), ServiceName::Catalog);
    let away = developer
        .send(Method::GET, "/api/v1/products", None, None)
        .await;
    assert_eq!(
        away.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        away.body
    );
    assert_eq!(away.body["code"], "catalog_unavailable");
    assert!(away.retry_after);
    let page = client.send(Method::GET, "/", None, None).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        page.retry_after && page.text.contains("catalog"),
        "{}",
        page.text
    );
    let cart = developer
        .send(Method::GET, "/api/v1/cart", None, None)
        .await;
    assert_eq!(cart.status, StatusCode::OK, "others go on: {}", cart.body);
    let grpc = world.portico.as_cluster().edge(1).1;
    assert_eq!(over_grpc(&grpc.to_string()).await, "catalog_unavailable");
    spawn_all(world.portico.as_cluster(), ServiceName::Catalog).await;
    let back = developer
        .send(Method::GET, "/api/v1/products", None, None)
        .await;
    assert_eq!(back.status, StatusCode::OK, "{}", back.body);

    // The bus.
    world.backends.nats().kill().unwrap();
    let request = developer.submit(&portal, 10).await;
    let path = format!("/api/v1/access-requests/{request}/approve");
    let approved = admin.send(Method::POST, &path, Some(json!({})), None).await;
    assert_eq!(approved.status, StatusCode::ACCEPTED, "{}", approved.body);
    world.backends.nats().restart().await.unwrap();
    world.wait_for_status(&request, "active").await;

    // The database.
    world.backends.postgres().kill().unwrap();
    for path in ["/api/v1/products", "/api/v1/cart", "/api/v1/applications"] {
        let away = developer.send(Method::GET, path, None, None).await;
        assert_eq!(
            away.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{path}: {}",
            away.body
        );
        assert!(away.retry_after, "{path}");
    }
    let item = json!([{"product_id": portal.payments, "plan_id": portal.free}]);
    let put = json!({"items": item});
    let away = developer
        .send(Method::PUT, "/api/v1/cart", Some(put.clone()), None)
        .await;
    assert_eq!(
        away.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        away.body
    );
    world.backends.postgres().restart().await.unwrap();
    let back = developer
        .persist(Method::PUT, "/api/v1/cart", Some(put), "cart")
        .await;
    assert_eq!(back.status, StatusCode::OK, "{}", back.body);
    let request = developer.submit(&portal, 11).await;
    let path = format!("/api/v1/access-requests/{request}/approve");
    admin
        .persist(Method::POST, &path, Some(json!({})), "last")
        .await;
    world.wait_for_status(&request, "active").await;
}

fn kill_all(cluster: &mut Cluster, service: ServiceName) {
    for number in [0, 1] {
        cluster.kill(cluster.replica(Part::Service(service), number));
    }
}

async fn spawn_all(cluster: &mut Cluster, service: ServiceName) {
    for number in [0, 1] {
        cluster.spawn(cluster.replica(Part::Service(service), number), None);
    }
    for number in [0, 1] {
        cluster
            .ready(cluster.replica(Part::Service(service), number))
            .await;
    }
}

/// The code of the error that the public gRPC answers when the catalogue is asked for.
async fn over_grpc(address: &str) -> String {
    use portico_proto::catalog::v1::{
        ListProductsRequest, catalog_service_client::CatalogServiceClient,
    };
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut catalog = CatalogServiceClient::new(channel.connect().await.unwrap());
    let answer = catalog.list_products(ListProductsRequest::default()).await;
    portico_proto::Error::from(answer.unwrap_err())
        .code
        .into_owned()
}

/// Somebody at the portal who opens a connection for each request, as many clients do, and counts every failure that
/// is not an answer.
#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

struct Answer {
    status: StatusCode,
    retry_after: bool,
    body: Value,
    text: String,
}

impl Client {
    #[expect(
        clippy::disallowed_methods,
        reason = "the guarded client refuses loopback, where all of this is"
    )]
    fn to(url: String) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0);
        Self {
            http: http.build().unwrap(),
            url,
            token: String::new(),
        }
    }

    fn with(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    async fn sign_in(&self, email: &str, password: &str) -> Self {
        let body = json!({"email": email, "password": password});
        let session = self
            .send(Method::POST, "/api/v1/session", Some(body), None)
            .await;
        self.with(session.body["token"].as_str().unwrap())
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match self.token.as_str() {
            "" => request,
            token => request.bearer_auth(token),
        }
    }

    /// One request.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        key: Option<&str>,
    ) -> Answer {
        let mut request = self.request(method.clone(), path);
        if let Some(key) = key {
            request = request.header("idempotency-key", key.replace(' ', "-"));
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await;
        let response = response.unwrap_or_else(|error| panic!("{method} {path}: {error:?}"));
        let status = response.status();
        let retry_after = response.headers().contains_key("retry-after");
        let text = response.text().await;
        let text = text.unwrap_or_else(|error| panic!("{method} {path}: {error:?}"));
        Answer {
            status,
            retry_after,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }

    /// The request, again as long as the answer is 503, with the same key.
    async fn persist(&self, method: Method, path: &str, body: Option<Value>, key: &str) -> Answer {
        until(&format!("{method} {path}"), || async {
            let answer = self
                .send(method.clone(), path, body.clone(), Some(key))
                .await;
            if answer.status == StatusCode::SERVICE_UNAVAILABLE {
                assert!(
                    answer.retry_after,
                    "503 without Retry-After: {}",
                    answer.body
                );
                return None;
            }
            Some(answer)
        })
        .await
    }

    /// Asks for access for a new application; the request's id.
    async fn submit(&self, portal: &Configured, number: usize) -> String {
        let body = json!({
            "items": [{"product_id": portal.payments, "plan_id": portal.free}],
            "client_type_id": portal.client_type_id,
            "application": {
                "name": format!("Shop {number}"), "description": "", "redirect_urls": [], "visibility": "personal",
            },
        });
        let key = format!("submit {number}");
        let path = "/api/v1/access-requests";
        let answer = self.persist(Method::POST, path, Some(body), &key).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        id(&answer.body)
    }

    async fn events(&self) -> Events {
        let response = self
            .request(Method::GET, "/api/v1/events")
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let mut events = Events {
            response,
            seen: String::new(),
        };
        events.wait_for("connected").await;
        events
    }
}

/// A stream of server-sent events.
struct Events {
    response: reqwest::Response,
    seen: String,
}

impl Events {
    async fn wait_for(&mut self, text: &str) {
        let wait = async {
            while !self.seen.contains(text) {
                let chunk = self
                    .response
                    .chunk()
                    .await
                    .unwrap()
                    .expect("the stream goes on");
                self.seen.push_str(&String::from_utf8_lossy(&chunk));
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "{text} did not come: {}", self.seen);
    }
}
