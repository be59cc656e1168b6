//! Clients that a provider has and nobody here knows, found by Portico's marker and, if that is wanted, listed as orphans.

use portico_proto::{Error, Kind, registration::v1 as api};
use portico_runtime::{Call, Problems, parse_id, texts};
use tonic::Request;
use uuid::Uuid;

use crate::grpc::Grpc;
use crate::grpc::refusal::{access_error, refuse, work_error};
use crate::identity_provider::IdentityProvider;
use crate::oauth_client::{Command, OauthClient, OrphanCommand, UnknownClient};
use crate::providers::{Failure, MarkedClient, UNLISTED, access};
use crate::wire::given;
use crate::worker::refused;

/// Characters of a cursor, which may be the address of a provider's page.
const CURSOR: usize = 4000;

/// An admin. Nothing is changed at the provider.
pub(crate) async fn find_orphans(
    grpc: &Grpc,
    request: Request<api::FindOrphansRequest>,
) -> Result<api::FindOrphansResponse, Error> {
    let call = Call::of(&request, "find_orphans", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let mut problems = Problems::default();
    let after = given(texts::line(&mut problems, "after", &message.after, CURSOR));
    problems.into_result()?;
    let provider = parse_id("identity_provider_id", &message.identity_provider_id)?;
    let loaded = grpc.load::<IdentityProvider>(provider).await?;
    let access = access::open(&grpc.deps, &grpc.vault, provider, &loaded).await;
    let access = access.map_err(access_error)?;
    let found = grpc.worker.unknown_clients(&access, after).await;
    let found = found.map_err(|error| work_error(provider, &error))?;
    let found = found.map_err(|failure| not_listed(&failure))?;
    if message.list {
        for one in &found.clients {
            list(grpc, &call, provider, one).await?;
        }
    }
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(api::FindOrphansResponse {
        looked_at: count(found.looked_at),
        undecided: count(found.undecided),
        next: found.next,
        clients: found.clients.into_iter().map(shown).collect(),
    })
}

/// In the stream of the client that it was meant to be, which may be one that nobody here knows either.
async fn list(
    grpc: &Grpc,
    call: &Call,
    identity_provider_id: Uuid,
    one: &MarkedClient,
) -> Result<(), Error> {
    let Some(stream) = one.stream() else {
        return Ok(());
    };
    let command = Command::Orphan(OrphanCommand::List(UnknownClient {
        marker: UnknownClient::listed_as(&one.marker, &one.client_id),
        client_id: one.client_id.clone(),
        identity_provider_id,
        scopes: one.scopes.clone(),
    }));
    let context = call.context.step(&one.client_id);
    let listed = grpc
        .store
        .execute::<OauthClient>(stream, &command, &context);
    listed.await.map(drop).map_err(refuse)
}

fn shown(one: MarkedClient) -> api::UnknownClient {
    api::UnknownClient {
        client_id: one.client_id,
        marker: one.marker.to_string(),
        scopes: one.scopes.into_iter().collect(),
    }
}

/// Why the list cannot be read.
fn not_listed(failure: &Failure) -> Error {
    match failure.code == UNLISTED {
        true => {
            let why = &failure.description;
            let message = format!("The clients of this identity provider cannot be listed: {why}.");
            Error::new(Kind::Conflict, "clients_not_listed", message)
        }
        false => refused(failure),
    }
}
