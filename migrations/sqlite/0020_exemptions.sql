-- What exemptions and break-glass tickets let through, and when which revision was loaded.

-- Exemptions (kind 0) by the hash of what they take in, tickets (kind 1) by the key of their annotation. What an exemption
-- is, as it was loaded last, is written when a revision is kept: the name may be there before.
CREATE TABLE exemptions (
    id        INTEGER PRIMARY KEY,
    kind      INTEGER NOT NULL,
    name      TEXT NOT NULL,
    settings  TEXT,                       -- JSON; NULL: it has not come, or of a ticket
    first_at  INTEGER,                    -- ms: when it was loaded first
    loaded_at INTEGER,                    -- ms: when it was loaded last
    UNIQUE (kind, name)
) STRICT;

-- The list behind a figure of an exemption or a ticket.
CREATE TABLE decision_exemptions (
    exemption INTEGER NOT NULL,
    key       INTEGER NOT NULL,
    PRIMARY KEY (exemption, key)
) STRICT, WITHOUT ROWID;

-- Decisions in which it let something through: one row for each day (ms of its start, UTC) and workload.
CREATE TABLE exemption_uses (
    exemption INTEGER NOT NULL,
    day       INTEGER NOT NULL,
    namespace INTEGER NOT NULL,
    workload  INTEGER NOT NULL,
    dry_run   INTEGER NOT NULL,
    replica   INTEGER NOT NULL,
    last_at   INTEGER NOT NULL,
    reviews   INTEGER NOT NULL,
    PRIMARY KEY (exemption, day, namespace, workload, dry_run, replica)
) STRICT, WITHOUT ROWID;

CREATE INDEX exemption_uses_of_namespace ON exemption_uses (namespace, exemption, day);

-- Each time that a replica (by its id; zeros: not known) loaded a revision.
CREATE TABLE revision_loads (
    at       INTEGER NOT NULL,            -- ms
    revision TEXT NOT NULL,
    replica  BLOB NOT NULL,
    PRIMARY KEY (at, revision, replica)
) STRICT, WITHOUT ROWID;

INSERT INTO revision_loads (at, revision, replica)
    SELECT loaded_at, name, zeroblob(16) FROM revisions WHERE loaded_at IS NOT NULL;

-- Of a history that holds decisions already, what let something through in them is not known by exemption.
INSERT INTO horizons (kind, before)
    SELECT 'exemptions', unixepoch() * 1000 WHERE EXISTS (SELECT 1 FROM workload_totals);

-- A binary of before would let something through without a row here.
INSERT INTO compatibility (schema, works_with) VALUES (20, 20);
