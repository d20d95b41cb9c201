-- What is remembered of break-glass tickets: a row for each workload that showed one. A change is a new row in the place of
-- the old one, so that whoever reads what has a higher id hears of it.
CREATE TABLE tickets (
    id        INTEGER PRIMARY KEY,
    key       BLOB NOT NULL UNIQUE,       -- SHA-256 of cluster, namespace, workload and ticket
    cluster   TEXT NOT NULL,
    namespace TEXT NOT NULL,
    first_at  INTEGER,                    -- ms: its first use; NULL: it has let nothing through
    decision  BLOB,                       -- of that use, 16 bytes
    seen_at   INTEGER NOT NULL,           -- ms: when it was last shown, to the day
    content   TEXT NOT NULL               -- JSON: all of it
) STRICT;

CREATE INDEX tickets_first_at ON tickets (first_at, decision) WHERE first_at IS NOT NULL;

-- A binary of before breaks no glass.
INSERT INTO compatibility (schema, works_with) VALUES (9, 4);
