-- What ran in a cluster at one time, judged as if its pods were made then: no reviews, and in no figure. A few rows for
-- each of a few inventories, which go whole: names stand here as texts, so that the tables of names hold only what
-- reviews brought.

CREATE TABLE inventories (
    id       INTEGER PRIMARY KEY,
    cluster  TEXT NOT NULL,
    at       INTEGER NOT NULL,            -- ms
    whole    INTEGER NOT NULL,            -- it is of all that ran there, as far as can be told
    contents TEXT NOT NULL                -- JSON: what it covers, what judged, and its figures
) STRICT;

CREATE INDEX inventories_cluster ON inventories (cluster, at);

-- `place`: the heaviest outlook first, then by namespace, kind and name.
CREATE TABLE inventory_workloads (
    inventory  INTEGER NOT NULL,
    place      INTEGER NOT NULL,
    namespace  TEXT NOT NULL,
    outlook    INTEGER NOT NULL,          -- what comes of its next pod: 0 nothing, to 5 it is refused
    unreviewed INTEGER NOT NULL,          -- a policy judged no review of it since it was loaded
    contents   TEXT NOT NULL,             -- JSON
    PRIMARY KEY (inventory, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE inventory_namespaces (
    inventory INTEGER NOT NULL,
    name      TEXT NOT NULL,
    pods      INTEGER NOT NULL,
    labels    TEXT,                       -- JSON; NULL: the namespace itself was not in the input
    PRIMARY KEY (inventory, name)
) STRICT, WITHOUT ROWID;

-- A binary of before has no inventories.
INSERT INTO compatibility (schema, works_with) VALUES (12, 4);
