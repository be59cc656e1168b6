-- Of a parked message: when it was parked for the first time, and what was tried before it was released.
ALTER TABLE parked ADD COLUMN first_parked_at TEXT;
ALTER TABLE parked ADD COLUMN tried BIGINT NOT NULL DEFAULT 0;

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
