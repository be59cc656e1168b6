-- Products as they are read. `details` is JSON; the columns beside it are what is sorted or filtered by.
CREATE TABLE products (
    id TEXT NOT NULL PRIMARY KEY,
    status TEXT NOT NULL,
    visibility TEXT NOT NULL,
    -- Lower case, for sorting.
    name_key TEXT NOT NULL,
    -- Name, description and tags in lower case, for searching.
    search_text TEXT NOT NULL,
    details TEXT NOT NULL,
    -- Markdown; apart from `details`, because lists do not need it.
    documentation TEXT NOT NULL,
    version BIGINT NOT NULL,
    -- RFC 3339 with six digits of a second, so that the order of texts is the order of times.
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX products_by_name ON products (name_key, id);
CREATE INDEX products_by_creation ON products (created_at, id);

CREATE TABLE product_tags (
    product_id TEXT NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (tag, product_id)
);
CREATE INDEX product_tags_by_product ON product_tags (product_id);

CREATE TABLE product_client_types (
    product_id TEXT NOT NULL,
    client_type_id TEXT NOT NULL,
    PRIMARY KEY (client_type_id, product_id)
);
CREATE INDEX product_client_types_by_product ON product_client_types (product_id);

CREATE TABLE plans (
    id TEXT NOT NULL PRIMARY KEY,
    status TEXT NOT NULL,
    name_key TEXT NOT NULL,
    search_text TEXT NOT NULL,
    details TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX plans_by_name ON plans (name_key, id);
CREATE INDEX plans_by_creation ON plans (created_at, id);

-- Which product or plan a scope belongs to. The primary key is the rule that nobody else may have it.
CREATE TABLE scope_owners (
    scope TEXT NOT NULL PRIMARY KEY,
    -- "product" or "plan".
    owner_kind TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    owner_name TEXT NOT NULL
);
CREATE INDEX scope_owners_by_owner ON scope_owners (owner_id);
