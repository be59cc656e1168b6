-- How often signing in failed lately, counted by all replicas together. The key is the blind index of an e-mail address or
-- of a network address; neither is stored. Rows are forgotten when their time is over. Milliseconds since 1970.
CREATE TABLE sign_in_failures (
    key_index TEXT NOT NULL PRIMARY KEY,
    failures BIGINT NOT NULL,
    until_ms BIGINT NOT NULL
);
CREATE INDEX sign_in_failures_until ON sign_in_failures (until_ms);
