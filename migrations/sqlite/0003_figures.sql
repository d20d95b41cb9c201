-- Every figure and chart is read from here, and all of it is written in the transaction that stores the decisions.
--
-- Roll-ups are for a cluster (namespace 0) or one of its namespaces, in UTC buckets. `width` is a bucket's length in
-- minutes (15, 60, 1440), `bucket` its start in ms. Dry runs are counted apart. `replica` is who wrote the row (1 on
-- SQLite): two drains never lock the same row, and reads sum.
-- The key begins with what a page asks for, so that a range of time is one range of rows.

CREATE TABLE rollup_totals (
    cluster      INTEGER NOT NULL,
    namespace    INTEGER NOT NULL,
    width        INTEGER NOT NULL,
    bucket       INTEGER NOT NULL,
    dry_run      INTEGER NOT NULL,
    replica      INTEGER NOT NULL,
    reviews      INTEGER NOT NULL,
    allowed      INTEGER NOT NULL,
    denied       INTEGER NOT NULL,
    failed       INTEGER NOT NULL,
    would_reject INTEGER NOT NULL,
    unjudged     INTEGER NOT NULL,        -- of the cluster only: what is not read has no namespace
    PRIMARY KEY (cluster, namespace, width, bucket, dry_run, replica)
) STRICT, WITHOUT ROWID;

-- Decisions that violated a rule, each counted once.
CREATE TABLE rollup_rules (
    cluster      INTEGER NOT NULL,
    namespace    INTEGER NOT NULL,
    width        INTEGER NOT NULL,
    bucket       INTEGER NOT NULL,
    rule         INTEGER NOT NULL,
    dry_run      INTEGER NOT NULL,
    replica      INTEGER NOT NULL,
    reviews      INTEGER NOT NULL,        -- with a violation by an image that the request brought
    denied       INTEGER NOT NULL,        -- denied, with such a violation in enforce mode
    would_reject INTEGER NOT NULL,        -- would-be rejections, with such a violation in audit or warn mode
    standing     INTEGER NOT NULL,        -- with a violation by an image that was there before
    PRIMARY KEY (cluster, namespace, width, bucket, rule, dry_run, replica)
) STRICT, WITHOUT ROWID;

-- Decisions that name a repository, each counted once.
CREATE TABLE rollup_repositories (
    cluster      INTEGER NOT NULL,
    namespace    INTEGER NOT NULL,
    width        INTEGER NOT NULL,
    bucket       INTEGER NOT NULL,
    repository   INTEGER NOT NULL,
    dry_run      INTEGER NOT NULL,
    replica      INTEGER NOT NULL,
    reviews      INTEGER NOT NULL,
    denied       INTEGER NOT NULL,        -- denied, and an image of it is to blame
    would_reject INTEGER NOT NULL,        -- would-be rejections, and an image of it is to blame
    PRIMARY KEY (cluster, namespace, width, bucket, repository, dry_run, replica)
) STRICT, WITHOUT ROWID;

CREATE TABLE workload_totals (
    workload     INTEGER NOT NULL,
    dry_run      INTEGER NOT NULL,
    replica      INTEGER NOT NULL,
    first_at     INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,
    reviews      INTEGER NOT NULL,
    denied       INTEGER NOT NULL,
    would_reject INTEGER NOT NULL,
    PRIMARY KEY (workload, dry_run, replica)
) STRICT, WITHOUT ROWID;

-- One row for each rule, day (ms of its start, UTC) and workload that violated it.
CREATE TABLE workload_rules (
    rule         INTEGER NOT NULL,
    day          INTEGER NOT NULL,
    workload     INTEGER NOT NULL,
    dry_run      INTEGER NOT NULL,
    replica      INTEGER NOT NULL,
    first_at     INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,
    reviews      INTEGER NOT NULL,
    denied       INTEGER NOT NULL,
    would_reject INTEGER NOT NULL,
    standing     INTEGER NOT NULL,
    PRIMARY KEY (rule, day, workload, dry_run, replica)
) STRICT, WITHOUT ROWID;

-- Counts of reviews that were answered without being judged, each added once.
CREATE TABLE unjudged (
    id      BLOB NOT NULL PRIMARY KEY,
    cluster INTEGER NOT NULL,
    bucket  INTEGER NOT NULL,
    count   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Spans in which decisions were not recorded or reviews not judged. The later word on an id wins.
CREATE TABLE gaps (
    id      BLOB NOT NULL PRIMARY KEY,
    cluster INTEGER,                      -- NULL: every cluster
    from_at INTEGER NOT NULL,
    to_at   INTEGER,                      -- NULL while it lasts
    count   INTEGER,                      -- NULL: unknown
    reason  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX gaps_from ON gaps (from_at);
