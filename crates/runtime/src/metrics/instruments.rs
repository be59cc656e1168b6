//! What is counted where it happens.

use std::sync::LazyLock;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, MeterProvider as _};

use super::{METER, provider};
use crate::ServiceName;

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
    entitlements: Counter<u64>,
    mails: Counter<u64>,
    connections_refused: Counter<u64>,
    sign_ins: Counter<u64>,
    identities_refused: Counter<u64>,
}

/// What became of a try to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// A session began.
    Done,
    /// The password was wrong.
    WrongPassword,
    /// There is no such account.
    UnknownAccount,
    /// It was not tried, because too many have failed.
    Limited,
}

/// Why the identity of a call between processes was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityRefused {
    /// The clocks differ.
    Clock,
    /// The key is not known.
    Key,
}

impl IdentityRefused {
    const ALL: [Self; 2] = [Self::Clock, Self::Key];

    fn labels(self, peer: &'static str) -> [KeyValue; 2] {
        let reason = match self {
            Self::Clock => "clock",
            Self::Key => "key",
        };
        [KeyValue::new("reason", reason), KeyValue::new("peer", peer)]
    }
}

/// What became of a connection for which there was no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Its address has as many as it may.
    Address,
    /// The listener has.
    All,
    /// It took the place of one that waited.
    Replaced,
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

    /// What became of a try to bring what an access request needs to its gateways: `credential` is `oauth_client` or
    /// `api_key`, `outcome` a word from a small set.
    pub fn entitlement(&self, credential: &'static str, outcome: &'static str) {
        let labels = [
            KeyValue::new("credential", credential),
            KeyValue::new("outcome", outcome),
        ];
        self.entitlements.add(1, &labels);
    }

    /// A try to sign in.
    pub fn sign_in(&self, outcome: SignIn) {
        let outcome = match outcome {
            SignIn::Done => "done",
            SignIn::WrongPassword => "wrong_password",
            SignIn::UnknownAccount => "unknown_account",
            SignIn::Limited => "limited",
        };
        self.sign_ins.add(1, &[KeyValue::new("outcome", outcome)]);
    }

    /// A connection too many.
    pub fn connection_refused(&self, why: Refused) {
        let why = match why {
            Refused::Address => "address",
            Refused::All => "all",
            Refused::Replaced => "replaced",
        };
        self.connections_refused
            .add(1, &[KeyValue::new("reason", why)]);
    }

    /// A call that `peer`, a service or the edge, made with an identity that was not taken.
    pub fn identity_refused(&self, why: IdentityRefused, peer: &'static str) {
        self.identities_refused.add(1, &why.labels(peer));
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
        let identities_refused = counter(
            "portico_identity_refused_total",
            "Calls of other processes with an identity that was not taken, by reason and calling service.",
        );
        // From zero, or an alert on growth would not see the first one.
        for why in IdentityRefused::ALL {
            let services = ServiceName::ALL.map(ServiceName::as_str);
            for peer in services.into_iter().chain(["edge", "unknown"]) {
                identities_refused.add(0, &why.labels(peer));
            }
        }
        Self {
            identities_refused,
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
            entitlements: counter(
                "portico_entitlements_total",
                "Tries to bring the scopes or keys of access requests to gateways, by credential and outcome.",
            ),
            mails: counter(
                "portico_mails_total",
                "Tries to send a mail, by template and outcome.",
            ),
            sign_ins: counter("portico_sign_ins_total", "Tries to sign in, by outcome."),
            connections_refused: counter(
                "portico_connections_refused_total",
                "Connections for which there was no room, by reason; `replaced`: in the place of one that waited.",
            ),
        }
    }
}
