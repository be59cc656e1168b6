//! Every check finds what it is for: a mistake is put into a copy of the files, and must be told.

use crate::{CHECKS, files::Repository, problems::Problems};

/// A file, what is replaced in it by what, and words of the problem that must be told.
type Mistake = (&'static str, &'static str, &'static str, &'static str);

const COMPOSE: &str = "docker-compose.yml";
const DOCKERFILE: &str = "deploy/Dockerfile";
const CATALOG: &str = "deploy/kubernetes/base/catalog.yaml";
const CONFIG: &str = "deploy/kubernetes/base/config.yaml";
const MIGRATE: &str = "deploy/kubernetes/base/migrate.yaml";
const POLICIES: &str = "deploy/kubernetes/base/network-policies.yaml";
const OVERLAY: &str = "deploy/kubernetes/overlays/example/kustomization.yaml";
const INGRESS: &str = "deploy/kubernetes/overlays/example/ingress.yaml";

const MISTAKES: &[Mistake] = &[
    // What the program is told.
    (
        COMPOSE,
        "PORTICO_KEK_FILE:",
        "PORTICO_KEK_FILES:",
        "PORTICO_KEK_FILES: there is no such key",
    ),
    (
        COMPOSE,
        "PORTICO_SHUTDOWN_NOTICE: 5s",
        "PORTICO_SHUTDOWN_NOTICE: soon",
        "shutdown.notice: must be",
    ),
    (
        COMPOSE,
        "PORTICO_SERVICES_ACCOUNTS: https:",
        "PORTICO_SERVICES_ACCOUNTS: http:",
        "must begin with https://",
    ),
    (
        COMPOSE,
        "      PORTICO_NATS_URL_FILE: /run/secrets/nats_url\n",
        "",
        "nats.url: is needed",
    ),
    (
        COMPOSE,
        "command: [run, access-request]",
        "command: [run, access_request]",
        "invalid value 'access_request'",
    ),
    (
        COMPOSE,
        "command: [migrate]",
        "command: [migrate, --all]",
        "unexpected argument '--all'",
    ),
    (
        COMPOSE,
        "[CMD, /portico, healthcheck,",
        "[CMD, /portico, health,",
        "unrecognized subcommand 'health'",
    ),
    (
        COMPOSE,
        "[CMD, /portico, healthcheck,",
        "[CMD, /bin/portico, healthcheck,",
        "no healthcheck by the program",
    ),
    (COMPOSE, "3003/readyz", "3003/ready", "no answer at /ready"),
    (
        COMPOSE,
        "3003/readyz",
        "3002/readyz",
        "no probes at port 3002",
    ),
    (
        COMPOSE,
        "PORTICO_SERVICES_CATALOG: https://catalog:3002",
        "PORTICO_SERVICES_CATALOG: https://catalog:3003",
        "catalog does not listen at https://catalog:3003",
    ),
    (
        COMPOSE,
        "smtp://mail:1025",
        "smtp://mailer:1025",
        "no container mailer",
    ),
    (
        COMPOSE,
        "PORTICO_ALLOW_PRIVATE_ADDRESSES: keycloak:",
        "PORTICO_ALLOW_PRIVATE_ADDRESSES: keycloack:",
        "no container keycloack",
    ),
    (
        COMPOSE,
        "command: [run, notification]",
        "command: [run, catalog]",
        "no container runs notification",
    ),
    (
        COMPOSE,
        "stop_grace_period: 40s",
        "stop_grace_period: 20s",
        "has 20s to end",
    ),
    // What it refers to.
    (
        COMPOSE,
        "postgres: { condition: service_healthy }",
        "database: { condition: service_healthy }",
        "depends on database",
    ),
    (
        COMPOSE,
        "nats: { condition: service_healthy }",
        "mail: { condition: service_healthy }",
        "mail never becomes service_healthy",
    ),
    (
        COMPOSE,
        "identity_key: { file: deploy/compose/secrets/identity_key }",
        "identity_key: { file: deploy/compose/secrets/identity }",
        "nothing makes deploy/compose/secrets/identity",
    ),
    (
        COMPOSE,
        "{ source: edge_key, target: tls_key }",
        "{ source: edges_key, target: tls_key }",
        "no secret edges_key",
    ),
    (
        COMPOSE,
        "{ source: edge_key, target: tls_key }",
        "{ source: edge_key, target: key }",
        "/run/secrets/tls_key is not there",
    ),
    (
        COMPOSE,
        "./deploy/postgres/roles.sh:",
        "./postgres/role.sh:",
        "no volume or file ./postgres/role.sh",
    ),
    (
        COMPOSE,
        "env_file: [deploy/compose/secrets/nats.env]",
        "env_file: [deploy/compose/nats.env]",
        "nothing makes deploy/compose/nats.env",
    ),
    (
        COMPOSE,
        "dockerfile: deploy/Dockerfile",
        "dockerfile: Dockerfile",
        "no Dockerfile",
    ),
    (
        COMPOSE,
        "networks: [portico]\n    environment:\n      POSTGRES_USER",
        "networks: [inner]\n    environment:\n      POSTGRES_USER",
        "no network inner",
    ),
    (
        COMPOSE,
        "127.0.0.1:3001:3001",
        "127.0.0.1:3001:3007",
        "nothing listens at 127.0.0.1:3001:3007",
    ),
    (
        COMPOSE,
        "127.0.0.1:8025:8025",
        "127.0.0.1:3000:8025",
        "both want 127.0.0.1:3000",
    ),
    (
        COMPOSE,
        "127.0.0.1:8025:8025",
        "8025:8025",
        "open to other machines",
    ),
    (
        COMPOSE,
        "restart: \"no\"",
        "restrat: \"no\"",
        "unknown field `restrat`",
    ),
    (
        COMPOSE,
        "cap_drop: [ALL]",
        "cap_drop: []",
        "has capabilities",
    ),
    (
        COMPOSE,
        "nats:2.12-alpine",
        "nats:latest",
        "nats:latest has no fixed tag",
    ),
    (
        COMPOSE,
        "keycloak/keycloak:26.3",
        "keycloak/keycloak",
        "no fixed tag",
    ),
    // The image.
    (
        DOCKERFILE,
        "PORTICO_GRPC_LISTEN=0.0.0.0:3001",
        "PORTICO_GRPC_LISTEN=127.0.0.1:3001",
        "127.0.0.1:3001 cannot be reached",
    ),
    (
        DOCKERFILE,
        "USER 65532:65532",
        "USER root",
        "the user must be a number",
    ),
    (
        DOCKERFILE,
        "BASE=rust:1.95-slim-bookworm\n",
        "BASE=rust:latest\n",
        "rust:latest has no fixed tag",
    ),
    (
        DOCKERFILE,
        "EXPOSE 3000 3001",
        "EXPOSE 3001",
        "3000 is not exposed",
    ),
    // Kubernetes.
    (
        CONFIG,
        "PORTICO_LOG_FORMAT: json",
        "PORTICO_LOGFORMAT: json",
        "PORTICO_LOGFORMAT: there is no such key",
    ),
    (
        CONFIG,
        "PORTICO_SIGNUP: approval",
        "PORTICO_SIGNUP: yes please",
        "signup: must be one of",
    ),
    (
        CONFIG,
        "https://accounts:3002",
        "https://account:3002",
        "accounts does not listen at https://account:3002",
    ),
    (
        CATALOG,
        "args: [run, catalog]",
        "args: [run, catalogue]",
        "invalid value 'catalogue'",
    ),
    (
        CATALOG,
        "args: [run, catalog]",
        "args: [run, edge]",
        "does not run catalog",
    ),
    (
        CATALOG,
        "path: /readyz",
        "path: /ready",
        "readinessProbe: no answer at /ready",
    ),
    (
        CATALOG,
        "              port: probes\n            periodSeconds: 2",
        "              port: calls\n            periodSeconds: 2",
        "startupProbe: no probes at port 3002",
    ),
    (
        CATALOG,
        "containerPort: 3003",
        "containerPort: 3004",
        "and names {3002, 3004}",
    ),
    (CATALOG, "replicas: 2", "replicas: 1", "1 replicas"),
    (
        CATALOG,
        "minAvailable: 1",
        "minAvailable: 2",
        "no disruption budget",
    ),
    (
        CATALOG,
        "runAsNonRoot: true",
        "runAsNonRoot: false",
        "runs as root",
    ),
    (
        CATALOG,
        "readOnlyRootFilesystem: true",
        "readOnlyRootFilesystem: false",
        "can write",
    ),
    (CATALOG, "drop: [ALL]", "drop: []", "has capabilities"),
    (
        CATALOG,
        "terminationGracePeriodSeconds: 40",
        "terminationGracePeriodSeconds: 20",
        "has 20s to end",
    ),
    (
        CATALOG,
        "secretName: catalog-nats",
        "secretName: catalog-bus",
        "no secret \"catalog-bus\"",
    ),
    (
        CATALOG,
        "value: /secrets/nats/url",
        "value: /secrets/nats/nats_url",
        "/secrets/nats/nats_url is not there",
    ),
    (
        CATALOG,
        "mountPath: /secrets/tls",
        "mountPath: /secrets/certificate",
        "/secrets/tls/ca.crt is not there",
    ),
    (
        CATALOG,
        "            name: portico\n          env:",
        "            name: settings\n          env:",
        "no config map",
    ),
    (
        CATALOG,
        "serviceAccountName: portico",
        "serviceAccountName: default",
        "no account",
    ),
    (
        CATALOG,
        "prometheus.io/port: \"3003\"",
        "prometheus.io/port: \"3002\"",
        "prometheus.io: no probes at port 3002",
    ),
    (
        CATALOG,
        "targetPort: probes",
        "targetPort: probe",
        "service catalog: nothing listens",
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
        POLICIES,
        "    matchLabels:\n      app.kubernetes.io/name: portico\n      app.kubernetes.io/component: catalog\n",
        "    matchLabels:\n      app.kubernetes.io/component: catalogue\n",
        "catalog: no network policy",
    ),
    (
        POLICIES,
        "        - { port: 4222, protocol: TCP }",
        "        - { port: 4223, protocol: TCP }",
        "no way to NATS",
    ),
    (
        POLICIES,
        "- { port: 465, protocol: TCP }",
        "- { port: 25, protocol: TCP }",
        "notification: no way out at 465",
    ),
    (
        POLICIES,
        "component: notification\n      ports:",
        "component: accounts\n      ports:",
        "needless ingress from accounts",
    ),
    (
        POLICIES,
        "kubernetes.io/metadata.name: ingress",
        "kubernetes.io/metadata.name: web",
        "the ingress is shut out",
    ),
    (
        POLICIES,
        "  podSelector: {}\n  policyTypes: [Ingress, Egress]",
        "  podSelector: {}\n  policyTypes: [Ingress]",
        "no network policy that denies the rest",
    ),
    (
        OVERLAY,
        "newTag: 0.1.0",
        "newTag: latest",
        "portico:latest has no fixed tag",
    ),
    (
        OVERLAY,
        "value: migrate-0-1-0",
        "value: migrate-0-0-9",
        "is not named after the release",
    ),
    (
        OVERLAY,
        "/data/PORTICO_PUBLIC_URL",
        "/data/PORTICO_URL",
        "cannot replace /data/PORTICO_URL",
    ),
    (
        OVERLAY,
        "  - ingress.yaml\n",
        "",
        "ingress.yaml is not among the resources",
    ),
    (
        INGRESS,
        "name: http",
        "name: https",
        "no port https of edge",
    ),
    (
        INGRESS,
        "secretName: portal-certificate",
        "secretName: certificate",
        "no secret certificate",
    ),
    // The rest.
    (
        "deploy/README.md",
        "`portico-keys`",
        "`portico-key`",
        "no secret \"portico-keys\"",
    ),
    (
        "deploy/README.md",
        "`portico relay`",
        "`portico relais`",
        "unrecognized subcommand 'relais'",
    ),
    (
        "docs/run/operating.md",
        "portico parked drop ",
        "portico parked delete ",
        "unrecognized subcommand 'delete'",
    ),
    (
        "deploy/postgres/roles.sh",
        "for service in catalog ",
        "for service in catalogue ",
        "roles of",
    ),
    (
        "deploy/nats/nats-server.conf",
        "PORTICO_NATS_CREDENTIALS_FILE",
        "PORTICO_NATS_CREDS_FILE",
        "the program knows no PORTICO_NATS_CREDS_FILE",
    ),
    (
        "deploy/nats/nats-server.conf",
        "password: $PORTICO_NATS_CATALOG_PASSWORD",
        "password: $PORTICO_NATS_CATALOGUE_PASSWORD",
        "nothing gives PORTICO_NATS_CATALOGUE_PASSWORD",
    ),
    (
        "deploy/README.md",
        "docs/run/backup.md",
        "docs/run/backups.md",
        "speaks of docs/run/backups.md",
    ),
    (
        "deploy/prometheus/alerts.yml",
        "severity: critical",
        "severity: high",
        "severity \"high\"",
    ),
    (
        "deploy/grafana/portico.json",
        "\"id\": 4\n",
        "\"id\": 1\n",
        "another panel has its id",
    ),
];

#[test]
fn mistakes_are_told() {
    let missed: Vec<String> = MISTAKES.iter().filter_map(missed).collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// What was told instead, where the mistake was not.
fn missed((file, right, wrong, words): &Mistake) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::copy_to(folder.path());
    let text = repository.text(file);
    assert!(text.contains(right), "{file} has no {right:?} any more");
    std::fs::write(repository.path(file), text.replacen(right, wrong, 1)).unwrap();
    let mut problems = Problems::default();
    for (_, check) in CHECKS {
        check(&repository, &mut problems);
        if problems.0.iter().any(|problem| problem.contains(words)) {
            return None;
        }
    }
    let told = problems.0;
    Some(format!("{file}: {wrong:?}: {words:?} is not in {told:#?}"))
}
