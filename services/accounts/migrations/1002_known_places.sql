-- Not a view. From where somebody signed in lately: blind indexes of the account's e-mail address together with a network
-- address or a device's mark, so that a place alone says nothing. Deleted when the account is erased. Times are milliseconds
-- since 1970.
CREATE TABLE known_places (
    place_index TEXT NOT NULL PRIMARY KEY,
    account_index TEXT NOT NULL,
    seen_ms BIGINT NOT NULL,
    -- Of a network address: where it is in the vault, for the security log.
    address_ref TEXT NOT NULL
);
CREATE INDEX known_places_account ON known_places (account_index, seen_ms);
CREATE INDEX known_places_seen ON known_places (seen_ms);
