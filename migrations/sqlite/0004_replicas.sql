-- Several processes, each with its own journal, write one history; and what is kept of it for how long.

-- Of each migration, the oldest that a binary must know to write what this one made: a binary that knows less stops
-- its drain and its report, and goes on answering.
CREATE TABLE compatibility (
    schema     INTEGER PRIMARY KEY,
    works_with INTEGER NOT NULL
) STRICT;

INSERT INTO compatibility (schema, works_with) VALUES (4, 4);

-- Who writes. The heartbeat's columns are NULL until the first: a journal may be drained for a replica that is gone.
CREATE TABLE replicas (
    id            INTEGER PRIMARY KEY,
    replica       BLOB NOT NULL UNIQUE,   -- the id in its data directory, 16 bytes
    seen_at       INTEGER,                -- ms, by its own clock, as all of these
    started_at    INTEGER,
    drained_until INTEGER,                -- its decisions before this are stored
    version       TEXT,
    revision      TEXT,
    clusters      TEXT                    -- JSON
) STRICT;

-- Spans in which a replica served a cluster. Where a cluster has none, no replica was running.
CREATE TABLE presence (
    cluster INTEGER NOT NULL,
    replica INTEGER NOT NULL,
    from_at INTEGER NOT NULL,             -- the start of the process
    to_at   INTEGER NOT NULL,
    PRIMARY KEY (cluster, replica, from_at)
) STRICT, WITHOUT ROWID;

-- Who sent a review: the subject of a certificate, or the name of a token.
CREATE TABLE callers (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

ALTER TABLE batches ADD COLUMN replica INTEGER NOT NULL DEFAULT 1;

ALTER TABLE decisions ADD COLUMN caller INTEGER;                           -- NULL: unproven
ALTER TABLE decisions ADD COLUMN clock_suspect INTEGER NOT NULL DEFAULT 0; -- stored at the time of its drain

-- The test of a flag is the flag itself, as on Postgres: an index of a part of the table is used only for its very words.
DROP INDEX decisions_would_reject;
DROP INDEX decisions_dry_run;
CREATE INDEX decisions_would_reject ON decisions (would_reject) WHERE would_reject;
CREATE INDEX decisions_dry_run ON decisions (dry_run) WHERE dry_run;

-- The last day (ms of its start, UTC) on which a batch needed the row, and on which a notable decision did: raised in
-- the transaction of the batch, so that what nothing refers to any more is found without a look at the decisions.
-- Rows from before this migration count as needed on its day.
ALTER TABLE reviews ADD COLUMN last_day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reviews ADD COLUMN last_notable_day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outcomes ADD COLUMN last_day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outcomes ADD COLUMN last_notable_day INTEGER NOT NULL DEFAULT 0;
UPDATE reviews SET last_day = unixepoch() / 86400 * 86400000, last_notable_day = unixepoch() / 86400 * 86400000;
UPDATE outcomes SET last_day = unixepoch() / 86400 * 86400000, last_notable_day = unixepoch() / 86400 * 86400000;

-- Spans in which nothing is deleted, whatever its age.
CREATE TABLE holds (
    id       INTEGER PRIMARY KEY,
    from_at  INTEGER NOT NULL,            -- ms
    to_at    INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    ended_at INTEGER                      -- NULL while it holds
) STRICT;

-- How far each kind of row is deleted: none older than `before` (ms) is kept.
CREATE TABLE horizons (
    kind   TEXT NOT NULL PRIMARY KEY,
    before INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
