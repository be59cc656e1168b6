-- Secrets that end are rotated so many days before; 0: they are not.
ALTER TABLE identity_providers ADD COLUMN rotates_days_before BIGINT NOT NULL DEFAULT 0;
