-- API keys for products without OAuth clients: one row for each access request that is for keys.
CREATE TABLE key_orders (
    -- Of the access request.
    id             TEXT   NOT NULL PRIMARY KEY,
    application_id TEXT   NOT NULL,
    -- When the worker has something to do, milliseconds since 1970; null: nothing.
    due_at_ms      BIGINT,
    -- The folded aggregate, JSON.
    state          TEXT   NOT NULL,
    version        BIGINT NOT NULL,
    created_at     TEXT   NOT NULL,
    updated_at     TEXT   NOT NULL
);

CREATE INDEX key_orders_application ON key_orders (application_id);
CREATE INDEX key_orders_due ON key_orders (due_at_ms) WHERE due_at_ms IS NOT NULL;

-- Which request a key belongs to.
CREATE TABLE api_keys (
    id       TEXT NOT NULL PRIMARY KEY,
    order_id TEXT NOT NULL
);

CREATE INDEX api_keys_order ON api_keys (order_id);

-- What keys need at gateways, in the columns of `grants`: a row for each product under a plan, as long as a key of it
-- is wanted or may be at a gateway.
CREATE TABLE key_grants (
    request_id                 TEXT   NOT NULL,
    item                       BIGINT NOT NULL,
    application_id             TEXT   NOT NULL,
    product_id                 TEXT   NOT NULL,
    product_name               TEXT   NOT NULL,
    -- Empty: Portico makes the policy.
    product_policy_id          TEXT   NOT NULL,
    plan_id                    TEXT   NOT NULL,
    plan_name                  TEXT   NOT NULL,
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

CREATE INDEX key_grants_product ON key_grants (product_id);
CREATE INDEX key_grants_plan ON key_grants (plan_id);
