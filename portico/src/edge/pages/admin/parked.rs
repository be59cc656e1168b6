//! Stuck (parked) messages: list them, process them again, drop them.

use axum::{
    Router,
    extract::{Path, Query},
    routing::{get, post},
};
use minijinja::{Value, context, value::Serde};
use portico_proto::{
    Error,
    operations::v1::{
        ListParkedMessagesRequest, ParkedMessage, ParkedMessagesRequest, ParkedStatus,
        operations_service_server::OperationsService as _,
    },
};
use portico_runtime::ServiceName;

use super::{
    super::{
        confirm::Question,
        form::Posted,
        lists::{Listing, word},
        page::{PageResponse, done, mendable, render},
    },
    named, names,
};
use crate::edge::{Edge, operations::Operations, request::RequestContext};

const LIST: &str = "/admin/parked-messages";

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/parked-messages", get(list))
        .route(
            "/parked-messages/{service}/{consumer}/replay",
            post(replay_all),
        )
        .route(
            "/parked-messages/{service}/{consumer}/{id}/replay",
            post(replay_one),
        )
        .route(
            "/parked-messages/{service}/{consumer}/drop",
            get(confirm_drop_all).post(drop_all),
        )
        .route(
            "/parked-messages/{service}/{consumer}/{id}/drop",
            get(confirm_drop_one).post(drop_one),
        )
}

async fn list(ctx: RequestContext, Query(listing): Query<Listing>) -> PageResponse {
    page(&ctx, &listing, None).await
}

async fn page(ctx: &RequestContext, listing: &Listing, error: Option<&Error>) -> PageResponse {
    let request = ctx.request(ListParkedMessagesRequest {
        after: listing.after.clone(),
        service: listing.service.clone(),
        consumer: listing.consumer.clone(),
        status: word::<ParkedStatus>(&listing.status),
        ..Default::default()
    });
    let page = Operations::new(ctx.edge())
        .list_parked_messages(request)
        .await?
        .into_inner();
    let names = names(ctx, page.items.iter().map(|one| one.dropped_by())).await;
    let mut consumers: Vec<(&str, &str)> = page
        .items
        .iter()
        .filter(|one| one.status() != ParkedStatus::Dropped)
        .map(|one| (one.service.as_str(), one.consumer.as_str()))
        .collect();
    consumers.sort_unstable();
    consumers.dedup();
    let consumers = consumers.into_iter();
    let next = page.next().to_owned();
    let shown = context! {
        messages => page.items.iter().map(|one| message(one, &named(&names, one.dropped_by()))).collect::<Vec<_>>(),
        consumers => consumers.map(|(service, consumer)| context! { service, consumer }).collect::<Vec<_>>(),
        services => ServiceName::ALL.map(ServiceName::as_str),
        unreachable => page.unreachable,
        list => listing.shown(&next),
    };
    render(ctx, "admin/parked_messages.html", shown, error).await
}

fn message(one: &ParkedMessage, dropped_by: &str) -> Value {
    context! { dropped_by, ..Value::from(Serde(one)) }
}

/// What the path of a form names; without an id, all of the consumer.
fn which((service, consumer, id): (String, String, String)) -> ParkedMessagesRequest {
    ParkedMessagesRequest {
        service,
        consumer,
        id,
    }
}

fn all((service, consumer): (String, String)) -> ParkedMessagesRequest {
    which((service, consumer, String::new()))
}

async fn replay_one(Path(path): Path<(String, String, String)>, posted: Posted) -> PageResponse {
    replay(which(path), posted.ctx).await
}

async fn replay_all(Path(path): Path<(String, String)>, posted: Posted) -> PageResponse {
    replay(all(path), posted.ctx).await
}

async fn replay(which: ParkedMessagesRequest, ctx: RequestContext) -> PageResponse {
    let operations = Operations::new(ctx.edge());
    match operations.replay_parked_messages(ctx.request(which)).await {
        Ok(_) => Ok(done(LIST, "replayed")),
        Err(status) => page(&ctx, &Listing::default(), Some(&mendable(status)?)).await,
    }
}

async fn confirm_drop_one(
    ctx: RequestContext,
    Path(path): Path<(String, String, String)>,
) -> PageResponse {
    question(&ctx, &which(path), None).await
}

async fn confirm_drop_all(ctx: RequestContext, Path(path): Path<(String, String)>) -> PageResponse {
    question(&ctx, &all(path), None).await
}

async fn question(
    ctx: &RequestContext,
    which: &ParkedMessagesRequest,
    error: Option<&Error>,
) -> PageResponse {
    let title = match which.id.as_str() {
        "" => format!("Drop all stuck messages of {}?", which.consumer),
        id => format!("Drop the message {id} of {}?", which.consumer),
    };
    let question = Question {
        title,
        consequence: "The event will never be processed by this consumer, even if it is published again. The list keeps \
            who dropped it and when.",
        button: "Drop",
        back: LIST.to_owned(),
        version: 0,
    };
    question.show(ctx, error).await
}

async fn drop_one(Path(path): Path<(String, String, String)>, posted: Posted) -> PageResponse {
    give_up(which(path), posted.ctx).await
}

async fn drop_all(Path(path): Path<(String, String)>, posted: Posted) -> PageResponse {
    give_up(all(path), posted.ctx).await
}

async fn give_up(which: ParkedMessagesRequest, ctx: RequestContext) -> PageResponse {
    let operations = Operations::new(ctx.edge());
    let request = ctx.request(which.clone());
    match operations.drop_parked_messages(request).await {
        Ok(_) => Ok(done(LIST, "dropped")),
        Err(status) => question(&ctx, &which, Some(&mendable(status)?)).await,
    }
}
