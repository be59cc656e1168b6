//! Single things that pages of both readers fetch from a service, in the caller's name.

use portico_proto::{
    access::v1::{AccessRequest, GetAccessRequestRequest},
    catalog::v1::{GetProductRequest, Product},
    registration::v1::{ClientType, ListClientTypesRequest},
};

use crate::edge::{problem::Result, request::RequestContext};

/// A request that the caller may see.
pub(super) async fn access_request(ctx: &RequestContext, id: &str) -> Result<AccessRequest> {
    let request = ctx.request(GetAccessRequestRequest { id: id.to_owned() });
    Ok(ctx.access().get_access_request(request).await?.into_inner())
}

/// A product that the caller may see.
pub(super) async fn product(ctx: &RequestContext, id: String) -> Result<Product> {
    let request = ctx.request(GetProductRequest { id });
    Ok(ctx.catalog().get_product(request).await?.into_inner())
}

/// The client types with these ids.
pub(super) async fn client_types(
    ctx: &RequestContext,
    ids: Vec<String>,
) -> Result<Vec<ClientType>> {
    if ids.is_empty() {
        // No ids would mean all.
        return Ok(Vec::new());
    }
    let request = ctx.request(ListClientTypesRequest {
        limit: 100,
        ids,
        ..Default::default()
    });
    let page = ctx.registration().list_client_types(request).await?;
    Ok(page.into_inner().client_types)
}
