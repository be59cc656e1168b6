//! What a gateway would say to a call, for an admin who asks why one is refused.

use axum::{Router, extract::Path, routing::get};
use minijinja::{Value, context, value::Serde};
use portico_proto::gateway::v1::{
    RefreshGatewayKeysRequest, SimulateGatewayCallRequest, SimulateGatewayCallResponse,
    SimulatedLimit,
};

use super::super::super::{
    form::Posted,
    page::{PageResponse, done, mendable, refused, render},
    show,
};
use super::{find, question_of};
use crate::edge::{Edge, request::RequestContext};

const PAGE: &str = "admin/gateway_simulator.html";

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/gateways/{id}/simulate", get(form).post(simulate))
        .route("/gateways/{id}/refresh-keys", axum::routing::post(refresh))
}

async fn form(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    let gateway = Value::from(Serde(find(&ctx, &id).await?));
    render(&ctx, PAGE, context! { gateway }, None).await
}

async fn simulate(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let gateway = Value::from(Serde(find(&ctx, &id).await?));
    let request = ctx.request(SimulateGatewayCallRequest {
        gateway_id: id,
        api_id: form.text("api_id"),
        scopes: form.words("scopes"),
        token: form.secret("token"),
    });
    let answer = ctx.gateway().simulate_gateway_call(request).await;
    match answer {
        Ok(answer) => {
            let answer = shown(&answer.into_inner());
            let shown = context! { gateway, form => form.typed(&[]), answer };
            render(&ctx, PAGE, shown, None).await
        }
        Err(status) => refused(&ctx, PAGE, &form, context! { gateway }, status).await,
    }
}

async fn refresh(Path(id): Path<String>, Posted { ctx, .. }: Posted) -> PageResponse {
    let request = ctx.request(RefreshGatewayKeysRequest {
        gateway_id: id.clone(),
    });
    match ctx.gateway().refresh_gateway_keys(request).await {
        Ok(_) => Ok(done(&format!("/admin/gateways/{id}/edit"), "refreshed")),
        Err(status) => question_of(&ctx, &id, &mendable(status)?).await,
    }
}

fn shown(answer: &SimulateGatewayCallResponse) -> Value {
    let limit =
        |limit: &SimulatedLimit| format!("{} in {}", limit.requests, show::every(limit.seconds));
    context! {
        passes => answer.status == 200,
        rate => answer.rate.as_ref().map(limit),
        quota => answer.quota.as_ref().map(limit),
        ..Value::from(Serde(answer))
    }
}
