//! The secrets of a client: Okta keeps two at once, so that a rotation need not stop anybody. From
//! <https://developer.okta.com/docs/guides/client-secret-rotation-key/main/> and
//! <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/ApplicationSSOCredentialOAuth2ClientAuth/>,
//! below `/api/v1/apps/{id}/credentials/secrets`, where the application's id is the client's:
//!
//! | call | what happens |
//! |---|---|
//! | GET | all of them; one that is not active stays until it is deleted |
//! | POST | one more, which the caller may choose; a third is refused |
//! | POST `/{secret}/lifecycle/deactivate` | it works no longer |
//! | DELETE `/{secret}` | only one that is not active |

use http::Method;
use portico_vault::Secret;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::calls::{Wrong, call, found, successful};
use crate::providers::client::KnownClient;
use crate::providers::failure::{Failure, Result};
use crate::providers::rfc7591;
use crate::providers::session::{Body, RawAnswer, Session, Step};

/// Of one client.
const AT_ONCE: usize = 2;

#[derive(Deserialize)]
struct Held {
    id: String,
    /// Missing where Okta shows digests only.
    client_secret: Option<String>,
    status: String,
    /// ISO 8601, always in the same form.
    #[serde(default)]
    created: String,
}

impl Held {
    fn is(&self, secret: &Secret) -> bool {
        self.client_secret.as_deref() == Some(secret.expose())
    }

    fn is_active(&self) -> bool {
        self.status == "ACTIVE"
    }
}

/// What came of adding a secret.
pub(super) enum Added {
    /// It works, and so does the one before if this is set.
    Added { keeps_old: bool },
    /// The API token may not, or the org has no such API.
    NotOffered,
}

/// Gives the client this secret beside the one that is known here; others make room. Idempotent.
pub(super) async fn add(
    session: &Session<'_>,
    client: &KnownClient,
    chosen: &Secret,
) -> Result<Added> {
    let Some(mut held) = list(session, &client.client_id).await? else {
        return Ok(Added::NotOffered);
    };
    if !held.iter().any(|one| one.is(chosen)) {
        let kept = current(&held, client).or_else(|| newest(&held));
        let kept = kept.map(|one| one.id.clone());
        for one in held.extract_if(.., |one| Some(&one.id) != kept.as_ref()) {
            end(session, &client.client_id, &one).await?;
        }
        let body = json!({ "client_secret": chosen.expose(), "status": "ACTIVE" });
        let url = secrets(session, &client.client_id, &[]);
        let answer = write(session, Method::POST, &url, body).await?;
        successful(session, answer).await?;
    }
    let keeps_old = held.iter().any(|one| one.is_active() && !one.is(chosen));
    Ok(Added::Added { keeps_old })
}

/// Ends all others. Nothing is ended, and that is said, where it cannot be told which one is known here.
pub(super) async fn end_others(session: &Session<'_>, client: &KnownClient) -> Result<()> {
    let Some(held) = list(session, &client.client_id).await? else {
        return Err(Failure::fail(
            "secrets_not_open",
            "the API token may not see the secrets of the client, so the old one was not ended",
        ));
    };
    if held.is_empty() {
        return Ok(());
    }
    let Some(current) = current(&held, client) else {
        return Err(Failure::fail(
            "secret_not_at_provider",
            "the secret that is known here is not at Okta any more, so no other one was ended; rotate it",
        ));
    };
    for one in held.iter().filter(|one| one.id != current.id) {
        end(session, &client.client_id, one).await?;
    }
    Ok(())
}

/// The one that is known here. Where none can be compared, it is the newest.
fn current<'a>(held: &'a [Held], client: &KnownClient) -> Option<&'a Held> {
    if held.iter().all(|one| one.client_secret.is_none()) {
        return newest(held);
    }
    let known = client.client_secret.as_ref()?;
    held.iter().find(|one| one.is(known))
}

fn newest(held: &[Held]) -> Option<&Held> {
    held.iter()
        .max_by_key(|one| (one.is_active(), &one.created))
}

/// `None` where there is no such API for this token.
async fn list(session: &Session<'_>, id: &str) -> Result<Option<Vec<Held>>> {
    let url = secrets(session, id, &[]);
    let answer = call(session, Step::Other, Method::GET, &url, Body::None).await?;
    if matches!(answer.status, 403 | 405) {
        return Ok(None);
    }
    let answer = successful(session, answer).await?;
    let held = answer.json().map(serde_json::from_value::<Vec<Held>>);
    match held {
        Some(Ok(held)) if held.len() <= AT_ONCE => Ok(Some(held)),
        _ => Err(rfc7591::invalid_answer(
            &answer,
            "it is no list of client secrets",
        )),
    }
}

async fn end(session: &Session<'_>, id: &str, one: &Held) -> Result<()> {
    if one.is_active() {
        let url = secrets(session, id, &[&one.id, "lifecycle", "deactivate"]);
        let answer = write(session, Method::POST, &url, Map::new().into()).await?;
        ended(session, &answer).await?;
    }
    let url = secrets(session, id, &[&one.id]);
    let answer = call(session, Step::Other, Method::DELETE, &url, Body::None).await?;
    ended(session, &answer).await
}

/// Somebody else may have been faster.
async fn ended(session: &Session<'_>, answer: &RawAnswer) -> Result<()> {
    if answer.is_success() {
        return Ok(());
    }
    match found(session, answer).await {
        Wrong::Id => Ok(()),
        Wrong::Call(failure) => Err(failure),
    }
}

async fn write(session: &Session<'_>, method: Method, url: &Url, body: Value) -> Result<RawAnswer> {
    call(session, Step::Other, method, url, Body::Json(body)).await
}

fn secrets(session: &Session<'_>, id: &str, below: &[&str]) -> Url {
    super::calls::application(
        session.endpoints,
        id,
        &[&["credentials", "secrets"], below].concat(),
    )
}
