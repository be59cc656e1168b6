-- Views: they follow the log and can be rebuilt from it.

-- One row for each user. References lead into the vault; empty once the user is erased.
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    role TEXT NOT NULL,
    status TEXT NOT NULL,
    -- 1: may see what is internal.
    let_in BIGINT NOT NULL,
    name_ref TEXT NOT NULL,
    email_ref TEXT NOT NULL,
    password_ref TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE INDEX users_role_status ON users (role, status, id);
CREATE INDEX users_status ON users (status, id);

-- API tokens that are not revoked. The digest is SHA-256 of the token.
CREATE TABLE api_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    -- Vault reference of the name.
    name_ref TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
CREATE INDEX api_tokens_user ON api_tokens (user_id, id);

-- Not views: data that must be deletable, or that is no fact of the domain.

-- Owner of each e-mail address, by the blind index of the address. Written before the user signs up, and deleted last
-- when they are erased: an erased user with a row here is one whose erasure was interrupted.
CREATE TABLE user_emails (
    email_index TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL UNIQUE
);

-- The digest is SHA-256 of the session token. Times are milliseconds since 1970.
CREATE TABLE sessions (
    digest TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    last_seen_ms BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expires ON sessions (expires_at_ms);
CREATE INDEX sessions_last_seen ON sessions (last_seen_ms);

-- When an API token was last used, milliseconds since 1970, to the minute.
CREATE TABLE api_token_uses (
    token_id TEXT NOT NULL PRIMARY KEY,
    last_used_ms BIGINT NOT NULL
);

-- Recent failed sign-ins, counted by all replicas together. The key is the blind index of an e-mail address or of a
-- network address; neither is stored. A row is deleted when its window ends. Times are milliseconds since 1970.
CREATE TABLE sign_in_failures (
    key_index TEXT NOT NULL PRIMARY KEY,
    failures BIGINT NOT NULL,
    until_ms BIGINT NOT NULL
);
CREATE INDEX sign_in_failures_until ON sign_in_failures (until_ms);
