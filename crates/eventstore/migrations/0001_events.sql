-- The event log. It is also the outbox: the relay reads it by position.
CREATE TABLE events (
    position BIGINT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    stream TEXT NOT NULL,
    version BIGINT NOT NULL,
    type TEXT NOT NULL,
    schema_version BIGINT NOT NULL,
    data TEXT NOT NULL,
    metadata TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    UNIQUE (stream, version)
);

-- What a consumer has handled, written in the transaction of the effect.
CREATE TABLE inbox (
    consumer TEXT NOT NULL,
    message_id TEXT NOT NULL,
    handled_at TEXT NOT NULL,
    PRIMARY KEY (consumer, message_id)
);

-- How far the relay has brought the log to the bus.
CREATE TABLE checkpoints (
    name TEXT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL
);

-- Messages that could not be handled, until somebody replays or drops them.
CREATE TABLE parked (
    consumer TEXT NOT NULL,
    message_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    payload TEXT NOT NULL,
    headers TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    parked_at TEXT NOT NULL,
    PRIMARY KEY (consumer, message_id)
);

-- Work that only one replica may do at a time.
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
