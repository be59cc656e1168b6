-- What is known of an orphan, and what became of it.
ALTER TABLE orphans ADD COLUMN oauth_client_id TEXT NOT NULL DEFAULT '';
-- "outcome_unknown", "delete_refused" or "registered_late".
ALTER TABLE orphans ADD COLUMN reason TEXT NOT NULL DEFAULT 'outcome_unknown';
-- The provider's own words.
ALTER TABLE orphans ADD COLUMN detail TEXT NOT NULL DEFAULT '';
-- Empty where nobody knows it.
ALTER TABLE orphans ADD COLUMN client_id TEXT NOT NULL DEFAULT '';
-- 1: it was left without scopes.
ALTER TABLE orphans ADD COLUMN powerless BIGINT NOT NULL DEFAULT 0;
-- 1: what it is managed with is in the vault.
ALTER TABLE orphans ADD COLUMN manageable BIGINT NOT NULL DEFAULT 0;
-- "open", "adopted", "deleted" or "dismissed".
ALTER TABLE orphans ADD COLUMN status TEXT NOT NULL DEFAULT 'open';
ALTER TABLE orphans ADD COLUMN resolved_at TEXT NOT NULL DEFAULT '';
ALTER TABLE orphans ADD COLUMN resolved_by TEXT NOT NULL DEFAULT '';
-- Reference into the vault, or empty.
ALTER TABLE orphans ADD COLUMN note TEXT NOT NULL DEFAULT '';

CREATE INDEX orphans_status ON orphans (status, suspected_at, marker);
