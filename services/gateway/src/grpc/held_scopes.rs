//! Scopes that a product or plan waits for, because clients may still hold them from another one.

use portico_eventstore::Aggregate as _;
use portico_proto::{Error, gateway::v1 as api};
use portico_runtime::{Call, Caller, Page, parse_id, query_error};
use tonic::Request;

use super::Grpc;
use crate::entitlement::{Command, Entitlement, ScopesCommand};
use crate::policies::waiting;
use crate::views::held_scopes as view;

/// An admin.
pub(crate) async fn list_held_scopes(
    grpc: &Grpc,
    request: Request<api::ListHeldScopesRequest>,
) -> Result<api::ListHeldScopesResponse, Error> {
    Caller::of(&request).require_admin()?;
    let message = request.into_inner();
    let page = Page::parse(&message)?;
    let pool = grpc.store.database().pool();
    let (held, next) = view::list(pool, &page).await.map_err(query_error)?;
    let held_scopes = held.into_iter().map(|one| api::HeldScope {
        identity_provider_id: one.identity_provider_id.to_string(),
        scope: one.scope,
        product_id: one.waiting.id,
        product_name: one.waiting.name,
        holder_product_id: one.holder.id,
        holder_product_name: one.holder.name,
        application_ids: one.application_ids,
    });
    Ok(api::ListHeldScopesResponse {
        held_scopes: held_scopes.collect(),
        next,
    })
}

/// An admin. Refused while access with the scope is granted for the holder: what is granted has to keep working.
pub(crate) async fn release_held_scope(
    grpc: &Grpc,
    request: Request<api::ReleaseHeldScopeRequest>,
) -> Result<api::ReleaseHeldScopeResponse, Error> {
    let call = Call::of(&request, "release_held_scope", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let provider = parse_id("identity_provider_id", &message.identity_provider_id)?;
    let holder = parse_id("holder_product_id", &message.holder_product_id)?.to_string();
    if message.scope.is_empty() {
        let right = "`scope` must be the scope that is held.";
        return Err(Error::field("scope", "scope_missing", right));
    }
    let pool = grpc.store.database().pool();
    let claims = view::claims_of(pool, provider, &message.scope, &holder)
        .await
        .map_err(query_error)?;
    if claims.is_empty() {
        return Err(Error::not_found("held scope"));
    }
    let command = Command::Scopes(ScopesCommand::Release {
        scope: message.scope.clone(),
        holder_id: holder.clone(),
    });
    // All of them or none: one that is granted refuses the release of the others.
    for (request, _) in &claims {
        let entitlement = grpc.load::<Entitlement>(*request).await?;
        entitlement.decide(&command)?;
    }
    for (request, _) in claims {
        let context = call.context.step(&format!("release {request}"));
        grpc.store
            .execute::<Entitlement>(request, &command, &context)
            .await
            .map_err(portico_runtime::refuse)?;
    }
    let woken = waiting::wake_unblocked(&grpc.store, provider, &call.context).await;
    if let Err(error) = woken {
        // They try again by themselves, a little later.
        tracing::warn!(%error, "who waits for a released scope was not told");
    }
    Ok(api::ReleaseHeldScopeResponse {})
}
