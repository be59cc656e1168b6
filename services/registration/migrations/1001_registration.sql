-- Views of identity providers and client types. Deleted ones stay, for history.
CREATE TABLE identity_providers (
    id                       TEXT   NOT NULL PRIMARY KEY,
    name                     TEXT   NOT NULL,
    -- In lower case, for search and order; unique among those that are not deleted.
    name_key                 TEXT   NOT NULL,
    type                     TEXT   NOT NULL,
    well_known_url           TEXT   NOT NULL,
    scope_claim              TEXT   NOT NULL,
    skip_tls_verify          BIGINT NOT NULL,
    has_initial_access_token BIGINT NOT NULL,
    management_client_id     TEXT   NOT NULL,
    -- JSON of the endpoints in the verified well-known document.
    endpoints                TEXT   NOT NULL,
    -- JSON: what the settings say beyond these columns, without references into the vault.
    more                     TEXT   NOT NULL,
    -- Secrets that end are rotated so many days before; 0: they are not.
    rotates_days_before      BIGINT NOT NULL,
    -- "active", "paused" or "deleted".
    status                   TEXT   NOT NULL,
    status_reason            TEXT   NOT NULL,
    version                  BIGINT NOT NULL,
    created_at               TEXT   NOT NULL,
    updated_at               TEXT   NOT NULL
);

CREATE INDEX identity_providers_name ON identity_providers (name_key, id);

CREATE TABLE client_types (
    id                         TEXT   NOT NULL PRIMARY KEY,
    identity_provider_id       TEXT   NOT NULL,
    name                       TEXT   NOT NULL,
    name_key                   TEXT   NOT NULL,
    description                TEXT   NOT NULL,
    -- JSON arrays of text.
    response_types             TEXT   NOT NULL,
    grant_types                TEXT   NOT NULL,
    token_endpoint_auth_method TEXT   NOT NULL,
    okta_application_type      TEXT   NOT NULL,
    -- "active" or "deleted".
    status                     TEXT   NOT NULL,
    version                    BIGINT NOT NULL,
    created_at                 TEXT   NOT NULL,
    updated_at                 TEXT   NOT NULL
);

CREATE INDEX client_types_name ON client_types (name_key, id);
CREATE INDEX client_types_identity_provider ON client_types (identity_provider_id, status);

-- Views of OAuth clients: one for each application and identity provider.
CREATE TABLE oauth_clients (
    id                   TEXT   NOT NULL PRIMARY KEY,
    application_id       TEXT   NOT NULL,
    identity_provider_id TEXT   NOT NULL,
    client_type_id       TEXT   NOT NULL,
    -- Empty as long as it is not registered.
    client_id            TEXT   NOT NULL,
    -- "waiting", "registering", "ready", "updating", "suspended", "failed", "paused", "deleting" or "deleted".
    status               TEXT   NOT NULL,
    -- 1: an OAuth client of ours is, or may be, at the provider.
    live                 BIGINT NOT NULL,
    -- 1: the provider gave what is needed to manage it (RFC 7592).
    manageable           BIGINT NOT NULL,
    -- 1: it waits until its provider takes registrations again.
    paused               BIGINT NOT NULL,
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
CREATE INDEX oauth_clients_paused ON oauth_clients (identity_provider_id) WHERE paused = 1;
CREATE INDEX oauth_clients_parked ON oauth_clients (identity_provider_id) WHERE parked_at_ms IS NOT NULL;
-- Whose client an id at a provider is; asked at every registration.
CREATE INDEX oauth_clients_client_id ON oauth_clients (identity_provider_id, client_id);

-- Clients that are, or may be, at a provider without being in use here.
CREATE TABLE orphans (
    marker               TEXT   NOT NULL PRIMARY KEY,
    identity_provider_id TEXT   NOT NULL,
    -- The nil id where nobody knows it.
    application_id       TEXT   NOT NULL,
    oauth_client_id      TEXT   NOT NULL,
    suspected_at         TEXT   NOT NULL,
    -- "outcome_unknown", "delete_refused", "registered_late" or "unknown_client".
    reason               TEXT   NOT NULL,
    -- The provider's own message.
    detail               TEXT   NOT NULL,
    -- Empty where nobody knows it.
    client_id            TEXT   NOT NULL,
    -- 1: it was left without scopes.
    powerless            BIGINT NOT NULL,
    -- 1: what it is managed with is in the vault.
    manageable           BIGINT NOT NULL,
    -- "open", "adopted", "deleted" or "dismissed".
    status               TEXT   NOT NULL DEFAULT 'open',
    resolved_at          TEXT   NOT NULL DEFAULT '',
    resolved_by          TEXT   NOT NULL DEFAULT '',
    -- Reference into the vault, or empty.
    note                 TEXT   NOT NULL DEFAULT ''
);

CREATE INDEX orphans_suspected ON orphans (suspected_at, marker);
CREATE INDEX orphans_status ON orphans (status, suspected_at, marker);
