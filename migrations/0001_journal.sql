-- Times are UTC, RFC 3339 with nine digits of a second, so that they sort as text. States are snake_case text, refused when
-- unknown. Each index serves a question of src/store/sql.rs.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE streams (
    id         TEXT PRIMARY KEY,           -- run/…, rollout/…, app/…
    kind       TEXT NOT NULL,              -- run | rollout | app
    app        TEXT NOT NULL,
    opened     TEXT NOT NULL,
    closed     TEXT,                       -- NULL while open; app streams never close
    cause      TEXT,                       -- a run's trigger, JSON
    conclusion TEXT,                       -- of a run that has ended: released | unchanged | observed | failed | cancelled
    checkpoint INTEGER                     -- of an app: the event that a fold begins with; NULL: the first
) STRICT, WITHOUT ROWID;
CREATE INDEX streams_open ON streams (opened, id) WHERE closed IS NULL AND kind != 'app';
CREATE INDEX streams_closed ON streams (closed) WHERE closed IS NOT NULL;
CREATE INDEX streams_opened ON streams (kind, opened, id);
CREATE INDEX streams_app ON streams (app, kind, opened, id);

CREATE TABLE events (
    stream  TEXT NOT NULL,
    seq     INTEGER NOT NULL,              -- from 1; without gaps, but for what a checkpoint stands for
    version INTEGER NOT NULL,              -- of the body's shape
    body    TEXT NOT NULL,                 -- JSON
    at      TEXT NOT NULL,
    term    INTEGER NOT NULL,
    kept    TEXT,                          -- audit | checkpoint; NULL: nothing special
    PRIMARY KEY (stream, seq)
-- With rowids: without them, a row of more than a quarter of a page takes whole pages of its own.
) STRICT;

-- What people did, and what was held back and why: copies of events that outlive them. A table of its own, so that rows that
-- stay for years do not keep pages of rows that go.
CREATE TABLE audit (
    app  TEXT,                             -- NULL: all of them
    seq  INTEGER NOT NULL,                 -- in the app's stream; 0: it is in none
    at   TEXT NOT NULL,
    body TEXT NOT NULL                     -- the event, JSON
) STRICT;
CREATE INDEX audit_at ON audit (at);

-- The run of each app that was opened last: what pages and commands show of it, without a search for each app.
CREATE TABLE newest (
    app  TEXT PRIMARY KEY,
    run  TEXT NOT NULL,                    -- its stream
    last TEXT                              -- its last event, JSON; NULL: it is under way
) STRICT, WITHOUT ROWID;

-- Ended runs that the journal still holds, counted as they end and as they are forgotten.
CREATE TABLE ended (
    app        TEXT NOT NULL,
    conclusion TEXT NOT NULL,
    runs       INTEGER NOT NULL,
    last       TEXT NOT NULL,              -- when the newest of them ended
    PRIMARY KEY (app, conclusion)
) STRICT, WITHOUT ROWID;

-- Sealed files that a stream speaks of.
CREATE TABLE snapshots (
    stream TEXT NOT NULL,
    name   TEXT NOT NULL,
    PRIMARY KEY (stream, name)
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
CREATE INDEX outbox_undelivered ON outbox (created, dedup) WHERE state != 'delivered';
CREATE INDEX outbox_thread ON outbox (thread, created, dedup) WHERE state = 'pending';
CREATE INDEX outbox_created ON outbox (created);

CREATE TABLE evidence (
    content TEXT NOT NULL,                 -- content digest it is bound to
    kind    TEXT NOT NULL,                 -- inventory | packages
    hash    BLOB,                          -- sha256 of the body of a package state; before it, so that it is read without it
    body    BLOB NOT NULL,                 -- src/store/evidence.rs
    pieces  BLOB,                          -- ids of the pieces of an inventory, 8 bytes each, in order
    at      TEXT NOT NULL,
    PRIMARY KEY (content, kind)
) STRICT;
CREATE INDEX evidence_at ON evidence (at, content);

-- Parts of inventories (src/store/pieces.rs). The count is apart from the body, so that a use more writes a few bytes.
CREATE TABLE pieces (
    id      INTEGER PRIMARY KEY,
    hash    BLOB NOT NULL UNIQUE,          -- sha256 of the part
    uses    INTEGER NOT NULL               -- lists of pieces that name it
) STRICT;
CREATE TABLE piece_bodies (
    piece   INTEGER PRIMARY KEY REFERENCES pieces (id),
    body    BLOB NOT NULL
) STRICT;

CREATE TABLE revisions (
    id       TEXT PRIMARY KEY,             -- commit, or hash of the file
    body     TEXT NOT NULL,                -- the fleet, JSON; holds references to secrets, never secrets
    at       TEXT NOT NULL
) STRICT;
CREATE INDEX revisions_at ON revisions (at);

-- Immutable tags of releases that lowtide pushed: what retention may remove from registries.
CREATE TABLE pushed_tags (
    app        TEXT NOT NULL,
    repository TEXT NOT NULL,
    run        TEXT NOT NULL,              -- of the release; sorts by time
    tag        TEXT NOT NULL,
    digest     TEXT NOT NULL,
    PRIMARY KEY (app, repository, run)
) STRICT, WITHOUT ROWID;
