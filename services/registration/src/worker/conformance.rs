//! The conformance check of a provider, step after step. Whatever happens, its client is deleted in the end; where that cannot be done now, it
//! is done before the next check.

use std::collections::BTreeSet;

use portico_eventstore::Context;
use portico_vault::Secret;
use uuid::Uuid;

use super::registration::random_secret;
use super::spool::AnswerSpool;
use super::{WorkError, Worker};
use crate::client_metadata::{Marker, WantedClient, differences};
use crate::conformance::{Command, ConformanceCheck, LeftBehind, Outcome, Step};
use crate::identity_provider::Endpoints;
use crate::providers::failure::{Bearer, PERHAPS_GONE, refusal};
use crate::providers::{
    Access, ChosenIds, Deleted, Disposition, Failure, KnownClient, Reconciled, RegisteredClient,
};

/// Steps in their order.
const STEPS: [&str; 7] = [
    "register", "read", "update", "rotate", "token", "delete", "gone",
];

const CLIENT_CREDENTIALS: &str = "client_credentials";

/// Grant type, response types and authentication method of the client that a check registers: client credentials by the
/// header, unless the document lists others and not these.
fn profile_for(endpoints: &Endpoints) -> (&'static str, &'static [&'static str], &'static str) {
    let lists = |one: &str| {
        endpoints
            .grant_types_supported
            .iter()
            .any(|listed| listed == one)
    };
    let redirects = lists("authorization_code") && !lists(CLIENT_CREDENTIALS);
    let auth_method = match endpoints.only_secrets_in_the_body() {
        true => "client_secret_post",
        false => "client_secret_basic",
    };
    match redirects {
        true => ("authorization_code", &["code"], auth_method),
        false => (CLIENT_CREDENTIALS, &[], auth_method),
    }
}

/// What a check works with.
pub(crate) struct Check {
    pub(crate) provider: Uuid,
    pub(crate) run: Uuid,
    pub(crate) access: Access,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) context: Context,
}

/// A check with the worker that it belongs to.
struct Running {
    worker: Worker,
    check: Check,
}

impl std::ops::Deref for Running {
    type Target = Check;

    fn deref(&self) -> &Check {
        &self.check
    }
}

impl Worker {
    /// Starts a check, which goes on after this. `false` where one of this provider is running.
    pub(crate) async fn start_check(&self, check: Check) -> Result<bool, WorkError> {
        let (id, run) = (check.provider, check.run);
        let name = format!("conformance-{id}");
        let lease = self.deps.lease(self.store.database(), name);
        // The mark keeps others in this process out, the lease other replicas.
        let Some(mark) = self.jobs.begin(id) else {
            return Ok(false);
        };
        let Some(held) = lease.acquire(&self.deps.clock).await? else {
            return Ok(false);
        };
        let at = check.context.now;
        self.store
            .execute::<ConformanceCheck>(id, &Command::Start { run, at }, &check.context)
            .await
            .map_err(|error| WorkError::Other(error.to_string()))?;
        let running = Running {
            worker: self.clone(),
            check,
        };
        self.deps.tasks.spawn(async move {
            if let Err(lost) = held.run(running.run()).await {
                tracing::warn!(%lost, "a conformance check was broken off");
            }
            drop(mark);
        });
        Ok(true)
    }

    /// Whether a check of this provider is running, in any process.
    pub(crate) async fn is_checking(&self, provider: Uuid) -> Result<bool, WorkError> {
        let name = format!("conformance-{provider}");
        let lease = self.deps.lease(self.store.database(), name);
        Ok(lease.is_held(self.deps.clock.now()).await?)
    }
}

/// The client as far as it is known.
struct Subject {
    known: KnownClient,
    wanted: WantedClient,
}

impl Running {
    /// Never fails: what goes wrong is a step that failed.
    async fn run(self) {
        self.clean_up_earlier().await;
        let spool = AnswerSpool::new(&self.worker.vault, self.run, 1);
        if let Some(mut subject) = self.register(&spool).await {
            self.read(&spool, &mut subject).await;
            self.update(&spool, &mut subject).await;
            self.rotate(&spool, &mut subject).await;
            let had_token = self.token(&spool, &subject).await;
            match self.delete(&spool, &subject).await {
                false => {
                    let why = "it was not deleted";
                    self.note("gone", Outcome::Skipped, why).await;
                }
                true if had_token == Outcome::NotOffered => {
                    let why = "it could get no access token before either";
                    self.note("gone", Outcome::Skipped, why).await;
                }
                true => self.gone(&spool, &subject).await,
            }
        } else {
            for step in &STEPS[1..] {
                self.note(step, Outcome::Skipped, "nothing was registered")
                    .await;
            }
        }
        let at = self.worker.deps.clock.now();
        self.tell(&Command::Finish { at }, "finish").await;
    }

    fn wanted(&self) -> WantedClient {
        let endpoints = &self.access.settings.location.endpoints;
        let (grant_type, response_types, auth_method) = profile_for(endpoints);
        WantedClient {
            name: "Portico conformance check".to_owned(),
            redirect_uris: vec!["https://portico.invalid/callback".to_owned()],
            grant_types: BTreeSet::from([grant_type.to_owned()]),
            response_types: response_types.iter().map(|&one| one.to_owned()).collect(),
            token_endpoint_auth_method: auth_method.to_owned(),
            scopes: self.scopes.clone(),
            okta_application_type: "service".to_owned(),
            marker: Marker {
                id: self.run.to_string(),
                attempt: 1,
            },
            erased: false,
        }
    }

    async fn register(&self, spool: &AnswerSpool) -> Option<Subject> {
        let wanted = self.wanted();
        let ids = ChosenIds {
            client_id: self.run.to_string(),
            client_secret: random_secret(),
        };
        let driver = self.access.driver();
        let session = self.access.session(spool);
        let registered = match driver.prepare(self.access.site(), &wanted, &ids) {
            Err(failure) => Err(failure),
            Ok(prepared) => match driver.register(&session, &prepared).await {
                Err(failure) if failure.outcome_unknown => {
                    match driver.reconcile(&session, &prepared).await {
                        Ok(Reconciled::Registered(registered)) => Ok(*registered),
                        _ => Err(failure),
                    }
                }
                outcome => outcome,
            },
        };
        match registered {
            Ok(mut registered) => {
                let client = LeftBehind {
                    run: self.run,
                    client_id: registered.client_id.clone(),
                };
                self.tell(&Command::Register(client), "registered").await;
                registered.client_secret = registered.client_secret.or(Some(ids.client_secret));
                let detail = summary(&registered, &wanted);
                self.note("register", Outcome::Passed, &detail).await;
                Some(Subject {
                    known: registered.into_known(wanted.scopes.clone()),
                    wanted,
                })
            }
            Err(failure) => {
                let mut words = message(&failure);
                if failure.outcome_unknown {
                    words = format!(
                        "{words}; a client marked {} may be at the provider",
                        wanted.marker
                    );
                }
                self.note("register", Outcome::Failed, &words).await;
                None
            }
        }
    }

    /// Whether the client can be managed at all; says so where it cannot.
    async fn can(&self, step: &str, spool: &AnswerSpool, subject: &Subject) -> bool {
        let session = self.access.session(spool);
        let can = self.access.driver().can_manage(&session, &subject.known);
        if !can {
            let why = "the provider gave no registration_access_token and registration_client_uri (RFC 7592), and \
                       there are no management credentials";
            self.note(step, Outcome::NotOffered, why).await;
        }
        can
    }

    async fn read(&self, spool: &AnswerSpool, subject: &mut Subject) {
        if !self.can("read", spool, subject).await {
            return;
        }
        let session = self.access.session(spool).about(&subject.known);
        let read = self.access.driver().read(&session, &subject.known).await;
        self.took("read", read, subject).await;
    }

    async fn update(&self, spool: &AnswerSpool, subject: &mut Subject) {
        if !self.can("update", spool, subject).await {
            return;
        }
        subject.wanted.name.push_str(", updated");
        let session = self.access.session(spool).about(&subject.known);
        let (driver, wanted) = (self.access.driver(), &subject.wanted);
        let updated = driver.update(&session, &subject.known, wanted).await;
        self.took("update", updated, subject).await;
    }

    async fn rotate(&self, spool: &AnswerSpool, subject: &mut Subject) {
        let chosen = random_secret();
        let session = self.access.session(spool).about(&subject.known);
        let driver = self.access.driver();
        let rotated = driver
            .rotate_secret(&session, &subject.known, &chosen)
            .await;
        let rotated = rotated.map(|mut rotated| {
            rotated.client_secret = rotated.client_secret.or(Some(chosen));
            rotated
        });
        self.took("rotate", rotated, subject).await;
    }

    async fn token(&self, spool: &AnswerSpool, subject: &Subject) -> Outcome {
        let (outcome, detail) = if subject.wanted.grant_types.contains(CLIENT_CREDENTIALS) {
            match self.ask_token(spool, subject).await {
                Ok(()) => (Outcome::Passed, "an access token was issued".to_owned()),
                Err(failure) => (outcome_of_token(&failure, subject), message(&failure)),
            }
        } else {
            let why = "the document does not list the grant type client_credentials".to_owned();
            (Outcome::NotOffered, why)
        };
        self.note("token", outcome, &detail).await;
        outcome
    }

    /// By client credentials, for the scopes of the check.
    async fn ask_token(&self, spool: &AnswerSpool, subject: &Subject) -> Result<(), Failure> {
        let secret = subject.known.client_secret.as_ref();
        let empty = Secret::new("");
        let session = self.access.session(spool).about(&subject.known);
        let granted = subject.known.granted.text("token_endpoint_auth_method");
        let post = granted.unwrap_or(subject.wanted.auth_method()) == "client_secret_post";
        let scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        // An empty scope is refused by some.
        let scope = (!scopes.is_empty()).then(|| ("scope", scopes.join(" ")));
        let secret = secret.unwrap_or(&empty);
        let answer = session
            .token_request(
                &subject.known.client_id,
                secret,
                post,
                scope.into_iter().collect(),
            )
            .await?;
        if !answer.is_success() {
            return Err(refusal(&answer, Bearer::Client));
        }
        let token = answer.json().and_then(|body| {
            let token = body.get("access_token")?.as_str()?;
            Some(!token.is_empty())
        });
        match token {
            Some(true) => Ok(()),
            _ => Err(Failure::fail(
                "token_answer_invalid",
                "the token endpoint answered without an access_token",
            )),
        }
    }

    /// True where the client is gone.
    async fn delete(&self, spool: &AnswerSpool, subject: &Subject) -> bool {
        if !self.can("delete", spool, subject).await {
            return false;
        }
        let session = self.access.session(spool).about(&subject.known);
        let mut deleted = self.access.driver().delete(&session, &subject.known).await;
        if matches!(&deleted, Err(failure) if failure.disposition == Disposition::Retry) {
            // Nobody comes back to it before the next check.
            deleted = self.access.driver().delete(&session, &subject.known).await;
            if matches!(&deleted, Err(failure) if failure.code == PERHAPS_GONE) {
                deleted = Ok(Deleted::AlreadyGone);
            }
        }
        match deleted {
            Ok(Deleted::Deleted | Deleted::AlreadyGone) => {
                self.tell(&Command::CleanUp, "clean up").await;
                let _ = spool.clear().await;
                self.note("delete", Outcome::Passed, "").await;
                true
            }
            Err(failure) => {
                self.note("delete", outcome(&failure), &message(&failure))
                    .await;
                false
            }
        }
    }

    /// Whether the credentials are dead.
    async fn gone(&self, spool: &AnswerSpool, subject: &Subject) {
        let (outcome, detail) = match self.ask_token(spool, subject).await {
            Ok(()) => (
                Outcome::Failed,
                "the deleted client still gets access tokens".to_owned(),
            ),
            Err(failure) if failure.disposition == Disposition::Retry => {
                (Outcome::Failed, message(&failure))
            }
            Err(failure) => (Outcome::Passed, message(&failure)),
        };
        self.note("gone", outcome, &detail).await;
    }

    async fn took(
        &self,
        step: &str,
        outcome_of: Result<RegisteredClient, Failure>,
        subject: &mut Subject,
    ) {
        match outcome_of {
            Ok(registered) => {
                let detail = summary(&registered, &subject.wanted);
                let scopes = subject.known.scopes.clone();
                subject.known = registered.merge_into(subject.known.clone(), scopes);
                self.note(step, Outcome::Passed, &detail).await;
            }
            Err(failure) => {
                self.note(step, outcome(&failure), &message(&failure)).await;
            }
        }
    }

    /// A client that an earlier check could not delete, or was broken off before it did.
    async fn clean_up_earlier(&self) {
        let loaded = self.worker.store.load::<ConformanceCheck>(self.provider);
        let Ok(loaded) = loaded.await else { return };
        let Some(left) = loaded.state.left_behind.filter(|left| left.run != self.run) else {
            return;
        };
        let spool = AnswerSpool::new(&self.worker.vault, left.run, 1);
        let endpoints = &self.access.settings.location.endpoints;
        let mut known: Option<KnownClient> = None;
        for answer in spool.load().await.unwrap_or_default() {
            if let Ok(registered) = self.access.driver().parse(endpoints, &answer)
                && registered.client_id == left.client_id
            {
                known = Some(registered.merge_into(known.unwrap_or_default(), BTreeSet::new()));
            }
        }
        let Some(known) = known else { return };
        let session = self.access.session(&spool).about(&known);
        match self.access.driver().delete(&session, &known).await {
            Ok(_) => {
                self.tell(&Command::CleanUp, "clean up earlier").await;
                let _ = spool.clear().await;
            }
            Err(failure) => {
                tracing::warn!(identity_provider_id = %self.provider, client_id = left.client_id, code = failure.code,
                    "the client of an earlier conformance check could not be deleted");
            }
        }
    }

    async fn note(&self, name: &str, outcome: Outcome, detail: &str) {
        let step = Step {
            name: name.to_owned(),
            outcome,
            detail: detail.to_owned(),
        };
        self.tell(&Command::Note(step), name).await;
    }

    async fn tell(&self, command: &Command, step: &str) {
        let context = self.context.step(step);
        let store = &self.worker.store;
        let told = store.execute::<ConformanceCheck>(self.provider, command, &context);
        if let Err(error) = told.await {
            tracing::error!(identity_provider_id = %self.provider, %error,
                "a step of a conformance check could not be recorded");
        }
    }
}

/// What the provider said of the client, in a line.
fn summary(registered: &RegisteredClient, wanted: &WantedClient) -> String {
    let differences = differences(wanted, &registered.granted);
    let mut lines: Vec<String> = differences
        .into_iter()
        .filter(|one| one.member != "client_secret_expires_at")
        .map(|one| {
            format!(
                "{}: asked {}, granted {}",
                one.member, one.asked, one.granted
            )
        })
        .collect();
    if registered.registration_access_token.is_some() {
        lines.push("with a registration access token".to_owned());
    }
    if registered.client_secret_expires_at > 0 {
        lines.push("its secret expires".to_owned());
    }
    lines.extend(registered.warnings.iter().cloned());
    lines.join("; ")
}

/// A provider may grant no client credentials to clients that it registers, whatever its document says.
fn outcome_of_token(failure: &Failure, subject: &Subject) -> Outcome {
    let granted = subject.known.granted.list("grant_types");
    let left_out = granted.is_some_and(|granted| !granted.contains(CLIENT_CREDENTIALS));
    match failure.code.as_str() {
        "unsupported_grant_type" => Outcome::NotOffered,
        "unauthorized_client" if left_out => Outcome::NotOffered,
        _ => Outcome::Failed,
    }
}

fn outcome(failure: &Failure) -> Outcome {
    let not_offered = failure.code.ends_with("_unsupported")
        || matches!(failure.status, Some(404 | 405 | 501))
        || failure.code == "client_unmanageable";
    match not_offered {
        true => Outcome::NotOffered,
        false => Outcome::Failed,
    }
}

fn message(failure: &Failure) -> String {
    match failure.status {
        Some(status) => format!("{status} {}: {}", failure.code, failure.description),
        None => format!("{}: {}", failure.code, failure.description),
    }
}
