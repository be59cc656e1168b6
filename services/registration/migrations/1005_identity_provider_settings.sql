-- What an identity provider's settings say beyond the columns of 1001, JSON: the folded settings without their
-- references into the vault. Empty for providers whose events say nothing more.
ALTER TABLE identity_providers ADD COLUMN more TEXT NOT NULL DEFAULT '{}';
