//! API gateways.

mod held_scopes;
mod import;
mod simulator;

use axum::{
    Router,
    extract::{Path, Query},
    routing::get,
};
use minijinja::{Value, context, value::Serde};
use portico_proto::{
    Error,
    gateway::v1::{
        CreateGatewayRequest, DeleteGatewayRequest, Gateway, GatewayType, GetGatewayRequest,
        ListGatewaysRequest, UpdateGatewayRequest,
    },
    rest::{Enumeration as _, FieldMask},
};

use super::super::{
    confirm::Question,
    form::{Form, Posted},
    lists::Listing,
    page::{PageResponse, done, mendable, refused, render},
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

const EDIT: &str = "admin/gateway_edit.html";
const LIST: &str = "/admin/gateways";

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/gateways", get(list))
        .route("/gateways/new", get(new).post(create))
        .route("/gateways/{id}/edit", get(edit).post(save))
        .route("/gateways/{id}/delete", get(confirm_delete).post(delete))
        .merge(simulator::routes())
        .merge(import::routes())
        .merge(held_scopes::routes())
}

async fn list(ctx: RequestContext, Query(listing): Query<Listing>) -> PageResponse {
    let request = ctx.request(ListGatewaysRequest {
        after: listing.after.clone(),
        ..Default::default()
    });
    let page = ctx.gateway().list_gateways(request).await?.into_inner();
    let shown = context! {
        gateways => Value::from(Serde(page.gateways)),
        list => listing.shown(&page.next),
    };
    render(&ctx, "admin/gateways.html", shown, None).await
}

async fn find(ctx: &RequestContext, id: &str) -> Result<Gateway> {
    let request = ctx.request(GetGatewayRequest { id: id.to_owned() });
    Ok(ctx.gateway().get_gateway(request).await?.into_inner())
}

async fn new(ctx: RequestContext) -> PageResponse {
    let form = context! { type => "tyk" };
    render(&ctx, EDIT, context! { form }, None).await
}

fn read(form: &Form) -> Gateway {
    Gateway {
        name: form.text("name"),
        r#type: GatewayType::from_word(&form.text("type"))
            .unwrap_or_default()
            .into(),
        url: form.text("url"),
        secret: form.text("secret"),
        org_id: Some(form.text("org_id")),
        default_policy_id: Some(form.text("default_policy_id")),
        ..Gateway::default()
    }
}

/// Those of the form; the secret stays where none was typed.
fn changed(gateway: &Gateway) -> FieldMask {
    let mut paths = vec!["name", "url", "org_id", "default_policy_id"];
    if !gateway.secret.is_empty() {
        paths.push("secret");
    }
    FieldMask {
        paths: paths.into_iter().map(str::to_owned).collect(),
    }
}

async fn create(Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(CreateGatewayRequest {
        gateway: Some(read(&form)),
    });
    match ctx.gateway().create_gateway(request).await {
        Ok(_) => Ok(done(LIST, "saved")),
        Err(status) => refused(&ctx, EDIT, &form, context! {}, status).await,
    }
}

async fn edit(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    let form = Value::from(Serde(find(&ctx, &id).await?));
    render(&ctx, EDIT, context! { id, form }, None).await
}

/// The form again, with what went wrong beside it.
async fn question_of(ctx: &RequestContext, id: &str, error: &Error) -> PageResponse {
    let form = Value::from(Serde(find(ctx, id).await?));
    render(ctx, EDIT, context! { id, form }, Some(error)).await
}

async fn save(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let gateway = read(&form);
    let request = ctx.request(UpdateGatewayRequest {
        id: id.clone(),
        if_version: form.version(),
        update_mask: Some(changed(&gateway)),
        gateway: Some(gateway),
    });
    match ctx.gateway().update_gateway(request).await {
        Ok(_) => Ok(done(LIST, "saved")),
        Err(status) => refused(&ctx, EDIT, &form, context! { id }, status).await,
    }
}

async fn confirm_delete(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    question(&ctx, &id, None).await
}

async fn question(ctx: &RequestContext, id: &str, error: Option<&Error>) -> PageResponse {
    let gateway = find(ctx, id).await?;
    let question = Question {
        title: format!("Delete the gateway \u{201c}{}\u{201d}?", gateway.name),
        consequence: "Portico removes the policies and scope mappings it created there. The APIs are kept.",
        button: "Delete the gateway",
        back: LIST.to_owned(),
        version: gateway.version,
    };
    question.show(ctx, error).await
}

async fn delete(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(DeleteGatewayRequest {
        id: id.clone(),
        if_version: form.version(),
    });
    match ctx.gateway().delete_gateway(request).await {
        Ok(_) => Ok(done(LIST, "deleted")),
        Err(status) => question(&ctx, &id, Some(&mendable(status)?)).await,
    }
}
