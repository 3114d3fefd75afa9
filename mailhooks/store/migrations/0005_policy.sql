-- What outbound limits there are, what of them is used, and who may not send for a time (mailhooks.policy).

CREATE TABLE send_limit (
    scope TEXT PRIMARY KEY,          -- an address, @domain, default, credential or network
    windows TEXT NOT NULL            -- recipients/seconds joined by spaces; '': no limit where default would have one
) STRICT, WITHOUT ROWID;

-- Recipients counted; written by the daemon in batches, without moving the change number.
CREATE TABLE send_use (
    key TEXT PRIMARY KEY,            -- kind and whom it counts for
    slices TEXT NOT NULL,            -- seconds:slice:recipients joined by spaces
    ends REAL NOT NULL               -- when all of it has left every window
) STRICT, WITHOUT ROWID;
CREATE INDEX send_use_ends ON send_use (ends);

CREATE TABLE suspension (            -- accounts that may not send because they look stolen
    address TEXT PRIMARY KEY REFERENCES mailbox (address) ON DELETE CASCADE,
    at REAL NOT NULL,
    until REAL,                      -- NULL: until an admin lifts it
    reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
