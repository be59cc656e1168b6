//! The registration request (RFC 7591 section 3.1), sent until it is taken or there is nothing else to try.

use http::Method;
use serde_json::Value;

use super::adaptation::Adaptations;
use super::parse;
use crate::providers::client::{Prepared, RegisteredClient};
use crate::providers::failure::{Disposition, Failure, Result, refusal};
use crate::providers::session::{Body, Session, Step};
use crate::providers::tokens::Need;

/// A registration. What a provider minds and nobody wants, such as a member that it does not know, is left out in
/// another request: a refusal made no client.
///
/// # Errors
/// Those of the last request. Where a token was used up by an earlier refusal, that refusal.
pub(crate) async fn register(
    session: &Session<'_>,
    prepared: &Prepared,
    need: Need<'_>,
) -> Result<RegisteredClient> {
    let mut prepared = prepared.clone();
    let mut adaptations = Adaptations::default();
    let mut refused: Option<Failure> = None;
    loop {
        let failure = match register_once(session, &prepared, need).await {
            Ok(registered) => return Ok(registered),
            Err(failure) => failure,
        };
        if failure.disposition == Disposition::PauseProvider {
            return Err(refused.unwrap_or(failure));
        }
        match adaptations.of_registration(&prepared, &failure) {
            Some(adapted) => prepared = adapted,
            None => return Err(failure),
        }
        refused = Some(failure);
    }
}

/// A registration with exactly this body.
///
/// # Errors
/// Whatever the provider says.
pub(crate) async fn register_once(
    session: &Session<'_>,
    prepared: &Prepared,
    need: Need<'_>,
) -> Result<RegisteredClient> {
    let credential = session.credential(need).await?;
    let mut body = prepared.body.clone();
    if let Some(statement) = session.software_statement {
        body.insert("software_statement".into(), statement.expose().into());
    }
    let authorization = credential.authorization();
    let answer = session
        .call(
            Step::Register,
            Method::POST,
            &prepared.endpoint,
            authorization,
            Body::Json(Value::Object(body)),
        )
        .await?;
    if answer.is_success() {
        return parse(session.endpoints, &answer);
    }
    Err(refusal(&answer, authorization.bearer()).of_provider())
}
