//! How far events were brought to the bus, and publishing them again.

use axum::{
    Router,
    routing::{get, post},
};
use minijinja::{Value, context, value::Serde};
use portico_proto::{
    Error,
    operations::v1::{
        ListRelaysRequest, Relay, RepublishRequest,
        operations_service_server::OperationsService as _,
    },
    time,
};
use portico_runtime::ServiceName;

use super::{
    super::{
        form::{Form, Posted},
        page::{PageResponse, done, mendable, render},
    },
    named, names,
};
use crate::edge::{Edge, operations::Operations, request::RequestContext};

const PAGE: &str = "/admin/relays";

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/relays", get(show))
        .route("/relays/republish", post(republish))
}

async fn show(ctx: RequestContext) -> PageResponse {
    page(&ctx, None, None).await
}

async fn page(ctx: &RequestContext, form: Option<&Form>, error: Option<&Error>) -> PageResponse {
    let request = ctx.request(ListRelaysRequest {});
    let all = Operations::new(ctx.edge())
        .list_relays(request)
        .await?
        .into_inner();
    let again = all.items.iter().filter_map(|one| one.republishing.as_ref());
    let names = names(ctx, again.map(|again| again.requested_by.as_str())).await;
    let services = ServiceName::ALL.map(|name| [name.as_str(), name.as_str()]);
    let shown = context! {
        relays => all.items.iter().map(|one| relay(one, |id| named(&names, id))).collect::<Vec<_>>(),
        services,
        unreachable => all.unreachable,
        form => form.map(|form| form.typed(&[])),
    };
    render(ctx, "admin/relays.html", shown, error).await
}

fn relay(one: &Relay, named: impl Fn(&str) -> String) -> Value {
    let again = one.republishing.clone().unwrap_or_default();
    context! {
        waiting => one.head.saturating_sub(one.position),
        again => again.position,
        until => again.until,
        requested_at => time::text(again.requested_at.as_ref()),
        requested_by => named(&again.requested_by),
        ..Value::from(Serde(one))
    }
}

async fn republish(Posted { ctx, form }: Posted) -> PageResponse {
    let from = match form.number("from") {
        Ok(from) => from.unwrap_or_default(),
        Err(error) => return page(&ctx, Some(&form), Some(&error)).await,
    };
    let service = form.text("service");
    let request = ctx.request(RepublishRequest { service, from });
    match Operations::new(ctx.edge()).republish(request).await {
        Ok(_) => Ok(done(PAGE, "republishing")),
        Err(status) => page(&ctx, Some(&form), Some(&mendable(status)?)).await,
    }
}
