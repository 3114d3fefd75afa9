-- Wrong passwords that were tried (mailhooks.throttle). Nothing here moves the change number but an admin's clearing.

ALTER TABLE meta ADD COLUMN throttle_key BLOB;  -- of the digests in throttle.seen; shown nowhere
UPDATE meta SET throttle_key = randomblob (32);

CREATE TABLE throttle (
    account TEXT NOT NULL,           -- as it was tried, whether it exists or not; '' in a row about a network
    network TEXT NOT NULL,           -- in CIDR notation, or 'shared'; '' in a row about an account
    falls_at REAL NOT NULL,          -- when the guesses will have faded to one
    seen BLOB NOT NULL,              -- two bytes of a keyed digest for each wrong password
    strikes INTEGER NOT NULL,
    PRIMARY KEY (account, network)
) STRICT, WITHOUT ROWID;

CREATE TABLE throttle_known (        -- from where an account logged in
    address TEXT NOT NULL REFERENCES mailbox (address) ON DELETE CASCADE,
    network TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (address, network)
) STRICT, WITHOUT ROWID;

CREATE TABLE throttle_clear (        -- what an admin cleared: the daemon forgets it, too
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    network TEXT NOT NULL            -- both '': everything
) STRICT;
