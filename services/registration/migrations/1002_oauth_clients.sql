-- Views of OAuth clients: one for each application and identity provider.
CREATE TABLE oauth_clients (
    id                   TEXT   NOT NULL PRIMARY KEY,
    application_id       TEXT   NOT NULL,
    identity_provider_id TEXT   NOT NULL,
    client_type_id       TEXT   NOT NULL,
    -- Empty as long as it is not registered.
    client_id            TEXT   NOT NULL,
    -- "waiting", "registering", "ready", "updating", "failed", "paused", "deleting" or "deleted".
    status               TEXT   NOT NULL,
    -- 1: an OAuth client of ours is, or may be, at the provider.
    live                 BIGINT NOT NULL,
    -- 1: the provider gave what is needed to manage it (RFC 7592).
    manageable           BIGINT NOT NULL,
    -- 1: it waits until its provider takes registrations again.
    held                 BIGINT NOT NULL,
    -- When the worker has something to do, milliseconds since 1970; null: nothing.
    due_at_ms            BIGINT,
    -- When the worker parked it, milliseconds since 1970; null: it did not.
    parked_at_ms         BIGINT,
    -- JSON arrays of text, sorted.
    wanted_scopes        TEXT   NOT NULL,
    scopes               TEXT   NOT NULL,
    -- JSON array of differences.
    differences          TEXT   NOT NULL,
    last_error           TEXT   NOT NULL,
    -- RFC 3339, or empty.
    next_try_at          TEXT   NOT NULL,
    -- The folded aggregate, JSON: every other column follows from it.
    state                TEXT   NOT NULL,
    created_at           TEXT   NOT NULL,
    updated_at           TEXT   NOT NULL
);

CREATE INDEX oauth_clients_application ON oauth_clients (application_id);
CREATE INDEX oauth_clients_provider ON oauth_clients (identity_provider_id, live);
CREATE INDEX oauth_clients_due ON oauth_clients (due_at_ms) WHERE due_at_ms IS NOT NULL;
CREATE INDEX oauth_clients_held ON oauth_clients (identity_provider_id) WHERE held = 1;
CREATE INDEX oauth_clients_parked ON oauth_clients (identity_provider_id) WHERE parked_at_ms IS NOT NULL;

-- What is wanted at gateways: a row for each product under a plan of a granted request, exactly while the grant
-- is wanted.
CREATE TABLE grants (
    request_id                 TEXT   NOT NULL,
    item                       BIGINT NOT NULL,
    oauth_client_id            TEXT   NOT NULL,
    application_id             TEXT   NOT NULL,
    identity_provider_id       TEXT   NOT NULL,
    product_id                 TEXT   NOT NULL,
    product_name               TEXT   NOT NULL,
    -- JSON array of text, sorted.
    product_scopes             TEXT   NOT NULL,
    -- Empty: Portico makes the policy.
    product_policy_id          TEXT   NOT NULL,
    plan_id                    TEXT   NOT NULL,
    plan_name                  TEXT   NOT NULL,
    plan_scopes                TEXT   NOT NULL,
    plan_policy_id             TEXT   NOT NULL,
    -- Null: no limit.
    rate_requests              BIGINT,
    rate_per_seconds           BIGINT,
    quota_requests             BIGINT,
    quota_renews_every_seconds BIGINT,
    -- JSON array of {"api_id", "name", "url", "gateway_id"}.
    apis                       TEXT   NOT NULL,
    PRIMARY KEY (request_id, item)
);

CREATE INDEX grants_oauth_client ON grants (oauth_client_id);

-- Clients that may be at a provider without being known here.
CREATE TABLE orphans (
    marker               TEXT   NOT NULL PRIMARY KEY,
    identity_provider_id TEXT   NOT NULL,
    application_id       TEXT   NOT NULL,
    suspected_at         TEXT   NOT NULL
);

CREATE INDEX orphans_suspected ON orphans (suspected_at, marker);
