-- The first schema. Addresses and domains are canonical (mailhooks.address), times are seconds since the epoch, sizes
-- are bytes. What is looked up by address is keyed by it, without a rowid, so that a lookup is one walk of one tree.

CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    change_number INTEGER NOT NULL,  -- moves with every change of the directory, not with usage and last logins
    key_check BLOB                   -- tells whether the key file is the one that the secrets were written with
) STRICT;
INSERT INTO meta VALUES (1, 1, NULL);

CREATE TABLE domain (
    name TEXT PRIMARY KEY,
    alias_of TEXT REFERENCES domain (name),
    quota INTEGER CHECK (quota >= 0)
) STRICT, WITHOUT ROWID;
CREATE INDEX domain_alias_of ON domain (alias_of) WHERE alias_of IS NOT NULL;

CREATE TABLE mailbox (
    address TEXT PRIMARY KEY,
    domain TEXT NOT NULL REFERENCES domain (name),
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    until REAL,
    allow TEXT,                      -- services joined by commas; NULL: all, also those to come
    quota INTEGER CHECK (quota >= 0),
    password TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX mailbox_domain ON mailbox (domain);
CREATE INDEX mailbox_until ON mailbox (until) WHERE until IS NOT NULL;

CREATE TABLE app_password (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: a revoked one is not mistaken for a new one
    address TEXT NOT NULL REFERENCES mailbox (address) ON DELETE CASCADE,
    label TEXT NOT NULL,
    hash TEXT NOT NULL,
    services TEXT,
    networks TEXT NOT NULL,
    expires REAL,
    UNIQUE (address, label)
) STRICT;
CREATE INDEX app_password_expires ON app_password (expires) WHERE expires IS NOT NULL;

CREATE TABLE alias (
    source TEXT PRIMARY KEY,         -- an address, or @domain: the catch-all
    domain TEXT NOT NULL REFERENCES domain (name),
    posting TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX alias_domain ON alias (domain);

CREATE TABLE alias_target (
    source TEXT NOT NULL REFERENCES alias (source) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (source, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX alias_target_target ON alias_target (target);

CREATE TABLE send_grant (
    login TEXT NOT NULL REFERENCES mailbox (address) ON DELETE CASCADE,
    sender TEXT NOT NULL,            -- an address or @domain
    PRIMARY KEY (login, sender)
) STRICT, WITHOUT ROWID;
CREATE INDEX send_grant_sender ON send_grant (sender);

CREATE TABLE relay (
    nexthop TEXT NOT NULL,           -- as in Postfix's relayhost, in lower case
    sender TEXT NOT NULL,            -- an address, @domain, or '' for every sender
    username TEXT NOT NULL,
    secret BLOB NOT NULL,            -- the password, sealed with the key file
    PRIMARY KEY (nexthop, sender)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX relay_sender ON relay (sender) WHERE sender <> '';

CREATE TABLE usage (
    address TEXT PRIMARY KEY REFERENCES mailbox (address) ON DELETE CASCADE,
    storage INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    updated REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE last_login (
    address TEXT NOT NULL REFERENCES mailbox (address) ON DELETE CASCADE,
    service TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (address, service)
) STRICT, WITHOUT ROWID;

CREATE TABLE preference (
    scope TEXT NOT NULL,             -- an address, @domain or @GLOBAL
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (scope, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- How many there are of each kind, kept by every change: counting a million rows at each scrape would stop the answers.
CREATE TABLE tally (
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (kind, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN
    SELECT RAISE (ABORT, 'the audit log is only added to');
END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN
    SELECT RAISE (ABORT, 'the audit log is only added to');
END;
