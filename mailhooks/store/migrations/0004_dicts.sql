-- What Dovecot asks the dict for besides usage and last logins. All of it belongs to an account and goes with it.

CREATE TABLE sieve_script (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- of this very text, never given twice: Dovecot keeps a compiled script by it
    address TEXT NOT NULL REFERENCES mailbox (address) ON DELETE CASCADE,
    name TEXT NOT NULL,
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    script TEXT NOT NULL,
    updated REAL NOT NULL,
    UNIQUE (address, name)
) STRICT;
CREATE UNIQUE INDEX sieve_script_active ON sieve_script (address) WHERE active = 1;

-- IMAP METADATA. The key is Dovecot's: priv/ or shared/, the GUID of the folder, the entry.
CREATE TABLE attribute (
    address TEXT NOT NULL REFERENCES mailbox (address) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (address, key)
) STRICT, WITHOUT ROWID;

-- Who shares folders with whom: what to list, while what is allowed stands in Dovecot's own files.
CREATE TABLE share (
    reader TEXT NOT NULL,            -- user/ADDRESS, group/NAME or anyone
    owner TEXT NOT NULL REFERENCES mailbox (address) ON DELETE CASCADE,
    PRIMARY KEY (reader, owner)
) STRICT, WITHOUT ROWID;
CREATE INDEX share_owner ON share (owner);
