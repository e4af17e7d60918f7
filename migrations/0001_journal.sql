-- Times are UTC, RFC 3339. States are snake_case text, refused when unknown.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE streams (
    id     TEXT PRIMARY KEY,               -- run/…, rollout/…, app/…
    kind   TEXT NOT NULL,                  -- run | rollout | app
    app    TEXT NOT NULL,
    opened TEXT NOT NULL,
    closed TEXT                            -- NULL while open; app streams never close
) STRICT;
CREATE INDEX streams_open ON streams (kind, closed);
CREATE INDEX streams_app ON streams (app, kind, opened);

CREATE TABLE events (
    stream  TEXT NOT NULL,
    seq     INTEGER NOT NULL,              -- from 1, without gaps
    version INTEGER NOT NULL,              -- of the body's shape
    body    TEXT NOT NULL,                 -- JSON
    at      TEXT NOT NULL,
    term    INTEGER NOT NULL,
    PRIMARY KEY (stream, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    dedup     TEXT PRIMARY KEY,
    thread    TEXT NOT NULL,
    body      TEXT NOT NULL,               -- the notice, JSON
    created   TEXT NOT NULL,
    state     TEXT NOT NULL,               -- pending | delivered | dead
    attempts  INTEGER NOT NULL DEFAULT 0,
    next      TEXT NOT NULL,
    error     TEXT,
    delivered TEXT
) STRICT;
CREATE INDEX outbox_pending ON outbox (state, next);

CREATE TABLE evidence (
    content TEXT NOT NULL,                 -- content digest it is bound to
    kind    TEXT NOT NULL,                 -- inventory
    body    BLOB NOT NULL,                 -- zlib
    at      TEXT NOT NULL,
    PRIMARY KEY (content, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE revisions (
    id       TEXT PRIMARY KEY,             -- commit, or hash of the file
    body     TEXT NOT NULL,                -- the fleet, JSON; holds references to secrets, never secrets
    at       TEXT NOT NULL
) STRICT;
