//! In the files beside the chart.

use super::Mistake;

const COMPOSE: &str = "docker-compose.yml";
const DOCKERFILE: &str = "deploy/Dockerfile";

pub const MISTAKES: &[Mistake] = &[
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
        "KEYCLOAK: http://keycloak:8080",
        "KEYCLOAK: http://keycloack:8080",
        "seed: KEYCLOAK: no container keycloack",
    ),
    (
        COMPOSE,
        "target: gateway-double",
        "target: gateway",
        "no stage gateway in",
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
    // The rest.
    (
        "docs/run/compose.md",
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
        "password: $NATS_CATALOG_PASSWORD",
        "password: $NATS_CATALOGUE_PASSWORD",
        "nothing gives NATS_CATALOGUE_PASSWORD",
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
        "deploy/prometheus/alerts.yml",
        "alerts/PorticoSlow.md",
        "alerts/PorticoSlowly.md",
        "\"PorticoSlow\": its runbook_url is not",
    ),
    (
        "deploy/prometheus/alerts.yml",
        "- alert: PorticoSlow",
        "- alert: PorticoSluggish",
        "PorticoSlow.md: there is no such alert",
    ),
    (
        "deploy/grafana/portico.json",
        "\"id\": 4\n",
        "\"id\": 1\n",
        "another panel has its id",
    ),
];
