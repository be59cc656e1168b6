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
