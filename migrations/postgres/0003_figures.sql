-- Every figure and chart is read from here, and all of it is written in the transaction that stores the decisions.
--
-- Roll-ups are for a cluster (namespace 0) or one of its namespaces, in UTC buckets. `width` is a bucket's length in
-- minutes (15, 60, 1440), `bucket` its start in ms. Dry runs are counted apart. `replica` is who wrote the row (its
-- number in `replicas`): two drains never lock the same row, and reads sum.
-- The key begins with what a page asks for, so that a range of time is one range of rows.
--
-- Each batch adds to the same few rows of now. Half of each page is left free for their next versions, which then need no
-- new entry in an index and take the place of the last ones without a vacuum.

CREATE TABLE rollup_totals (
    cluster      INTEGER NOT NULL,
    namespace    INTEGER NOT NULL,
    width        SMALLINT NOT NULL,
    bucket       BIGINT NOT NULL,
    dry_run      BOOLEAN NOT NULL,
    replica      INTEGER NOT NULL,
    reviews      BIGINT NOT NULL,
    allowed      BIGINT NOT NULL,
    denied       BIGINT NOT NULL,
    failed       BIGINT NOT NULL,
    would_reject BIGINT NOT NULL,
    unjudged     BIGINT NOT NULL,        -- of the cluster only: what is not read has no namespace
    PRIMARY KEY (cluster, namespace, width, bucket, dry_run, replica)
) WITH (fillfactor = 50);

-- Decisions that violated a rule, each counted once.
CREATE TABLE rollup_rules (
    cluster      INTEGER NOT NULL,
    namespace    INTEGER NOT NULL,
    width        SMALLINT NOT NULL,
    bucket       BIGINT NOT NULL,
    rule         INTEGER NOT NULL,
    dry_run      BOOLEAN NOT NULL,
    replica      INTEGER NOT NULL,
    reviews      BIGINT NOT NULL,        -- with a violation by an image that the request brought
    denied       BIGINT NOT NULL,        -- denied, with such a violation in enforce mode
    would_reject BIGINT NOT NULL,        -- would-be rejections, with such a violation in audit or warn mode
    standing     BIGINT NOT NULL,        -- with a violation by an image that was there before
    PRIMARY KEY (cluster, namespace, width, bucket, rule, dry_run, replica)
) WITH (fillfactor = 50);

-- Decisions that name a repository, each counted once.
CREATE TABLE rollup_repositories (
    cluster      INTEGER NOT NULL,
    namespace    INTEGER NOT NULL,
    width        SMALLINT NOT NULL,
    bucket       BIGINT NOT NULL,
    repository   INTEGER NOT NULL,
    dry_run      BOOLEAN NOT NULL,
    replica      INTEGER NOT NULL,
    reviews      BIGINT NOT NULL,
    denied       BIGINT NOT NULL,        -- denied, and an image of it is to blame
    would_reject BIGINT NOT NULL,        -- would-be rejections, and an image of it is to blame
    PRIMARY KEY (cluster, namespace, width, bucket, repository, dry_run, replica)
) WITH (fillfactor = 50);

CREATE TABLE workload_totals (
    workload     INTEGER NOT NULL,
    dry_run      BOOLEAN NOT NULL,
    replica      INTEGER NOT NULL,
    first_at     BIGINT NOT NULL,
    last_at      BIGINT NOT NULL,
    reviews      BIGINT NOT NULL,
    denied       BIGINT NOT NULL,
    would_reject BIGINT NOT NULL,
    PRIMARY KEY (workload, dry_run, replica)
) WITH (fillfactor = 50);

-- One row for each rule, day (ms of its start, UTC) and workload that violated it.
CREATE TABLE workload_rules (
    rule         INTEGER NOT NULL,
    day          BIGINT NOT NULL,
    workload     INTEGER NOT NULL,
    dry_run      BOOLEAN NOT NULL,
    replica      INTEGER NOT NULL,
    first_at     BIGINT NOT NULL,
    last_at      BIGINT NOT NULL,
    reviews      BIGINT NOT NULL,
    denied       BIGINT NOT NULL,
    would_reject BIGINT NOT NULL,
    standing     BIGINT NOT NULL,
    PRIMARY KEY (rule, day, workload, dry_run, replica)
) WITH (fillfactor = 50);

-- Counts of reviews that were answered without being judged, each added once.
CREATE TABLE unjudged (
    id      UUID NOT NULL PRIMARY KEY,
    cluster INTEGER NOT NULL,
    bucket  BIGINT NOT NULL,
    count   BIGINT NOT NULL
);

-- Spans in which decisions were not recorded or reviews not judged. The later word on an id wins.
CREATE TABLE gaps (
    id      UUID NOT NULL PRIMARY KEY,
    cluster INTEGER,                      -- NULL: every cluster
    from_at BIGINT NOT NULL,
    to_at   BIGINT,                      -- NULL while it lasts
    count   BIGINT,                      -- NULL: unknown
    reason  TEXT NOT NULL
);

CREATE INDEX gaps_from ON gaps (from_at);
