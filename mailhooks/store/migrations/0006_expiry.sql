-- Addresses that end: accounts and aliases with a date, and removed ones that are not given out again for a time.

ALTER TABLE mailbox ADD COLUMN expires REAL;  -- closed from then on; NULL: never
ALTER TABLE alias ADD COLUMN expires REAL;    -- refused at RCPT from then on; NULL: never
CREATE INDEX mailbox_expires ON mailbox (expires) WHERE expires IS NOT NULL;

CREATE TABLE tombstone (
    address TEXT PRIMARY KEY,
    at REAL NOT NULL
) STRICT, WITHOUT ROWID;
