//! What developers and admins do meanwhile: a seeded mix of submit, approve, reject, withdraw, second product,
//! rotation, API keys and revocation, through the REST API.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{client::until, ledger::Expected, random::Random, world::Portal};

/// At most in a round whose faults decide when it is over: more than come to be meanwhile, so that there is work until
/// the last fault, and few enough that a round can end.
pub const APPLICATIONS: usize = 40;

/// What people do for a while instead of the mix, where a fault waits for what seldom happens in it.
#[derive(Clone, Copy)]
pub enum Wish {
    /// Access that is granted and comes to nothing.
    Failure,
    /// Access that is granted and taken away.
    End,
}

/// Several people at work until they are told to stop.
pub struct Workload {
    stop: CancellationToken,
    wish: Arc<Mutex<Option<Wish>>>,
    tasks: JoinSet<()>,
}

impl Workload {
    /// `lanes` applications at a time, `most` at all.
    pub fn begin(portal: &Arc<Portal>, seed: u64, lanes: usize, most: usize) -> Self {
        let stop = CancellationToken::new();
        let begun = Arc::new(AtomicUsize::new(0));
        let wish: Arc<Mutex<Option<Wish>>> = Arc::default();
        let mut tasks = JoinSet::new();
        for lane in 0..lanes {
            let (portal, stop, begun) = (Arc::clone(portal), stop.clone(), Arc::clone(&begun));
            let wish = Arc::clone(&wish);
            let mut random = Random::new(seed, &format!("lane {lane}"));
            tasks.spawn(async move {
                while !stop.is_cancelled() && begun.fetch_add(1, Ordering::Relaxed) < most {
                    let wish = *wish.lock().unwrap();
                    match wish {
                        Some(Wish::Failure) => failure(&portal).await,
                        Some(Wish::End) => end(&portal).await,
                        None => application(&portal, &mut random).await,
                    }
                }
            });
        }
        Self { stop, wish, tasks }
    }

    /// What the people do from their next application on; none: the mix.
    pub fn wish(&self, wish: Option<Wish>) {
        *self.wish.lock().unwrap() = wish;
    }

    /// Has the people finish what they have begun, and begin nothing new.
    pub async fn finish(self) {
        self.stop.cancel();
        self.complete().await;
    }

    /// Until they have done all that they were to do.
    pub async fn complete(mut self) {
        while let Some(done) = self.tasks.join_next().await {
            if let Err(error) = done {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }
}

/// An application from its first request to its last.
async fn application(portal: &Portal, random: &mut Random) {
    match random.below(6) {
        0 => return api_key(portal, random, &portal.weather, Expected::Active).await,
        1 => return api_key(portal, random, &portal.nowhere, Expected::Failed).await,
        _ => {}
    }
    let (first, application) = portal
        .submit(&portal.payments, "product_payments", None)
        .await;
    match random.below(8) {
        0 => {
            return portal
                .decide(&first, "reject", "rejected", Expected::Rejected)
                .await;
        }
        1 => return portal.withdraw(&first).await,
        _ => {
            portal
                .decide(&first, "approve", "approved", Expected::Active)
                .await
        }
    }
    let second = if random.one_in(2) {
        let (second, _) = portal
            .submit(&portal.orders, "product_orders", Some(&application))
            .await;
        portal
            .decide(&second, "approve", "approved", Expected::Active)
            .await;
        Some(second)
    } else {
        None
    };
    if random.one_in(2) {
        portal.wait_until_settled(&first).await;
    }
    if random.one_in(3) {
        portal.rotate(&application).await;
    }
    if random.one_in(3) {
        portal
            .decide(&first, "revoke", "revoked", Expected::Revoked)
            .await;
    }
    if let Some(second) = second
        && random.one_in(4)
    {
        portal
            .decide(&second, "revoke", "revoked", Expected::Revoked)
            .await;
    }
}

/// A key at a gateway that is never there.
async fn failure(portal: &Portal) {
    let (request, _) = portal.submit(&portal.nowhere, "", None).await;
    portal
        .decide(&request, "approve", "approved", Expected::Failed)
        .await;
    portal.wait_until_settled(&request).await;
}

/// A key that is taken away as soon as it works.
async fn end(portal: &Portal) {
    let (request, _) = portal.submit(&portal.weather, "", None).await;
    portal
        .decide(&request, "approve", "approved", Expected::Active)
        .await;
    portal.wait_until_settled(&request).await;
    portal
        .decide(&request, "revoke", "revoked", Expected::Revoked)
        .await;
}

/// An application that wants an API key.
async fn api_key(portal: &Portal, random: &mut Random, product: &str, expected: Expected) {
    let (request, _) = portal.submit(product, "", None).await;
    portal
        .decide(&request, "approve", "approved", expected)
        .await;
    if random.one_in(2) {
        portal.wait_until_settled(&request).await;
    }
    if random.one_in(3) {
        portal
            .decide(&request, "revoke", "revoked", Expected::Revoked)
            .await;
    }
}

impl Portal {
    /// A request for a product, for a new application where none is named: its id and the application's. Without a
    /// scope it is for an API key.
    pub async fn submit(
        &self,
        product: &str,
        scope: &str,
        application: Option<&str>,
    ) -> (String, String) {
        let mut body = json!({"items": [{"product_id": product, "plan_id": self.plan}]});
        if !scope.is_empty() {
            body["client_type_id"] = self.client_type_id.as_str().into();
        }
        match application {
            Some(id) => body["application_id"] = id.into(),
            None => {
                body["application"] = json!({
                    "name": "Shop", "description": "", "redirect_urls": [], "visibility": "personal",
                });
            }
        }
        let made = self
            .developer
            .post("/api/v1/access-requests", body)
            .await
            .expect(201);
        let text = |member: &str| made[member].as_str().unwrap().to_owned();
        let (id, application) = (text("id"), text("application_id"));
        self.ledger.submitted(&id, &application, scope);
        (id, application)
    }

    /// An admin's decision.
    pub async fn decide(&self, id: &str, action: &str, event: &'static str, expected: Expected) {
        let path = format!("/api/v1/access-requests/{id}/{action}");
        self.admin
            .post(&path, json!({"reason": "A reason."}))
            .await
            .expect(202);
        self.ledger.decided(id, event, expected);
    }

    /// The developer's decision.
    pub async fn withdraw(&self, id: &str) {
        let path = format!("/api/v1/access-requests/{id}/withdraw");
        self.developer.post(&path, json!({})).await.expect(202);
        self.ledger.decided(id, "withdrawn", Expected::Withdrawn);
    }

    /// A new secret, where there is a client already and its provider can give one.
    async fn rotate(&self, application: &str) {
        let path = format!("/api/v1/applications/{application}/credentials/rotate");
        let answer = self.developer.post(&path, json!({})).await;
        assert!(
            matches!(answer.status.as_u16(), 200 | 404 | 409),
            "{} {}",
            answer.status,
            answer.body
        );
    }

    /// Asks for new secrets of every application in turn, without end.
    pub async fn keep_rotating(&self) -> std::convert::Infallible {
        loop {
            for application in self.ledger.scopes().into_keys() {
                self.rotate(&application).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(40)).await;
        }
    }

    /// Submits and approves without waiting; the request's id and the application's.
    pub async fn granted(&self, expected: Expected) -> (String, String) {
        let (request, application) = self.submit(&self.payments, "product_payments", None).await;
        self.decide(&request, "approve", "approved", expected).await;
        (request, application)
    }

    /// The request as the admin sees it.
    pub async fn request(&self, id: &str) -> Value {
        self.admin
            .get(&format!("/api/v1/access-requests/{id}"))
            .await
            .expect(200)
    }

    /// Until the registration has come to an end, whichever.
    async fn wait_until_settled(&self, id: &str) {
        until("the registration has ended", || async {
            let status = self.request(id).await["status"]
                .as_str()
                .unwrap()
                .to_owned();
            (!matches!(status.as_str(), "approved" | "provisioning")).then_some(())
        })
        .await;
    }

    /// Until it has this status.
    pub async fn wait_for(&self, id: &str, status: &str) -> Value {
        until(&format!("{id} is {status}"), || async {
            let request = self.request(id).await;
            (request["status"] == status).then_some(request)
        })
        .await
    }

    /// Until this many more requests were submitted than there are now.
    pub async fn wait_for_requests(&self, more: usize) {
        let now = self.ledger.requests().len();
        until("more requests", || async {
            (self.ledger.requests().len() >= now + more).then_some(())
        })
        .await;
    }
}
