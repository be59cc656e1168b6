//! `/events`: steps of the access requests that the caller may see, as server-sent events (WHATWG HTML section 9.2).

use std::{convert::Infallible, time::Duration};

use axum::extract::FromRequestParts;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt as _, future};
use http::{HeaderMap, request::Parts};
use portico_proto::{
    Error,
    access::v1::{AccessRequestChange, WatchAccessRequestsRequest},
    rest::Enumeration as _,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    problem::{Failure, Result},
    request::RequestContext,
};

/// Time without an event after which a comment is sent, so that no proxy closes the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Time after which a browser reconnects when the stream has ended.
const RETRY: Duration = Duration::from_secs(2);

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(watch_access_requests))
}

/// The cursor of the last event seen: the header `Last-Event-ID`, which browsers send by themselves.
struct LastEventId(String);

impl FromRequestParts<Edge> for LastEventId {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> Result<Self> {
        last_event_id(&parts.headers).map(Self).map_err(Into::into)
    }
}

fn last_event_id(headers: &HeaderMap) -> std::result::Result<String, Error> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(String::new());
    };
    value.to_str().map(str::to_owned).map_err(|_| {
        Error::field(
            "Last-Event-ID",
            "cursor_invalid",
            "`Last-Event-ID` must be the id of an event of this stream.",
        )
    })
}

/// Server-sent events: each step of the requests that the caller may see. `Last-Event-ID` resumes; `0` begins
/// at the beginning. The stream ends when the session does.
#[utoipa::path(get, path = "/events", tag = "Events",
    params(("Last-Event-ID" = Option<String>, Header, description = "Id of the last event seen.")),
    responses((status = 200, body = AccessRequestChange, content_type = "text/event-stream")))]
async fn watch_access_requests(
    ctx: RequestContext,
    LastEventId(after): LastEventId,
) -> Result<Sse<impl Stream<Item = std::result::Result<Event, Infallible>>>> {
    ctx.caller().require_user()?;
    let request = ctx.request(WatchAccessRequestsRequest { after });
    let changes = ctx.access().watch_access_requests(request).await?;
    let changes = changes.into_inner();
    let edge = ctx.edge();
    let signed_out = edge.auth.clone().until_signed_out(ctx.credential().clone());
    let stopping = edge.deps.shutdown.clone().cancelled_owned();
    let ends = future::select(Box::pin(signed_out), Box::pin(stopping));
    let events = changes.map(|change| Ok(event(change))).take_until(ends);
    let begin = futures::stream::iter([Ok(Event::default().retry(RETRY).comment("connected"))]);
    Ok(Sse::new(begin.chain(events)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn event(change: std::result::Result<AccessRequestChange, tonic::Status>) -> Event {
    let written = match change {
        Ok(change) => Event::default()
            .id(&change.cursor)
            .event(change.step().as_word())
            .json_data(change),
        // The stream ends after it, and the browser comes back with its last cursor.
        Err(status) => Event::default()
            .event("problem")
            .json_data(Error::from(status).problem("")),
    };
    written.unwrap_or_else(|_| Event::default().comment("unreadable"))
}
