-- What many decisions share is stored once, found by the SHA-256 of its content.

CREATE TABLE reviews (
    id     INTEGER PRIMARY KEY,
    hash   BLOB NOT NULL UNIQUE,
    record TEXT NOT NULL                  -- JSON: all of it
) STRICT;

-- Which reviews name an image, for filters by image; and which images a review names.
CREATE TABLE review_images (
    image  INTEGER NOT NULL,
    review INTEGER NOT NULL,
    PRIMARY KEY (image, review)
) STRICT, WITHOUT ROWID;

CREATE INDEX review_images_review ON review_images (review);

CREATE TABLE outcomes (
    id       INTEGER PRIMARY KEY,
    hash     BLOB NOT NULL UNIQUE,
    verdicts TEXT NOT NULL                -- JSON: the verdicts without their durations
) STRICT;

-- One transaction of a drain. A reader that follows what is new asks for batches after the last one that it saw and
-- reads the decisions of each within its keys: no index over a hundred million rows for that.
CREATE TABLE batches (
    id        INTEGER PRIMARY KEY,
    stored_at INTEGER NOT NULL,           -- ms
    first_key INTEGER NOT NULL,
    last_key  INTEGER NOT NULL,
    decisions INTEGER NOT NULL
) STRICT;

-- One row for each answered review. `key` is its time in milliseconds shifted left by 21 bits, and the first 21
-- random bits of its id: the order by key is the order by (at, id), in the 8 bytes of the rowid, which is also all
-- that an index adds to its own column. (Two decisions of one millisecond that share those bits take neighbouring keys.)
-- Booleans and answers are 0 and 1 where they can be: SQLite stores these in the header of the row.
CREATE TABLE decisions (
    key          INTEGER PRIMARY KEY,
    at           INTEGER GENERATED ALWAYS AS (key >> 21) VIRTUAL,
    id           BLOB NOT NULL,           -- UUIDv7, 16 bytes
    batch        INTEGER NOT NULL,
    cluster      INTEGER NOT NULL,
    namespace    INTEGER NOT NULL,
    workload     INTEGER NOT NULL,
    name         TEXT,
    by_user      INTEGER,
    uid          BLOB,                    -- 16 bytes, where it is a UUID
    uid_text     TEXT,                    -- where it is not
    dry_run      INTEGER NOT NULL,
    review       INTEGER NOT NULL,
    outcome      INTEGER NOT NULL,
    answer       INTEGER NOT NULL,        -- 0 allowed, 1 denied, 2 failed
    code         INTEGER NOT NULL,
    message      TEXT,
    would_reject INTEGER NOT NULL,
    redacted     INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    duration_us  INTEGER NOT NULL,
    durations    TEXT,                    -- JSON: microseconds of each verdict, in the order of the outcome
    notes        TEXT                     -- JSON, NULL for none
) STRICT;

-- Each holds the column and the key, so that a list newest first reads one range of one index. The common values
-- (allowed, not rejected, not dry) are in none: a walk of the table finds those at once.
-- A list of one cluster merges the ranges of its namespaces.
-- Measured over 100,000 decisions of Deployments with pod names of 30 characters and random uids, in bytes for each:
-- the row 111, namespace 17, review 18, uid 20; everything else in the file together 13.
CREATE INDEX decisions_namespace ON decisions (namespace);
CREATE INDEX decisions_review ON decisions (review);
-- Four bytes of a random uid are one in four billion.
CREATE INDEX decisions_uid ON decisions (substr(uid, 1, 4)) WHERE uid IS NOT NULL;
CREATE INDEX decisions_uid_text ON decisions (uid_text) WHERE uid_text IS NOT NULL;
CREATE INDEX decisions_answer ON decisions (answer) WHERE answer <> 0;
CREATE INDEX decisions_would_reject ON decisions (would_reject) WHERE would_reject <> 0;
CREATE INDEX decisions_dry_run ON decisions (dry_run) WHERE dry_run <> 0;

-- Which decisions a rule was violated in, standing violations included, and whether it is a reason of the denial or
-- of the would-be rejection: the list behind a figure of a rule.
CREATE TABLE decision_rules (
    rule     INTEGER NOT NULL,
    key      INTEGER NOT NULL,
    to_blame INTEGER NOT NULL,
    PRIMARY KEY (rule, key)
) STRICT, WITHOUT ROWID;

-- Denials and would-be rejections that an image of the repository is to blame for: the list behind its figure.
CREATE TABLE decision_repositories (
    repository INTEGER NOT NULL,
    key        INTEGER NOT NULL,
    PRIMARY KEY (repository, key)
) STRICT, WITHOUT ROWID;

-- Decisions whose id does not hold their time: an id alone does not give their key.
CREATE TABLE displaced_ids (
    id  BLOB NOT NULL PRIMARY KEY,
    key INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Verdicts that came before the decision that they amend.
CREATE TABLE pending_amendments (
    decision BLOB NOT NULL,
    policy   TEXT NOT NULL,
    at       INTEGER NOT NULL,            -- ms, of the decision
    verdict  TEXT NOT NULL,               -- JSON
    PRIMARY KEY (decision, policy)
) STRICT, WITHOUT ROWID;

-- Redacted objects of reviews: samples, or all of them.
CREATE TABLE objects (
    decision BLOB NOT NULL PRIMARY KEY,
    cluster  INTEGER NOT NULL,
    review   BLOB NOT NULL,               -- the hash: the review's row may come later, or be gone
    day      INTEGER NOT NULL,            -- ms of its start, UTC
    at       INTEGER NOT NULL,
    object   TEXT NOT NULL                -- JSON
) STRICT;

CREATE INDEX objects_sample ON objects (review, cluster, day);
