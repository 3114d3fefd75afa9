-- What logins are checked against besides the hash: SCRAM keys, and from where an account may log in.

CREATE TABLE scram (
    address TEXT NOT NULL REFERENCES mailbox (address) ON DELETE CASCADE,
    mechanism TEXT NOT NULL,         -- SCRAM-SHA-256, SCRAM-SHA-1
    keys TEXT NOT NULL,              -- iterations,salt,StoredKey,ServerKey: the body of Dovecot's {SCRAM-SHA-256}
    PRIMARY KEY (address, mechanism)
) STRICT, WITHOUT ROWID;

-- Makes the salts of accounts that do not exist: the same for one name always, for every machine and after a restart.
CREATE TABLE scram_seed (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seed BLOB NOT NULL
) STRICT;
INSERT INTO scram_seed VALUES (1, randomblob (32));

ALTER TABLE mailbox ADD COLUMN networks TEXT NOT NULL DEFAULT '';  -- CIDR joined by spaces; empty: from anywhere
