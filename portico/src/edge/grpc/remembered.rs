//! Calls that read the catalogue, answered from memory as over REST.

use std::{convert::Infallible, future::ready};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use portico_proto::{Error, Kind};
use portico_runtime::{Caller, ServiceName};
use tonic::{Status, body::Body};

use super::{forwarded, message_too_large};
use crate::edge::{
    Edge,
    remembered::{Answer, Asked, Question},
};

/// The methods whose answers depend on nothing but the message and whom the caller belongs to.
pub(super) const READ: [&str; 4] = [
    "/portico.catalog.v1.CatalogService/GetProduct",
    "/portico.catalog.v1.CatalogService/ListProducts",
    "/portico.catalog.v1.CatalogService/GetPlan",
    "/portico.catalog.v1.CatalogService/ListPlans",
];
/// No service takes a larger message.
const LARGEST: usize = 4 << 20;

/// The remembered answer to the same message, or a new one.
pub(super) async fn answer(
    edge: &Edge,
    caller: &Caller,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let (parts, body) = request.into_parts();
    let message = Limited::new(body, LARGEST)
        .collect()
        .await
        .map_err(|error| match error.is::<LengthLimitError>() {
            true => message_too_large(),
            false => Error::new(
                Kind::Invalid,
                "request_unreadable",
                "The request broke off.",
            ),
        })?;
    let message = message.to_bytes();
    let question = Question::of(caller, &parts.uri, &message);
    let asked = Asked::catalogue(&edge.deps);
    if let Some(question) = &question
        && let Some(known) = edge.catalogue.get(question, asked)
    {
        return Ok(response(known));
    }
    let request = Request::from_parts(parts, Body::new(Full::new(message)));
    let (parts, body) = forwarded(edge, ServiceName::Catalog, request)
        .await?
        .into_parts();
    let body = body.collect().await?;
    let answer = Answer {
        headers: parts.headers,
        trailers: body.trailers().cloned().unwrap_or_default(),
        body: body.to_bytes(),
    };
    if let Some(question) = question
        && succeeded(&answer.trailers)
    {
        edge.catalogue.put(question, asked, answer.clone());
    }
    Ok(response(answer))
}

/// A refusal has its status in the headers, as an answer without messages has.
fn succeeded(trailers: &HeaderMap) -> bool {
    trailers
        .get("grpc-status")
        .is_some_and(|status| status == "0")
}

fn response(answer: Answer) -> Response<Body> {
    let body: Full<Bytes> = Full::new(answer.body);
    let mut response = Response::new(match answer.trailers.is_empty() {
        // A status in the headers counts only where nothing follows, and a body with trailers does not know that.
        true => Body::new(body),
        false => Body::new(body.with_trailers(ready(Some(Ok::<_, Infallible>(answer.trailers))))),
    });
    *response.headers_mut() = answer.headers;
    response
}
