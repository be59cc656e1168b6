//! Methods on products.

use std::collections::BTreeSet;

use portico_proto::{
    Error,
    catalog::v1,
    rest::{Enumeration as _, merge},
};
use portico_runtime::{
    Call,
    lists::{ListQuery, Search},
    parse_id, query_error, require, store_error,
};
use tonic::Request;
use uuid::Uuid;

use super::{Grpc, merging};
use crate::{
    input::{self, APIS, Input},
    neighbours::{
        access_requests::{self, Subject},
        client_types,
    },
    product::{Api, Command, Details, Product, SCOPES_MISSING, Visibility},
    views::{
        Audience, SORT,
        products::{self, Filter},
    },
    wire,
};

pub(super) async fn create_product(
    grpc: &Grpc,
    request: Request<v1::CreateProductRequest>,
) -> Result<v1::Product, Error> {
    let call = Call::of(&request, "create_product", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = require("product", request.into_inner().product)?;
    let details = parse(grpc, message, &Details::default()).await?;
    let at = call.context.now;
    let id = call.new_id("product", &grpc.deps.clock);
    run(grpc, &call, id, 0, &Command::Create { details, at }).await
}

pub(super) async fn update_product(
    grpc: &Grpc,
    request: Request<v1::UpdateProductRequest>,
) -> Result<v1::Product, Error> {
    let call = Call::of(&request, "update_product", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let id = parse_id("id", &message.id)?;
    merging(message.if_version, || replace(grpc, &call, id, &message)).await
}

/// Merges an update onto what is there, and replaces it at that version: what somebody else writes meanwhile must not
/// be lost.
async fn replace(
    grpc: &Grpc,
    call: &Call,
    id: Uuid,
    message: &v1::UpdateProductRequest,
) -> Result<v1::Product, Error> {
    let found = grpc.store.load::<Product>(id).await.map_err(store_error)?;
    if found.version == 0 {
        return Err(Error::not_found("product"));
    }
    let version = match message.if_version {
        0 => found.version.unsigned_abs(),
        expected => expected,
    };
    let present = wire::product(id, found.version, &found.state);
    let patch = require("product", message.product.clone())?;
    let merged = merge(present, patch, message.update_mask.as_ref())?;
    let details = parse(grpc, merged, &found.state.details).await?;
    let at = call.context.now;
    let command = Command::Change { details, at };
    run(grpc, call, id, version, &command).await
}

/// All details of a product; those of `before` are known to be right.
async fn parse(grpc: &Grpc, message: v1::Product, before: &Details) -> Result<Details, Error> {
    let mut input = Input::default();
    let details = Details {
        name: input.name("name", &message.name),
        description: input.description(&message.description),
        dcr_enabled: message.dcr_enabled,
        scopes: input.scopes(&message.scopes),
        client_type_ids: input.client_type_ids(&message.client_type_ids),
        visibility: visibility(&mut input, message.visibility),
        tags: input.tags(&message.tags),
        policy_id: input.policy_id(message.mapping),
        documentation: input.documentation(&message.documentation),
        apis: apis(&mut input, message.apis),
    };
    if details.dcr_enabled && details.scopes.is_empty() {
        input
            .problems
            .add("scopes", SCOPES_MISSING.0, SCOPES_MISSING.1);
    }
    if details.client_type_ids != before.client_type_ids {
        client_types::check(&grpc.deps, &details.client_type_ids, &mut input.problems).await?;
    }
    input.problems.into_result()?;
    Ok(details)
}

pub(super) async fn publish_product(
    grpc: &Grpc,
    request: Request<v1::PublishProductRequest>,
) -> Result<v1::Product, Error> {
    let call = Call::of(&request, "publish_product", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let id = parse_id("id", &request.get_ref().id)?;
    let at = call.context.now;
    run(grpc, &call, id, 0, &Command::Publish { at }).await
}

pub(super) async fn unpublish_product(
    grpc: &Grpc,
    request: Request<v1::UnpublishProductRequest>,
) -> Result<v1::Product, Error> {
    let call = Call::of(&request, "unpublish_product", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let id = parse_id("id", &request.get_ref().id)?;
    let at = call.context.now;
    run(grpc, &call, id, 0, &Command::Unpublish { at }).await
}

pub(super) async fn delete_product(
    grpc: &Grpc,
    request: Request<v1::DeleteProductRequest>,
) -> Result<v1::DeleteProductResponse, Error> {
    let call = Call::of(&request, "delete_product", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.get_ref();
    let id = parse_id("id", &message.id)?;
    access_requests::require_none_open(&grpc.deps, Subject::Product(id)).await?;
    let at = call.context.now;
    let command = Command::Delete { at };
    run(grpc, &call, id, message.if_version, &command).await?;
    Ok(v1::DeleteProductResponse {})
}

pub(super) async fn get_product(
    grpc: &Grpc,
    request: Request<v1::GetProductRequest>,
) -> Result<v1::Product, Error> {
    let call = Call::of(&request, "get_product", &grpc.deps.clock)?;
    // Everybody may ask; the audience decides what is there.
    let audience = Audience::of(&call.caller);
    let id = parse_id("id", &request.get_ref().id)?;
    products::get(grpc.store.database().pool(), audience, id)
        .await
        .map_err(query_error)?
        .ok_or_else(|| Error::not_found("product"))
}

pub(super) async fn list_products(
    grpc: &Grpc,
    request: Request<v1::ListProductsRequest>,
) -> Result<v1::ListProductsResponse, Error> {
    let call = Call::of(&request, "list_products", &grpc.deps.clock)?;
    // Everybody may ask; the audience decides what is there.
    let audience = Audience::of(&call.caller);
    let message = request.into_inner();
    let query = ListQuery::parse(&SORT, &message)?;
    let status = v1::ProductStatus::try_from(message.status).map_err(|_| {
        let message = "`status` must be draft, published or deleted.";
        Error::field("status", "status_invalid", message)
    })?;
    let client_type_id = match message.client_type_id.as_str() {
        "" => String::new(),
        text => parse_id("client_type_id", text)?.to_string(),
    };
    let filter = Filter {
        search: Search::parse(&message.q)?,
        tag: input::tag(&message.tag),
        status: status.as_word(),
        client_type_id,
    };
    let pool = grpc.store.database().pool();
    let (products, next) = products::list(pool, audience, &filter, &query)
        .await
        .map_err(query_error)?;
    Ok(v1::ListProductsResponse { products, next })
}

/// Runs a command and answers with the state after it.
async fn run(
    grpc: &Grpc,
    call: &Call,
    id: Uuid,
    version: u64,
    command: &Command,
) -> Result<v1::Product, Error> {
    let scopes = match command {
        Command::Create { details, .. } | Command::Change { details, .. } => &details.scopes,
        Command::Publish { .. } | Command::Unpublish { .. } | Command::Delete { .. } => {
            &BTreeSet::new()
        }
    };
    let done = grpc.run::<Product>(id, version, command, &call.context, scopes);
    let done = done.await?;
    Ok(wire::product(id, done.version, &done.state))
}

fn visibility(input: &mut Input, number: i32) -> Visibility {
    match v1::Visibility::try_from(number) {
        Ok(v1::Visibility::Unspecified | v1::Visibility::Public) => Visibility::Public,
        Ok(v1::Visibility::Internal) => Visibility::Internal,
        Err(_) => {
            input.problems.add(
                "visibility",
                "visibility_invalid",
                "`visibility` must be public or internal.",
            );
            Visibility::Internal
        }
    }
}

fn apis(input: &mut Input, messages: Vec<v1::Api>) -> Vec<Api> {
    input.at_most("apis", messages.len(), APIS);
    let all = messages.into_iter().enumerate();
    all.map(|(index, api)| {
        let mapping = api.mapping.unwrap_or_default();
        Api {
            api_id: input.api_id(&format!("apis[{index}].api_id"), &mapping.api_id),
            name: match api.name.trim() {
                "" => String::new(),
                name => input.name(&format!("apis[{index}].name"), name),
            },
            url: input.url(&format!("apis[{index}].url"), &api.url),
            gateway_id: match mapping.gateway_id().trim() {
                "" => None,
                text => input.id(&format!("apis[{index}].gateway_id"), text),
            },
        }
    })
    .collect()
}
