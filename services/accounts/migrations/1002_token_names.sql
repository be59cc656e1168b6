-- Names of API tokens are in the vault. NULL where an earlier version stored the name itself, in `name`.
ALTER TABLE api_tokens ADD COLUMN name_ref TEXT;
