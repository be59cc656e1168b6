//! What is counted where it happens.

use std::sync::LazyLock;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, MeterProvider as _};

use super::{METER, provider};

/// Upper bounds of durations, in seconds: from a call within the process to a provider that hardly answers.
const SECONDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The instruments that several parts of a process use.
pub struct Instruments {
    pub(crate) http_request_duration: Histogram<f64>,
    pub(crate) grpc_request_duration: Histogram<f64>,
    pub(crate) provider_call_duration: Histogram<f64>,
    pub(crate) gateway_call_duration: Histogram<f64>,
    registrations: Counter<u64>,
    mails: Counter<u64>,
}

impl Instruments {
    /// What became of a step of an OAuth client, each a word from a small set.
    pub fn registration(
        &self,
        provider_type: &'static str,
        step: &'static str,
        outcome: &'static str,
    ) {
        let labels = [
            KeyValue::new("provider_type", provider_type),
            KeyValue::new("step", step),
            KeyValue::new("outcome", outcome),
        ];
        self.registrations.add(1, &labels);
    }

    /// What became of a try to send a mail, each a word from a small set.
    pub fn mail(&self, template: &'static str, outcome: &'static str) {
        let labels = [
            KeyValue::new("template", template),
            KeyValue::new("outcome", outcome),
        ];
        self.mails.add(1, &labels);
    }
}

/// Those of this process.
pub fn instruments() -> &'static Instruments {
    static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(Instruments::new);
    &INSTRUMENTS
}

impl Instruments {
    fn new() -> Self {
        let meter = provider().meter(METER);
        let seconds = |name, help| {
            meter
                .f64_histogram(name)
                .with_description(help)
                .with_unit("s")
                .with_boundaries(SECONDS.to_vec())
                .build()
        };
        let counter = |name, help| meter.u64_counter(name).with_description(help).build();
        Self {
            http_request_duration: seconds(
                "portico_http_request_duration_seconds",
                "Time until the answer began, by route, method and status.",
            ),
            grpc_request_duration: seconds(
                "portico_grpc_request_duration_seconds",
                "Time until the answer began, by answering service, method and status code.",
            ),
            provider_call_duration: seconds(
                "portico_provider_call_duration_seconds",
                "Time of a call to an identity provider, by its type, the step and the outcome.",
            ),
            gateway_call_duration: seconds(
                "portico_gateway_call_duration_seconds",
                "Time of a call to an API gateway, by its type and the outcome.",
            ),
            registrations: counter(
                "portico_registrations_total",
                "Steps of OAuth clients, by type of the identity provider, step and outcome.",
            ),
            mails: counter(
                "portico_mails_total",
                "Tries to send a mail, by template and outcome.",
            ),
        }
    }
}
