//! Clients that are, or may be, at a provider without being in use here. For admins.

mod find;

pub(crate) use find::find_orphans;

use portico_proto::{Error, registration::v1 as api};
use portico_runtime::{Call, Caller, Page, Problems, query_error, texts, vault_error};
use portico_vault::{Owner, Secret, VaultRef};
use tonic::Request;
use url::Url;
use uuid::Uuid;

use super::refusal::{refuse, work_error};
use super::{Grpc, narrowed};
use crate::oauth_client::{Command, OauthClient, OrphanCommand, Resolution, Resolved};
use crate::views::oauth_clients::{self as view, ListedOrphan};
use crate::worker::{ClaimedClient, OrphanAction};

/// Kind of the vault owner of what people write about orphans. Its id is the OAuth client's.
const NOTE_OWNER: &str = "orphan_note";
/// Characters of a token or secret.
const SECRET: usize = 8192;
/// Characters of a client id or of a note.
const LINE: usize = 1000;

/// An admin.
pub(crate) async fn list_orphans(
    grpc: &Grpc,
    request: Request<api::ListOrphansRequest>,
) -> Result<api::ListOrphansResponse, Error> {
    Caller::of(&request).require_admin()?;
    let message = request.into_inner();
    let page = Page::parse(&message)?;
    let status = match api::OrphanFilter::try_from(message.status) {
        Ok(api::OrphanFilter::Unspecified | api::OrphanFilter::Open) => "open",
        Ok(api::OrphanFilter::All) => "",
        Err(_) => {
            let right = "`status` must be open or all.";
            return Err(Error::field("status", "status_invalid", right));
        }
    };
    let provider = narrowed("identity_provider_id", &message.identity_provider_id)?;
    let provider = provider.map(|id| id.to_string()).unwrap_or_default();
    let pool = grpc.pool();
    let (listed, next) = view::orphans(pool, &page, status, &provider)
        .await
        .map_err(query_error)?;
    let mut orphans = Vec::with_capacity(listed.len());
    for one in listed {
        orphans.push(with_note(grpc, one).await?);
    }
    Ok(api::ListOrphansResponse { orphans, next })
}

/// An admin.
pub(crate) async fn adopt_orphan(
    grpc: &Grpc,
    request: Request<api::AdoptOrphanRequest>,
) -> Result<api::Orphan, Error> {
    let call = Call::of(&request, "adopt_orphan", &grpc.deps.clock)?;
    let (message, action) = (request.into_inner(), OrphanAction::Adopt);
    resolve(grpc, &call, &message.marker, message.client, action).await
}

/// An admin.
pub(crate) async fn delete_orphan(
    grpc: &Grpc,
    request: Request<api::DeleteOrphanRequest>,
) -> Result<api::Orphan, Error> {
    let call = Call::of(&request, "delete_orphan", &grpc.deps.clock)?;
    let (message, action) = (request.into_inner(), OrphanAction::Delete);
    resolve(grpc, &call, &message.marker, message.client, action).await
}

/// An admin.
pub(crate) async fn dismiss_orphan(
    grpc: &Grpc,
    request: Request<api::DismissOrphanRequest>,
) -> Result<api::Orphan, Error> {
    let call = Call::of(&request, "dismiss_orphan", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let mut problems = Problems::default();
    let reason = texts::line(&mut problems, "reason", &message.reason, LINE);
    if reason.is_empty() {
        problems.add(
            "reason",
            "reason_missing",
            "`reason` must say why nothing is left to be done.",
        );
    }
    problems.into_result()?;
    let id = found(grpc, &message.marker).await?;
    let note = VaultRef(Uuid::new_v5(&call.context.command_id, b"note"));
    let owner = Owner::new(NOTE_OWNER, id);
    let kept = grpc.vault.put_at(note, &owner, &Secret::new(reason)).await;
    kept.map_err(vault_error)?;
    let command = Command::Orphan(OrphanCommand::Resolve(Resolved {
        marker: message.marker.clone(),
        how: Resolution::Dismissed,
        note: Some(note),
    }));
    let told = grpc
        .store
        .execute::<OauthClient>(id, &command, &call.context)
        .await;
    if let Err(error) = told {
        grpc.vault.delete(&note).await.map_err(vault_error)?;
        return Err(refuse(error));
    }
    answer(grpc, &message.marker).await
}

async fn resolve(
    grpc: &Grpc,
    call: &Call,
    marker: &str,
    client: Option<api::FoundClient>,
    action: OrphanAction,
) -> Result<api::Orphan, Error> {
    call.caller.require_admin()?;
    let client = checked(client.unwrap_or_default())?;
    let id = found(grpc, marker).await?;
    let done = grpc
        .worker
        .resolve_orphan(id, marker, action, &client, &call.context)
        .await;
    done.map_err(|error| work_error(id, &error))??;
    answer(grpc, marker).await
}

fn checked(given: api::FoundClient) -> Result<ClaimedClient, Error> {
    let mut problems = Problems::default();
    let client_id = texts::line(&mut problems, "client_id", given.client_id(), LINE);
    let token = texts::line(
        &mut problems,
        "registration_access_token",
        given.registration_access_token(),
        SECRET,
    );
    let uri = match given.registration_client_uri().trim() {
        "" => None,
        text => match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "https" | "http") => Some(url),
            _ => {
                problems.add(
                    "registration_client_uri",
                    "url_invalid",
                    "`registration_client_uri` must be an http or https URL.",
                );
                None
            }
        },
    };
    problems.into_result()?;
    Ok(ClaimedClient {
        client_id,
        token: (!token.is_empty()).then(|| Secret::new(token)),
        uri,
    })
}

/// The stream that an orphan belongs to: from the view, or from the mark, which begins with it.
async fn found(grpc: &Grpc, marker: &str) -> Result<Uuid, Error> {
    let listed = listed(grpc, marker).await?;
    let by_marker = || marker.split('.').next().and_then(|id| id.parse().ok());
    listed
        .oauth_client_id
        .or_else(by_marker)
        .ok_or_else(|| Error::not_found("orphan"))
}

async fn answer(grpc: &Grpc, marker: &str) -> Result<api::Orphan, Error> {
    let listed = listed(grpc, marker).await?;
    with_note(grpc, listed).await
}

async fn listed(grpc: &Grpc, marker: &str) -> Result<ListedOrphan, Error> {
    let listed = view::orphan(grpc.pool(), marker).await;
    let listed = listed.map_err(query_error)?;
    listed.ok_or_else(|| Error::not_found("orphan"))
}

async fn with_note(grpc: &Grpc, listed: ListedOrphan) -> Result<api::Orphan, Error> {
    let mut orphan = listed.orphan;
    if let (Some(id), Some(note)) = (listed.oauth_client_id, listed.note) {
        let note = grpc
            .vault
            .get(&Owner::new(NOTE_OWNER, id), &note)
            .await
            .map_err(vault_error)?;
        orphan.note = note.map(|note| note.expose().to_owned());
    }
    Ok(orphan)
}
