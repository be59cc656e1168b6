-- One row for each delivery; follows the log. `position` is that of the first event and orders the list.
CREATE TABLE deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL UNIQUE,
    template TEXT NOT NULL,
    recipient_id TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    resends BIGINT NOT NULL,
    last_error TEXT NOT NULL,
    next_try_at TEXT NOT NULL,
    due_ms BIGINT NOT NULL,
    created_at TEXT NOT NULL,
    sent_at TEXT NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (status, due_ms);
CREATE INDEX deliveries_subject ON deliveries (subject_id);
