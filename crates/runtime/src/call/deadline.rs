//! Deadlines of gRPC calls, and answers that end before their service ends them.

use std::{future::Future, pin::Pin, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use futures::{FutureExt as _, StreamExt as _, stream};
use http::HeaderMap;
use http_body::Frame;
use http_body_util::{BodyStream, StreamBody};
use portico_proto::Error;
use tonic::Status;

use crate::Clock;

const HEADER: &str = "grpc-timeout";
/// Until an answer begins, where the caller does not say less. A connection test of a slow provider may take most of it.
const BEGIN: Duration = Duration::from_secs(60);
/// For all of a reflection, which a client keeps open for as long as it has questions. Anybody may ask.
const REFLECTION: Duration = Duration::from_secs(60);

/// Middleware: a call ends with `DEADLINE_EXCEEDED` when the time that its caller gave it is over, also while it streams
/// (`grpc-timeout` of gRPC over HTTP/2).
pub async fn keep(State(clock): State<Clock>, request: Request, next: Next) -> Response {
    let given = match given(request.headers()) {
        Ok(given) => given,
        Err(error) => return Status::from(error).into_http(),
    };
    let reflection = request.uri().path().starts_with("/grpc.reflection.");
    let whole = given.or(reflection.then_some(REFLECTION));
    let mut over = whole.map(|time| {
        let clock = clock.clone();
        Box::pin(async move { clock.sleep(time).await })
    });
    let given = async {
        match &mut over {
            Some(over) => over.await,
            None => std::future::pending().await,
        }
    };
    let response = tokio::select! {
        response = next.run(request) => response,
        () = given => return exceeded().into_http(),
        () = clock.sleep(BEGIN) => return exceeded().into_http(),
    };
    match over {
        Some(over) => until(response, over.map(|()| exceeded())),
        None => response,
    }
}

fn exceeded() -> Status {
    Status::deadline_exceeded("The time that the caller gave this call is over.")
}

/// At most 8 digits and a unit; it is positive.
fn given(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get(HEADER) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    parse(text).map(Some).ok_or_else(|| {
        Error::field(
            HEADER,
            "grpc_timeout_invalid",
            "`grpc-timeout` must be a positive number of at most 8 digits and a unit: H, M, S, m, u or n.",
        )
    })
}

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok().filter(|number| *number > 0)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// An answer that ends with a status as soon as there is one.
///
/// An answer that is a status already stays as it is: it has no body, and with one that may still come it could not be
/// sent as headers only, where clients look for its status.
pub fn until(response: Response, over: impl Future<Output = Status> + Send + 'static) -> Response {
    if response.headers().contains_key("grpc-status") {
        return response;
    }
    response.map(|body| ended_by(body, Box::pin(over)))
}

fn ended_by(body: Body, over: Pin<Box<impl Future<Output = Status> + Send + 'static>>) -> Body {
    let begin = Some((BodyStream::new(body), over));
    let frames = stream::unfold(begin, |state| async move {
        let (mut body, mut over) = state?;
        tokio::select! {
            frame = body.next() => frame.map(|frame| (frame, Some((body, over)))),
            status = &mut over => {
                let mut trailers = HeaderMap::new();
                // Fails only for words that no header can hold, and these are ours.
                let _ = status.add_header(&mut trailers);
                Some((Ok(Frame::trailers(trailers)), None))
            }
        }
    });
    Body::new(StreamBody::new(frames))
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware, routing::post};
    use http_body::Body as _;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    #[test]
    fn timeouts_are_digits_and_a_unit() {
        assert_eq!(parse("700m"), Some(Duration::from_millis(700)));
        assert_eq!(parse("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(parse("99999999S"), Some(Duration::from_secs(99_999_999)));
        for wrong in [
            "",
            "m",
            "5",
            "123456789m",
            "1x",
            "-1S",
            "+1S",
            "1.5S",
            "1ß",
            "0n",
            "00S",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    /// `/silent` never answers, `/stream` begins and never ends, `/refused` is a status only.
    async fn answered(path: &str, timeout: &str, clock: &Clock) -> Response {
        let stream = || async {
            Body::from_stream(stream::pending::<Result<bytes::Bytes, std::io::Error>>())
        };
        let refused = || async { Status::unauthenticated("not signed in").into_http::<Body>() };
        let router: Router = Router::new()
            .route("/silent", post(std::future::pending::<()>))
            .route("/stream", post(stream))
            .route("/refused", post(refused))
            .layer(middleware::from_fn_with_state(clock.clone(), keep));
        let mut request = Request::post(path);
        if !timeout.is_empty() {
            request = request.header(HEADER, timeout);
        }
        router
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap()
    }

    fn status(headers: &HeaderMap) -> &str {
        headers["grpc-status"].to_str().unwrap()
    }

    #[tokio::test]
    async fn a_call_ends_when_its_time_is_over() {
        let (clock, time) = Clock::manual(jiff::Timestamp::UNIX_EPOCH);
        for (timeout, last) in [("700m", 700), ("", 60_000)] {
            let mut silent = Box::pin(answered("/silent", timeout, &clock));
            assert!(futures::poll!(&mut silent).is_pending());
            time.advance(Duration::from_millis(last - 1));
            assert!(futures::poll!(&mut silent).is_pending());
            time.advance(Duration::from_millis(1));
            let response = silent.await;
            assert_eq!(status(response.headers()), "4", "{timeout}");
            assert!(response.body().is_end_stream());
        }
        let wrong = answered("/silent", "soon", &clock).await;
        assert_eq!(status(wrong.headers()), "3");
    }

    #[tokio::test]
    async fn a_stream_ends_when_its_time_is_over_and_goes_on_without_one() {
        let (clock, time) = Clock::manual(jiff::Timestamp::UNIX_EPOCH);
        let limited = answered("/stream", "700m", &clock).await;
        let mut free = answered("/stream", "", &clock).await.into_body();
        let mut body = limited.into_body();
        assert!(futures::poll!(body.frame()).is_pending());
        time.advance(Duration::from_hours(1));
        let trailers = body.frame().await.unwrap().unwrap().into_trailers();
        assert_eq!(status(&trailers.unwrap()), "4");
        assert!(body.frame().await.is_none());
        assert!(futures::poll!(free.frame()).is_pending());
    }

    #[tokio::test]
    async fn an_answer_that_is_a_status_stays_one() {
        let (clock, _) = Clock::manual(jiff::Timestamp::UNIX_EPOCH);
        let refused = answered("/refused", "700m", &clock).await;
        assert_eq!(status(refused.headers()), "16");
        assert!(refused.body().is_end_stream());
    }
}
