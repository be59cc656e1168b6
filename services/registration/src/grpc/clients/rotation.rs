//! A new secret, and the end of the old one: intended here, done by the worker, waited for here.

use std::time::Duration;

use portico_proto::{Error, Kind, registration::v1 as api};
use portico_runtime::{Call, parse_id, vault_error};
use portico_vault::{Owner, VaultError, VaultRef};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::Request;
use uuid::Uuid;

use super::{application, clients, credentials, ensure_activated, owned};
use crate::grpc::Grpc;
use crate::grpc::refusal::refuse;
use crate::oauth_client::{
    Command, DeletionCommand, OWNER, OauthClient, OldSecretCommand, Problem, RotationCommand,
};
use crate::views::oauth_clients::Listed;
use crate::worker::random_secret;

/// How long a caller waits for the provider.
const PATIENCE: Duration = Duration::from_secs(25);
/// Code and message where that was not enough.
const UNDER_WAY: (&str, &str) = (
    "rotation_under_way",
    "The identity provider has not answered yet. The rotation goes on; look at the credentials in a moment.",
);
/// How often to look, where another replica does the work.
const POLL: Duration = Duration::from_millis(500);

/// The application's owner and nobody else.
pub(crate) async fn rotate_credentials(
    grpc: &Grpc,
    request: Request<api::RotateCredentialsRequest>,
) -> Result<api::Credentials, Error> {
    let call = Call::of(&request, "rotate_credentials", &grpc.deps.clock)?;
    let message = request.into_inner();
    let application = parse_id("application_id", &message.application_id)?;
    owned(grpc, &call.caller, application).await?;
    let listed = only(
        clients(grpc, application).await?,
        message.identity_provider_id.as_deref(),
    )?;
    let id = parse_id("id", &listed.client.id)?;
    if listed.state.live().is_some() {
        ensure_activated(grpc, &call, id, &listed.state).await?;
    }
    if message.replace {
        return replace(grpc, &call, id, &listed).await;
    }
    let secret_ref = VaultRef(Uuid::new_v5(&call.context.command_id, b"secret"));
    let owner = Owner::new(OWNER, id);
    match grpc
        .vault
        .put_at(secret_ref, &owner, &random_secret())
        .await
    {
        // Repeated with its idempotency key: the secret that was chosen then.
        Ok(()) | Err(VaultError::Taken) => {}
        Err(error) => return Err(vault_error(error)),
    }
    let command = Command::Rotation(RotationCommand::Intend { secret_ref });
    let outcome = grpc
        .store
        .execute::<OauthClient>(id, &command, &call.context)
        .await;
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            grpc.vault.delete(&secret_ref).await.map_err(vault_error)?;
            return Err(refuse(error));
        }
    };
    let state = rotated(grpc, id, outcome.state.attempt).await?;
    revealed(grpc, id, state, &listed).await
}

/// The application's owner, or an admin: nothing secret is in the answer.
pub(crate) async fn end_old_secret(
    grpc: &Grpc,
    request: Request<api::EndOldSecretRequest>,
) -> Result<api::EndOldSecretResponse, Error> {
    let call = Call::of(&request, "end_old_secret", &grpc.deps.clock)?;
    let message = request.into_inner();
    let application_id = parse_id("application_id", &message.application_id)?;
    application(grpc, &call.caller, application_id).await?;
    let listed = only(
        clients(grpc, application_id).await?,
        message.identity_provider_id.as_deref(),
    )?;
    let id = parse_id("id", &listed.client.id)?;
    let command = Command::OldSecret(OldSecretCommand::End {
        at: grpc.deps.clock.now(),
    });
    let asked: OauthClient = grpc.execute(id, 0, &command, &call.context).await?;
    let before = asked.old_secret().map_or(0, |old| old.attempts);
    let ended = |state: &OauthClient| match state.old_secret() {
        None => Some(Ok(state.clone())),
        Some(old) if old.attempts > before => {
            let reason = old.not_ended.as_ref().map_or("", |problem| &problem.reason);
            Some(Err(Error::unavailable(
                "old_secret_not_ended",
                format!(
                    "The identity provider has not ended the old secret yet, and is asked again: {reason}."
                ),
            )))
        }
        Some(_) => None,
    };
    let still =
        "The identity provider has not answered yet. The old secret ends as soon as it does.";
    waited(grpc, id, ended, ("old_secret_ending", still)).await?;
    Ok(api::EndOldSecretResponse {})
}

/// Another client in place of this one, for a provider that cannot rotate.
async fn replace(
    grpc: &Grpc,
    call: &Call,
    id: Uuid,
    listed: &Listed,
) -> Result<api::Credentials, Error> {
    let command = Command::Deletion(DeletionCommand::Replace);
    grpc.execute::<OauthClient>(id, 0, &command, &call.context)
        .await?;
    let before = listed.client.client_id.clone();
    let replaced = |state: &OauthClient| match state.live() {
        Some(live)
            if Some(&live.answer.client_id) != before.as_ref() && live.operation.is_none() =>
        {
            Some(Ok(state.clone()))
        }
        _ if state.is_parked() => Some(Err(refusal(state.last_error()?))),
        _ => None,
    };
    let state = waited(grpc, id, replaced, UNDER_WAY).await?;
    revealed(grpc, id, state, listed).await
}

async fn revealed(
    grpc: &Grpc,
    id: Uuid,
    state: OauthClient,
    listed: &Listed,
) -> Result<api::Credentials, Error> {
    let credentials = credentials(grpc, id, state, listed).await?;
    credentials.ok_or_else(|| Error::not_found("OAuth client"))
}

/// The client that is meant.
fn only(clients: Vec<Listed>, provider: Option<&str>) -> Result<Listed, Error> {
    let mut found: Vec<Listed> = clients
        .into_iter()
        .filter(|listed| match provider {
            None | Some("") => listed.state.live().is_some(),
            Some(id) => listed.client.identity_provider_id == id,
        })
        .collect();
    if found.len() > 1 {
        return Err(Error::field(
            "identity_provider_id",
            "identity_provider_id_missing",
            "The application has OAuth clients at several identity providers: `identity_provider_id` must name one.",
        ));
    }
    found.pop().ok_or_else(|| Error::not_found("OAuth client"))
}

/// Waits for the outcome of an attempt.
async fn rotated(grpc: &Grpc, id: Uuid, attempt: u32) -> Result<OauthClient, Error> {
    let outcome = |state: &OauthClient| {
        let under_way = state
            .live()
            .filter(|live| live.is_rotating())
            .and_then(|live| live.operation.as_ref())
            .is_some_and(|operation| operation.attempt == attempt);
        match &state.rotation_refused {
            _ if under_way => None,
            Some((refused, problem)) if *refused == attempt => Some(Err(refusal(problem))),
            _ => Some(Ok(state.clone())),
        }
    };
    waited(grpc, id, outcome, UNDER_WAY).await
}

/// Waits until there is an outcome.
async fn waited(
    grpc: &Grpc,
    id: Uuid,
    outcome: impl Fn(&OauthClient) -> Option<Result<OauthClient, Error>>,
    (code, under_way): (&'static str, &'static str),
) -> Result<OauthClient, Error> {
    let deadline = Instant::now() + PATIENCE;
    let mut head = grpc.store.head();
    let wait = async {
        loop {
            head.borrow_and_update();
            let state = grpc.load::<OauthClient>(id).await?;
            if let Some(outcome) = outcome(&state) {
                return outcome;
            }
            // Another replica's appends do not change the head here.
            let _ = timeout(POLL, head.changed()).await;
        }
    };
    timeout_at(deadline, wait)
        .await
        .unwrap_or_else(|_| Err(Error::unavailable(code, under_way)))
}

fn refusal(problem: &Problem) -> Error {
    if problem.code == "secret_rotation_unsupported" {
        return Error::new(
            Kind::Conflict,
            "rotation_not_supported",
            "This identity provider has no way to give a client a new secret; `replace` deletes the client and registers \
             another one.",
        );
    }
    Error::new(
        Kind::Conflict,
        "rotation_failed",
        format!(
            "The identity provider did not give a new secret: {}.",
            problem.reason
        ),
    )
}
