-- Gateways. Deleted ones stay, for history.
CREATE TABLE gateways (
    id                TEXT   NOT NULL PRIMARY KEY,
    name              TEXT   NOT NULL,
    -- For sorting, and unique among those that are not deleted.
    name_key          TEXT   NOT NULL,
    type              TEXT   NOT NULL,
    url               TEXT   NOT NULL,
    org_id            TEXT   NOT NULL,
    default_policy_id TEXT   NOT NULL,
    -- "active" or "deleted".
    status            TEXT   NOT NULL,
    version           BIGINT NOT NULL,
    created_at        TEXT   NOT NULL,
    updated_at        TEXT   NOT NULL
);

CREATE INDEX gateways_name ON gateways (name_key, id);
-- Two admins at once: the append of the second one is refused.
CREATE UNIQUE INDEX gateways_unique_name ON gateways (name_key) WHERE status <> 'deleted';

-- What Portico owns at the APIs of the gateways.
CREATE TABLE gateway_apis (
    gateway_id           TEXT   NOT NULL,
    api_id               TEXT   NOT NULL,
    -- Of the events that tell of it.
    stream_id            TEXT   NOT NULL UNIQUE,
    -- Whose tokens it takes; null: nobody's any more.
    identity_provider_id TEXT,
    -- JSON of entries and sources of keys.
    owned                TEXT   NOT NULL,
    -- 0: it was about to be written, and whether that happened is not known.
    settled              BIGINT NOT NULL,
    PRIMARY KEY (gateway_id, api_id)
);

-- What each access request is entitled to at gateways.
CREATE TABLE entitlements (
    request_id           TEXT   NOT NULL PRIMARY KEY,
    application_id       TEXT   NOT NULL,
    -- Null: it gives API keys.
    identity_provider_id TEXT,
    -- At rest "ready", "suspended", "deleted" or "failed"; otherwise "working" or "delayed".
    status               TEXT   NOT NULL,
    -- When the worker has something to do, milliseconds since 1970; null: nothing.
    due_at_ms            BIGINT,
    -- Since when somebody should look at it, milliseconds since 1970; null: nobody needs to.
    parked_at_ms         BIGINT,
    -- Of the last try, where it failed.
    error_code           TEXT,
    last_error           TEXT,
    -- The folded aggregate, JSON: every other column follows from it.
    state                TEXT   NOT NULL,
    version              BIGINT NOT NULL,
    created_at           TEXT   NOT NULL,
    updated_at           TEXT   NOT NULL,
    -- 1: it was answered that there is no gateway.
    lacks_gateway        BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX entitlements_application ON entitlements (application_id);
CREATE INDEX entitlements_due ON entitlements (due_at_ms) WHERE due_at_ms IS NOT NULL;
CREATE INDEX entitlements_parked ON entitlements (parked_at_ms) WHERE parked_at_ms IS NOT NULL;
CREATE INDEX entitlements_error ON entitlements (error_code) WHERE error_code IS NOT NULL;
CREATE INDEX entitlements_lacking ON entitlements (request_id) WHERE lacks_gateway = 1;

-- Which request an API key belongs to.
CREATE TABLE api_keys (
    id         TEXT NOT NULL PRIMARY KEY,
    request_id TEXT NOT NULL
);

CREATE INDEX api_keys_request ON api_keys (request_id);

-- What is wanted at gateways: a row for each product under a plan of a request, as long as it is wanted or a key of it
-- may be at a gateway.
CREATE TABLE grants (
    request_id                 TEXT   NOT NULL,
    item                       BIGINT NOT NULL,
    -- Null: for API keys.
    identity_provider_id       TEXT,
    product_id                 TEXT   NOT NULL,
    product_name               TEXT   NOT NULL,
    -- JSON array of text, sorted.
    product_scopes             TEXT   NOT NULL,
    -- Null: Portico makes the policy.
    product_policy_id          TEXT,
    plan_id                    TEXT   NOT NULL,
    plan_name                  TEXT   NOT NULL,
    plan_scopes                TEXT   NOT NULL,
    plan_policy_id             TEXT,
    -- Null: unlimited.
    rate_requests              BIGINT,
    rate_per_seconds           BIGINT,
    quota_requests             BIGINT,
    quota_renews_every_seconds BIGINT,
    -- JSON array of {"api_id", "name", "url", "gateway_id"}.
    apis                       TEXT   NOT NULL,
    PRIMARY KEY (request_id, item)
);

-- Scopes that the OAuth clients of applications may hold because of a request, and for which product or plan.
CREATE TABLE scope_claims (
    request_id           TEXT   NOT NULL,
    application_id       TEXT   NOT NULL,
    identity_provider_id TEXT   NOT NULL,
    scope                TEXT   NOT NULL,
    -- The product or plan.
    holder_id            TEXT   NOT NULL,
    holder_name          TEXT   NOT NULL,
    -- 1: the request wants it; 0: not any more.
    wanted               BIGINT NOT NULL,
    -- Position at which the holder's oldest claim began.
    since                BIGINT NOT NULL,
    PRIMARY KEY (request_id, scope, holder_id)
);

CREATE INDEX scope_claims_scope ON scope_claims (identity_provider_id, scope, since);

-- Identity providers as registration publishes them.
CREATE TABLE identity_providers (
    id         TEXT NOT NULL PRIMARY KEY,
    -- When gateways are to be told of other keys or addresses, milliseconds since 1970; null: they know.
    due_at_ms  BIGINT,
    -- The folded aggregate, JSON.
    state      TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

CREATE INDEX identity_providers_due ON identity_providers (due_at_ms) WHERE due_at_ms IS NOT NULL;
