//! `/events`: steps of the access requests that the caller may see, as server-sent events (WHATWG HTML section 9.2).

use std::{convert::Infallible, time::Duration};

use axum::extract::FromRequestParts;
use axum::response::{
    IntoResponse,
    sse::{Event, KeepAlive, Sse},
};
use futures::{StreamExt as _, future, stream};
use http::{HeaderMap, HeaderName, Uri, request::Parts};
use portico_proto::{
    Error,
    access::{
        self,
        v1::{AccessRequestChange, WatchAccessRequestsRequest},
    },
    rest::Enumeration as _,
};
use tonic::{Response, Streaming};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Edge,
    problem::{Failure, Result},
    request::{RequestContext, only_line},
};

/// Time without an event after which a comment is sent, so that no proxy closes the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Time after which a browser reconnects when the stream has ended.
const RETRY: Duration = Duration::from_secs(2);

/// Tells nginx, and proxies that follow it, to hand on every event at once.
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(watch_access_requests))
}

/// The cursor of the last event seen: the header `Last-Event-ID`, which browsers send by themselves.
struct LastEventId(String);

impl FromRequestParts<Edge> for LastEventId {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> Result<Self> {
        refuse_parameters(&parts.uri)?;
        last_event_id(&parts.headers).map(Self).map_err(Into::into)
    }
}

/// A cursor in the query would be lost in silence, and the stream begin elsewhere.
fn refuse_parameters(address: &Uri) -> std::result::Result<(), Error> {
    let query = address.query().unwrap_or_default();
    let Some((name, _)) = url::form_urlencoded::parse(query.as_bytes()).next() else {
        return Ok(());
    };
    let message = format!("There is no `{name}` here. Resume with the header `Last-Event-ID`.");
    Err(Error::field(name, "field_unknown", message))
}

fn last_event_id(headers: &HeaderMap) -> std::result::Result<String, Error> {
    let Some(value) = only_line(headers, "Last-Event-ID")? else {
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
/// at the beginning. The first block has the id to resume with before anything happens. An id from before the portal was
/// restored is answered with an event `problem`, code `cursor_of_another_log`: read anew what you keep; the stream goes
/// on with what happens from now on. The stream ends when the session does.
#[utoipa::path(get, path = "/events", tag = "Events",
    params(("Last-Event-ID" = Option<String>, Header, description = "Id of the last event seen.")),
    responses((status = 200, body = AccessRequestChange, content_type = "text/event-stream")))]
async fn watch_access_requests(
    ctx: RequestContext,
    LastEventId(after): LastEventId,
) -> Result<impl IntoResponse> {
    let (user, _) = ctx.caller().require_user()?;
    let edge = ctx.edge();
    let open = edge.streams.open(user)?;
    let (changes, anew) = match changes(&ctx, after).await {
        Ok(changes) => (changes, None),
        Err(error) if error.code == access::CURSOR_OF_ANOTHER_LOG => {
            // A browser that is refused never comes back, so it is told within the stream.
            (changes(&ctx, String::new()).await?, Some(problem(error)))
        }
        Err(error) => return Err(error.into()),
    };
    let begin = stream::iter([beginning(&changes)].into_iter().chain(anew));
    let signed_out = edge.auth.clone().until_signed_out(ctx.credential().clone());
    let stopping = edge.deps.shutdown.clone().cancelled_owned();
    let ends = future::select(Box::pin(signed_out), Box::pin(stopping));
    let events = changes.into_inner().map(event).take_until(ends);
    let events = begin.chain(events).map(move |event| {
        // Counts for as long as the stream is open.
        let _ = &open;
        Ok::<_, Infallible>(event)
    });
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(([UNBUFFERED], sse))
}

async fn changes(
    ctx: &RequestContext,
    after: String,
) -> std::result::Result<Response<Streaming<AccessRequestChange>>, Error> {
    let request = ctx.request(WatchAccessRequestsRequest { after });
    Ok(ctx.access().watch_access_requests(request).await?)
}

/// A block with an id and without data is no event, but a browser that loses the connection before the first one resumes
/// with it, and so misses nothing (WHATWG HTML section 9.2.6).
fn beginning(changes: &Response<Streaming<AccessRequestChange>>) -> Event {
    let cursor = changes.metadata().get(access::CURSOR_HEADER);
    let event = match cursor.and_then(|cursor| cursor.to_str().ok()) {
        Some(cursor) => Event::default().id(cursor),
        None => Event::default(),
    };
    event.retry(RETRY).comment("connected")
}

fn event(change: std::result::Result<AccessRequestChange, tonic::Status>) -> Event {
    let written = match change {
        Ok(change) => Event::default()
            .id(&change.cursor)
            .event(change.step().as_word())
            .json_data(change),
        // The stream ends after it, and the browser comes back with its last cursor.
        Err(status) => return problem(Error::from(status)),
    };
    written.unwrap_or_else(|_| unreadable())
}

fn problem(error: Error) -> Event {
    let written = Event::default()
        .event("problem")
        .json_data(error.problem(""));
    written.unwrap_or_else(|_| unreadable())
}

fn unreadable() -> Event {
    Event::default().comment("unreadable")
}
