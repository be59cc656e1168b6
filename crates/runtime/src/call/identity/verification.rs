//! The identity of a call, verified in front of every service.

use std::time::Duration;

use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::HeaderValue;
use portico_proto::Error;
use tonic::Status;

use super::{Caller, HEADER, IdentityKey, key::Refusal};
use crate::{
    call::authorization::Peer,
    channel::NOT_TAKEN,
    metrics::{IdentityRefused, instruments},
    process::Seldom,
};

/// A process that is refused calls many times a second.
static SAID: Seldom = Seldom::every(Duration::from_secs(10));

/// Axum middleware of every service: an invalid identity is refused, a missing one is anonymous.
pub async fn verify(State(key): State<IdentityKey>, mut request: Request, next: Next) -> Response {
    let caller = match request.headers().get(HEADER).map(HeaderValue::to_str) {
        None => Ok(Caller::Anonymous),
        Some(Ok(identity)) => key.verify(identity),
        Some(Err(_)) => Err(Refusal::Invalid),
    };
    match caller {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refuse(refusal, &key, &request),
    }
}

fn refuse(refusal: Refusal, key: &IdentityKey, request: &Request) -> Response {
    report(&refusal, key, request);
    let not_taken = refusal != Refusal::Invalid;
    let status = Status::from(Error::from(refusal));
    let mut response = status.into_http::<axum::body::Body>().into_response();
    if not_taken {
        let yes = HeaderValue::from_static("1");
        response.headers_mut().insert(NOT_TAKEN, yes);
    }
    response
}

/// In the log and as a number, where it is the fault of an installation.
fn report(refusal: &Refusal, key: &IdentityKey, request: &Request) {
    let peer = request.extensions().get::<Peer>();
    let process = peer.map_or("unknown", Peer::process);
    let (reason, why) = match refusal {
        Refusal::Invalid => return,
        Refusal::UnknownKey(_) => (IdentityRefused::Key, "key"),
        Refusal::Clock(_) => (IdentityRefused::Clock, "clock"),
    };
    instruments().identity_refused(reason, process);
    let Some(unsaid) = SAID.say(&format!("{process} {why}")) else {
        return;
    };
    let address = request
        .extensions()
        .get::<ConnectInfo<std::net::SocketAddr>>();
    let address = address.map(|ConnectInfo(address)| address.to_string());
    match refusal {
        Refusal::Invalid => {}
        Refusal::UnknownKey(id) => {
            let known: Vec<&str> = key.ids().collect();
            tracing::error!(
                peer = process, ?address, key = ?id, ?known, unsaid,
                "the calls of {process} are refused: signed with an identity key that is not known here"
            );
        }
        Refusal::Clock(seconds) => tracing::error!(
            peer = process,
            ?address,
            seconds,
            unsaid,
            "the calls of {process} are refused: signed {seconds} s away from the clock here; the clock of this process, of \
             {process} or, where it hands on somebody's identity, of accounts is wrong"
        ),
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware, routing::post};
    use portico_proto::Kind;
    use tonic::Code;
    use tower::ServiceExt as _;

    use super::*;
    use crate::Clock;

    fn key(byte: u8, second: i64) -> IdentityKey {
        let now = jiff::Timestamp::from_second(second).unwrap();
        IdentityKey::new(&[byte; 32], Clock::fixed(now))
    }

    /// What a service says to the identity that another process has signed.
    async fn answer(signed: Option<String>) -> (Error, bool) {
        let router = Router::new()
            .route(
                "/",
                post(async || Status::ok("").into_http::<axum::body::Body>()),
            )
            .layer(middleware::from_fn_with_state(key(1, 1000), verify));
        let mut request = Request::post("/");
        if let Some(signed) = signed {
            request = request.header(HEADER, signed);
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        if status.code() == Code::Ok {
            let taken = Error::new(Kind::Internal, "taken", "");
            return (taken, response.headers().contains_key(NOT_TAKEN));
        }
        (status.into(), response.headers().contains_key(NOT_TAKEN))
    }

    #[tokio::test]
    async fn clock_and_key_are_no_reason_to_sign_in_again_and_another_replica_may_be_asked() {
        let signed = |byte, second| key(byte, second).sign(&Caller::service("edge"));
        for (signed, kind, code, not_taken) in [
            (signed(1, 1000), Kind::Internal, "taken", false),
            (None, Kind::Internal, "taken", false),
            (signed(1, 1006), Kind::Unavailable, "clock_differs", true),
            (signed(1, 900), Kind::Unavailable, "clock_differs", true),
            (
                signed(2, 1000),
                Kind::Unavailable,
                "identity_key_unknown",
                true,
            ),
            (
                Some("nonsense".to_owned()),
                Kind::Unauthenticated,
                "unauthenticated",
                false,
            ),
        ] {
            let (error, marked) = answer(signed).await;
            assert_eq!(
                (error.kind, error.code.as_ref(), marked),
                (kind, code, not_taken)
            );
        }
    }
}
