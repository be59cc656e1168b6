-- One data key for each subject (the person or client a secret is about),
-- wrapped by the key-encryption key that kek_id names. Deleting the row erases
-- everything that was sealed for the subject.
CREATE TABLE vault_key (
    subject TEXT NOT NULL PRIMARY KEY,
    kek_id  TEXT NOT NULL,
    wrapped TEXT NOT NULL
);

-- Sealed texts. Rows never change: a new text gets a new id.
CREATE TABLE vault_value (
    id      TEXT NOT NULL PRIMARY KEY,
    subject TEXT NOT NULL,
    sealed  TEXT NOT NULL
);

CREATE INDEX vault_value_subject ON vault_value (subject);
CREATE INDEX vault_key_kek ON vault_key (kek_id, subject);
