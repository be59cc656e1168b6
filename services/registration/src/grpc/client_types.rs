//! Client types.

use std::collections::BTreeSet;

use portico_proto::{Error, registration::v1 as api, rest::merge};
use portico_runtime::{
    Call, Problems, lists::ListQuery, parse_id, query_error, require, store_error,
};
use tonic::Request;
use uuid::Uuid;

use super::refusal::refuse_at;
use super::{Grpc, narrowed, word};
use crate::client_type::{ClientType, Command, Definition, Draft};
use crate::identity_provider::IdentityProvider;
use crate::views::{client_types, usage};
use crate::wire;

/// How many ids one list may ask for.
const IDS: usize = 100;

/// An admin.
pub(crate) async fn create_client_type(
    grpc: &Grpc,
    request: Request<api::CreateClientTypeRequest>,
) -> Result<api::ClientType, Error> {
    let call = Call::of(&request, "create_client_type", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let id = call.new_id("client_type", &grpc.deps.clock);
    let message = request.into_inner();
    let provider = parse_id("identity_provider_id", &message.identity_provider_id)?;
    grpc.load::<IdentityProvider>(provider).await?.present()?;
    let command = Command::Add {
        identity_provider_id: provider,
        definition: parse(require("client_type", message.client_type)?)?,
    };
    grpc.execute::<ClientType>(id, 0, &command, &call.context)
        .await?;
    answer(grpc, id).await
}

/// An admin.
pub(crate) async fn update_client_type(
    grpc: &Grpc,
    request: Request<api::UpdateClientTypeRequest>,
) -> Result<api::ClientType, Error> {
    let call = Call::of(&request, "update_client_type", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let id = parse_id("id", &message.id)?;
    let loaded = grpc
        .store
        .load::<ClientType>(id)
        .await
        .map_err(store_error)?;
    let present = wire::client_type(loaded.state.present()?);
    let entered = require("client_type", message.client_type)?;
    let definition = parse(merge(present, entered, message.update_mask.as_ref())?)?;
    let if_version = message.if_version;
    // The caller's version, or the one that the changes were put on.
    let version = match if_version {
        0 => loaded.version.unsigned_abs(),
        given => given,
    };
    grpc.store
        .execute_at::<ClientType>(id, version, &Command::Change { definition }, &call.context)
        .await
        .map_err(|error| refuse_at(if_version, error))?;
    answer(grpc, id).await
}

fn parse(message: api::ClientType) -> Result<Definition, Error> {
    let mut problems = Problems::default();
    let method = message.token_endpoint_auth_method;
    let method =
        word::<api::TokenEndpointAuthMethod>(&mut problems, "token_endpoint_auth_method", method);
    let okta = message.okta_application_type.unwrap_or_default();
    let okta = word::<api::OktaApplicationType>(&mut problems, "okta_application_type", okta);
    let draft = Draft {
        name: message.name,
        description: message.description,
        response_types: message.response_types,
        grant_types: message.grant_types,
        token_endpoint_auth_method: method.to_owned(),
        okta_application_type: okta.to_owned(),
    };
    draft.checked(problems)
}

/// An admin; refused while OAuth clients are of this type.
pub(crate) async fn delete_client_type(
    grpc: &Grpc,
    request: Request<api::DeleteClientTypeRequest>,
) -> Result<api::DeleteClientTypeResponse, Error> {
    let call = Call::of(&request, "delete_client_type", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let id = parse_id("id", &message.id)?;
    let live_clients = usage::of_client_type(grpc.pool(), id)
        .await
        .map_err(query_error)?;
    let command = Command::Delete { live_clients };
    grpc.execute::<ClientType>(id, message.if_version, &command, &call.context)
        .await?;
    Ok(api::DeleteClientTypeResponse {})
}

/// A user or a service: developers choose among client types.
pub(crate) async fn get_client_type(
    grpc: &Grpc,
    request: Request<api::GetClientTypeRequest>,
) -> Result<api::ClientType, Error> {
    let call = Call::of(&request, "get_client_type", &grpc.deps.clock)?;
    call.caller.require_known()?;
    let id = parse_id("id", &request.get_ref().id)?;
    answer(grpc, id).await
}

/// A user or a service: developers choose among client types.
pub(crate) async fn list_client_types(
    grpc: &Grpc,
    request: Request<api::ListClientTypesRequest>,
) -> Result<api::ListClientTypesResponse, Error> {
    let call = Call::of(&request, "list_client_types", &grpc.deps.clock)?;
    call.caller.require_known()?;
    let message = request.into_inner();
    let query = ListQuery::parse(&client_types::SORT, &message)?;
    let provider = narrowed("identity_provider_id", &message.identity_provider_id)?;
    if message.ids.len() > IDS {
        let right = format!("`ids` must have at most {IDS}.");
        return Err(Error::field("ids", "ids_too_many", right));
    }
    let mut ids = BTreeSet::new();
    for (index, id) in message.ids.iter().enumerate() {
        ids.insert(parse_id(&format!("ids[{index}]"), id)?);
    }
    let pool = grpc.pool();
    let (client_types, next) = client_types::list(pool, &query, provider, &ids)
        .await
        .map_err(query_error)?;
    Ok(api::ListClientTypesResponse { client_types, next })
}

/// From the view; a deleted one is not there.
async fn answer(grpc: &Grpc, id: Uuid) -> Result<api::ClientType, Error> {
    client_types::get(grpc.pool(), id)
        .await
        .map_err(query_error)?
        .ok_or_else(|| Error::not_found("client type"))
}
