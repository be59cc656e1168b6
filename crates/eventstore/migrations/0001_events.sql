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

-- What a consumer has handled without an event. Events that a message caused are known again by their ids.
CREATE TABLE inbox (
    consumer TEXT NOT NULL,
    message_id TEXT NOT NULL,
    -- Milliseconds since 1970.
    handled_ms BIGINT NOT NULL,
    PRIMARY KEY (consumer, message_id)
);

-- What stands for rows of the inbox, and for dropped messages, that were pruned: a message counts as handled that had been
-- published by `reached_ms`, once that is `since_ms` or later. Milliseconds since 1970.
CREATE TABLE low_water_marks (
    consumer TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- Since when the consumer has had this subject.
    since_ms BIGINT NOT NULL,
    -- When it had handled everything that was on the bus, the last time that somebody looked.
    caught_up_ms BIGINT NOT NULL,
    reached_ms BIGINT NOT NULL,
    PRIMARY KEY (consumer, subject)
);

-- How far the relay has brought the log to the bus.
CREATE TABLE checkpoints (
    name TEXT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL,
    -- When it came there.
    at_ms BIGINT NOT NULL DEFAULT 0
);

-- By when it had brought the log how far to a bus, whichever: a row a day at most, where there is news. Milliseconds since
-- 1970.
CREATE TABLE published (
    position BIGINT NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL
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
    first_parked_at TEXT NOT NULL,
    parked_at TEXT NOT NULL,
    -- What was tried before it was released.
    tried BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (consumer, message_id)
);

-- Parked messages that somebody gave up; they are not handled when they come again.
CREATE TABLE dropped (
    consumer TEXT NOT NULL,
    message_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    first_parked_at TEXT NOT NULL,
    parked_at TEXT NOT NULL,
    dropped_at TEXT NOT NULL,
    dropped_by TEXT NOT NULL,
    PRIMARY KEY (consumer, message_id)
);

-- What the relay is to publish again: from the position on, until the other one. At most one row.
CREATE TABLE republishing (
    name TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    position BIGINT NOT NULL,
    until_position BIGINT NOT NULL,
    requested_at TEXT NOT NULL,
    requested_by TEXT NOT NULL
);

-- Work that only one replica may do at a time.
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
