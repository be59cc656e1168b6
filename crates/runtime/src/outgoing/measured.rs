//! Span and duration metric of an outgoing call.
//!
//! The trace context is not sent along. The other side belongs to somebody else as a rule: it would learn which of
//! its calls belong together and could hand our ids to third parties, and its own spans would not reach our
//! collector anyway.

use std::time::Instant;

use opentelemetry::KeyValue;
use portico_eventstore::trace;
use tracing::{Span, field::Empty};

use super::{OutgoingError, OutgoingRequest, OutgoingResponse};
use crate::metrics::instruments;

/// Kind of target, for traces and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// An identity provider of this type.
    Provider(&'static str),
    /// An API gateway of this type.
    Gateway(&'static str),
    /// An address that is only inspected, such as one that somebody types in.
    Other,
}

impl Peer {
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Provider(kind) => ("provider", kind),
            Self::Gateway(kind) => ("gateway", kind),
            Self::Other => ("other", "other"),
        }
    }
}

pub(super) struct Measured {
    pub(super) span: Span,
    peer: Peer,
    step: &'static str,
    began: Instant,
}

impl Measured {
    /// Names the host, not the path: it may hold a client's id or worse.
    pub(super) fn begin(peer: Peer, request: &OutgoingRequest) -> Self {
        let (what, kind) = peer.names();
        let step = request.step;
        let span = tracing::info_span!(
            target: trace::EXPORTED,
            "outgoing",
            otel.name = format_args!("{what} {kind} {step}"),
            otel.kind = "client",
            otel.status_code = Empty,
            portico.peer = what,
            portico.peer.type = kind,
            portico.step = step,
            http.request.method = %request.method,
            server.address = request.url.host_str(),
            server.port = request.url.port_or_known_default(),
            http.response.status_code = Empty,
            error.type = Empty,
        );
        Self {
            span,
            peer,
            step,
            began: Instant::now(),
        }
    }

    pub(super) fn end(self, done: &Result<OutgoingResponse, OutgoingError>) {
        let outcome = match done {
            Ok(answer) => {
                let status = answer.status.as_u16();
                self.span.record("http.response.status_code", status);
                match status {
                    200..=299 => "2xx",
                    300..=399 => "3xx",
                    400..=499 => "4xx",
                    500..=599 => "5xx",
                    _ => "other",
                }
            }
            Err(error) => {
                let word = error.word();
                self.span.record("error.type", word);
                self.span.record("otel.status_code", "ERROR");
                word
            }
        };
        let seconds = self.began.elapsed().as_secs_f64();
        let outcome = KeyValue::new("outcome", outcome);
        let step = KeyValue::new("step", self.step);
        match self.peer {
            Peer::Provider(kind) => instruments().provider_call_duration.record(
                seconds,
                &[KeyValue::new("provider_type", kind), step, outcome],
            ),
            Peer::Gateway(kind) => instruments()
                .gateway_call_duration
                .record(seconds, &[KeyValue::new("gateway_type", kind), outcome]),
            Peer::Other => {}
        }
    }
}
