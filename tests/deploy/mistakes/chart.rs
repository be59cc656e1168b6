//! In the chart, and in the page about it.

use super::Mistake;

const CHART: &str = "deploy/helm/portico/Chart.yaml";
const VALUES: &str = "deploy/helm/portico/values.yaml";
const HELPERS: &str = "deploy/helm/portico/templates/_helpers.tpl";
const DEPLOYMENTS: &str = "deploy/helm/portico/templates/deployments.yaml";
const INGRESS: &str = "deploy/helm/portico/templates/ingress.yaml";
const MIGRATE: &str = "deploy/helm/portico/templates/migrate.yaml";
const MONITORING: &str = "deploy/helm/portico/templates/monitoring.yaml";
const POLICIES: &str = "deploy/helm/portico/templates/network-policies.yaml";
const SCALING: &str = "deploy/helm/portico/templates/scaling.yaml";
const SERVICES: &str = "deploy/helm/portico/templates/services.yaml";
const CLUSTER: &str = "docs/run/kubernetes.md";

pub const MISTAKES: &[Mistake] = &[
    (
        VALUES,
        "PORTICO_LOG_FORMAT: json",
        "PORTICO_LOGFORMAT: json",
        "PORTICO_LOGFORMAT: there is no such key",
    ),
    (
        VALUES,
        "PORTICO_SIGNUP: approval",
        "PORTICO_SIGNUP: yes please",
        "signup: must be one of",
    ),
    (VALUES, "replicas: 2", "replicas: 1", "1 replicas"),
    (
        VALUES,
        "terminationGracePeriodSeconds: 40",
        "terminationGracePeriodSeconds: 20",
        "has 20s to end",
    ),
    (VALUES, "{ port: 4222,", "{ port: 4223,", "no way to NATS"),
    (
        VALUES,
        "ports: [465, 587]",
        "ports: [25]",
        "notification: no way out at 465",
    ),
    (
        VALUES,
        "ingressNamespace: ingress",
        "ingressNamespace: web",
        "the ingress must reach what people use",
    ),
    (
        VALUES,
        "tlsSecret: portal-certificate",
        "tlsSecret: certificate",
        "no secret certificate",
    ),
    (
        VALUES,
        "keys: portico-keys",
        "keys: keys",
        "no secret \"keys\"",
    ),
    (
        HELPERS,
        "https://accounts:3002",
        "https://account:3002",
        "accounts does not listen at https://account:3002",
    ),
    (
        HELPERS,
        "runAsNonRoot: true",
        "runAsNonRoot: false",
        "runs as root",
    ),
    (
        HELPERS,
        "readOnlyRootFilesystem: true",
        "readOnlyRootFilesystem: false",
        "can write",
    ),
    (HELPERS, "drop: [ALL]", "drop: []", "has capabilities"),
    (HELPERS, "%s-%s", "%s.%s", "no secret \"catalog.database\""),
    (
        DEPLOYMENTS,
        "args: [run, {{ $name }}]",
        "args: [run, edge]",
        "does not run catalog",
    ),
    (
        DEPLOYMENTS,
        "args: [run, {{ $name }}]",
        "args: [run, \"{{ $name }}s\"]",
        "invalid value 'catalogs'",
    ),
    (
        DEPLOYMENTS,
        "path: /readyz",
        "path: /ready",
        "readinessProbe: no answer at /ready",
    ),
    (
        DEPLOYMENTS,
        "port: probes",
        "port: {{ eq $name \"edge\" | ternary \"http\" \"probes\" }}",
        "startupProbe: no probes at port 3000",
    ),
    (
        DEPLOYMENTS,
        "containerPort: 3003",
        "containerPort: 3004",
        "and names {3002, 3004}",
    ),
    (
        DEPLOYMENTS,
        "value: /secrets/nats/url",
        "value: /secrets/nats/nats_url",
        "/secrets/nats/nats_url is not there",
    ),
    (
        DEPLOYMENTS,
        "mountPath: /secrets/{{ $volume }}",
        "mountPath: /secret/{{ $volume }}",
        "/secrets/tls/ca.crt is not there",
    ),
    (
        DEPLOYMENTS,
        "configMapRef:\n                name: portico",
        "configMapRef:\n                name: settings",
        "no config map",
    ),
    (
        DEPLOYMENTS,
        "\"account\" \"portico\"",
        "\"account\" \"default\"",
        "no account",
    ),
    (
        DEPLOYMENTS,
        "{{- if not $service.autoscaling.enabled }}",
        "{{- if true }}",
        "has a number of its own",
    ),
    (
        DEPLOYMENTS,
        "maxSkew: 1\n          topologyKey: {{ $key }}",
        "maxSkew: 1\n          topologyKey: rack",
        "are not spread",
    ),
    (
        SERVICES,
        "targetPort: probes",
        "targetPort: probe",
        "service catalog: nothing listens",
    ),
    (
        SCALING,
        "minAvailable: 1",
        "minAvailable: 2",
        "no disruption budget",
    ),
    (
        SCALING,
        "name: {{ $name }}\n  minReplicas",
        "name: edge\n  minReplicas",
        "scales [\"Deployment\", \"edge\"]",
    ),
    (
        SCALING,
        "type: Resource",
        "type: Pods",
        "does not look at the processor",
    ),
    (
        MIGRATE,
        "args: [migrate]",
        "args: [migrate, --service, catalog]",
        "does not migrate every service",
    ),
    (
        MIGRATE,
        "PORTICO_DATABASE_URL_FILE",
        "PORTICO_DATABASE_FILE",
        "PORTICO_DATABASE_FILE: there is no such key",
    ),
    (
        MIGRATE,
        "hook-weight: \"0\"",
        "hook-weight: \"-2\"",
        "runs before its account",
    ),
    (
        MIGRATE,
        "hook-delete-policy: before-hook-creation,hook-succeeded",
        "hook-delete-policy: hook-succeeded",
        "the former one stays in the way",
    ),
    (
        MONITORING,
        "path: /metrics",
        "path: /metric",
        "no answer at /metric",
    ),
    (
        MONITORING,
        "honorLabels: true",
        "honorLabels: false",
        "overwrites our own labels",
    ),
    (
        MONITORING,
        "replacement: portico-$1",
        "replacement: $1",
        "do not know its job",
    ),
    (
        MONITORING,
        "port: probes",
        "port: calls",
        "edge: is scraped 0 times",
    ),
    (
        POLICIES,
        "\"registration\" (list \"access-request\")",
        "\"registration\" list",
        "no egress from registration to access-request",
    ),
    (
        POLICIES,
        "\"accounts\" list",
        "\"accounts\" (list \"catalog\")",
        "needless egress from accounts to catalog",
    ),
    (
        POLICIES,
        "policyTypes: [Ingress, Egress]",
        "policyTypes: [Ingress]",
        "no network policy that denies the rest",
    ),
    (
        INGRESS,
        "pathType: Prefix",
        "pathType: Exact",
        "no way to /login",
    ),
    (
        INGRESS,
        "name: http",
        "name: https",
        "no port https of edge",
    ),
    (
        INGRESS,
        "name: http",
        "name: probes",
        "leads to health and metrics",
    ),
    (
        CHART,
        "appVersion: \"0.1.0\"",
        "appVersion: \"0.0.9\"",
        "is not 0.1.0",
    ),
    (
        CLUSTER,
        "`portico-keys`",
        "`portico-key`",
        "no secret \"portico-keys\"",
    ),
];
