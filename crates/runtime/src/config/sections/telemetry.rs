//! What is told about a process while it runs.

use std::collections::HashMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use portico_vault::Secret;
use url::Url;

use super::super::reader::Reader;

/// Traces and metrics for a collector.
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// None: nothing is sent.
    pub collector: Option<Collector>,
    /// Share of the requests that are traced, from 0 to 1.
    pub sample_ratio: f64,
    /// How often numbers are sent.
    pub metrics_interval: Duration,
    /// None: it follows from what runs.
    pub service_name: Option<String>,
}

/// Takes OTLP over HTTP.
#[derive(Debug, Clone)]
pub struct Collector {
    /// Its address; the paths of the protocol come below it.
    pub endpoint: Url,
    /// For one call.
    pub timeout: Duration,
    headers: Vec<(String, Secret)>,
}

impl Telemetry {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        let endpoint = reader.url("telemetry.otlp_endpoint", &["http", "https"]);
        if endpoint.as_ref().is_some_and(|url| {
            url.query().is_some() || url.password().is_some() || !url.username().is_empty()
        }) {
            reader.problem(
                "telemetry.otlp_endpoint",
                "must have no user, password and query; credentials belong into telemetry.otlp_headers",
            );
        }
        let timeout = reader.duration("telemetry.otlp_timeout");
        let headers = headers(reader);
        Self {
            collector: endpoint.map(|endpoint| Collector {
                endpoint,
                timeout,
                headers,
            }),
            sample_ratio: reader.ratio("telemetry.sample_ratio"),
            metrics_interval: reader.duration("telemetry.metrics_interval"),
            service_name: reader.optional("telemetry.service_name"),
        }
    }
}

fn headers(reader: &mut Reader) -> Vec<(String, Secret)> {
    let key = "telemetry.otlp_headers";
    let mut headers = Vec::new();
    for header in reader.secrets(key) {
        let pair = header.expose().split_once('=');
        let valid = pair.filter(|(name, value)| {
            name.trim().parse::<HeaderName>().is_ok() && HeaderValue::from_str(value.trim()).is_ok()
        });
        match valid {
            Some((name, value)) => {
                headers.push((name.trim().to_owned(), Secret::new(value.trim())));
            }
            None => reader.problem(
                key,
                "must be HTTP headers, each name=value, such as authorization=Bearer ...",
            ),
        }
    }
    headers
}

impl Collector {
    pub(crate) fn traces(&self) -> String {
        self.below("v1/traces")
    }

    pub(crate) fn metrics(&self) -> String {
        self.below("v1/metrics")
    }

    pub(crate) fn headers(&self) -> HashMap<String, String> {
        let headers = self.headers.iter();
        headers
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect()
    }

    fn below(&self, path: &str) -> String {
        let endpoint = self.endpoint.as_str().trim_end_matches('/');
        format!("{endpoint}/{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocols_paths_come_below_the_address() {
        for (endpoint, traces) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            (
                "https://o.example/otlp/",
                "https://o.example/otlp/v1/traces",
            ),
        ] {
            let collector = Collector {
                endpoint: endpoint.parse().unwrap(),
                timeout: Duration::from_secs(1),
                headers: Vec::new(),
            };
            assert_eq!(collector.traces(), traces);
        }
    }
}
