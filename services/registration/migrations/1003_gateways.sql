-- View of gateways. Deleted ones stay, for history.
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
    identity_provider_id TEXT   NOT NULL,
    -- JSON of entries and sources of keys.
    owned                TEXT   NOT NULL,
    -- 0: it was about to be written, and whether that happened is not known.
    settled              BIGINT NOT NULL,
    PRIMARY KEY (gateway_id, api_id)
);
