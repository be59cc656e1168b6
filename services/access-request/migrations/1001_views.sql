-- Applications as their owners see them. `state` is the folded aggregate as JSON.
CREATE TABLE applications (
    id TEXT NOT NULL PRIMARY KEY,
    owner_id TEXT NOT NULL,
    status TEXT NOT NULL,
    state TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX applications_by_owner ON applications (owner_id, id);

-- Not a view: names of applications for search and sorting, written with the event that refers to the whole profile in the
-- vault, and overwritten when the owner is erased.
CREATE TABLE application_names (
    application TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    name_lower TEXT NOT NULL
);
CREATE INDEX application_names_by_name ON application_names (name_lower, application);

-- Access requests. `state` is the folded aggregate, `timeline` every step so far, both JSON.
CREATE TABLE access_requests (
    id TEXT NOT NULL PRIMARY KEY,
    status TEXT NOT NULL,
    application_id TEXT NOT NULL,
    products_lower TEXT NOT NULL,
    requester_id TEXT NOT NULL,
    -- Both NULL where the request is for API keys.
    identity_provider_id TEXT,
    client_type_id TEXT,
    needs_redirect_urls BIGINT NOT NULL,
    -- 1: it has been active at some revision.
    activated BIGINT NOT NULL,
    -- 1: something waits for an admin.
    stuck BIGINT NOT NULL,
    state TEXT NOT NULL,
    timeline TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX access_requests_by_time ON access_requests (created_ms, id);
CREATE INDEX access_requests_by_requester ON access_requests (requester_id, created_ms, id);
CREATE INDEX access_requests_by_status ON access_requests (status, created_ms, id);
CREATE INDEX access_requests_by_application ON access_requests (application_id);
CREATE INDEX access_requests_stuck ON access_requests (identity_provider_id, created_ms, id) WHERE stuck = 1;

CREATE TABLE access_request_items (
    access_request_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    PRIMARY KEY (access_request_id, product_id)
);
CREATE INDEX access_request_items_by_product ON access_request_items (product_id);
CREATE INDEX access_request_items_by_plan ON access_request_items (plan_id);
