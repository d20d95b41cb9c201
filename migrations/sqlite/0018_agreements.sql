-- What local policies say beside a webhook.

-- A local policy and a webhook, of `policies`; local 0: all local policies together.
CREATE TABLE agreements (
    id      INTEGER PRIMARY KEY,
    local   INTEGER NOT NULL,
    webhook INTEGER NOT NULL,
    UNIQUE (local, webhook)
) STRICT;

-- The list behind a figure. `cell` is of one of `agreements`, what the local policies said, and what the webhook, as one
-- number: id * 25 + local * 5 + webhook, each 0 allow, 1 deny, 2 error, 3 none, 4 pending. Where neither of the two is one
-- of deny, error and pending there is no row: that is most of all decisions, and a walk of the table finds those at once,
-- by their outcome.
CREATE TABLE decision_agreements (
    cell INTEGER NOT NULL,
    key  INTEGER NOT NULL,
    PRIMARY KEY (cell, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE outcome_agreements (
    outcome INTEGER NOT NULL,
    cell    INTEGER NOT NULL,
    PRIMARY KEY (outcome, cell)
) STRICT, WITHOUT ROWID;

-- Decisions by cell.
CREATE TABLE rollup_agreements (
    cluster   INTEGER NOT NULL,
    namespace INTEGER NOT NULL,
    width     INTEGER NOT NULL,
    bucket    INTEGER NOT NULL,
    cell      INTEGER NOT NULL,
    dry_run   INTEGER NOT NULL,
    replica   INTEGER NOT NULL,
    reviews   INTEGER NOT NULL,
    PRIMARY KEY (cluster, namespace, width, bucket, cell, dry_run, replica)
) STRICT, WITHOUT ROWID;

-- Of the cells in which one of the two denies alone: decisions by each rule of its that they violate, and by each
-- repository that they name. The other of the two is 0.
CREATE TABLE rollup_disagreements (
    cluster    INTEGER NOT NULL,
    namespace  INTEGER NOT NULL,
    width      INTEGER NOT NULL,
    bucket     INTEGER NOT NULL,
    cell       INTEGER NOT NULL,
    rule       INTEGER NOT NULL,
    repository INTEGER NOT NULL,
    dry_run    INTEGER NOT NULL,
    replica    INTEGER NOT NULL,
    reviews    INTEGER NOT NULL,
    PRIMARY KEY (cluster, namespace, width, bucket, cell, rule, repository, dry_run, replica)
) STRICT, WITHOUT ROWID;

-- Of a history that holds decisions already, nothing older is in them. A second later than now: all that was stored without
-- them is of before.
INSERT INTO horizons (kind, before)
    SELECT 'agreements', (unixepoch() + 1) * 1000 WHERE EXISTS (SELECT 1 FROM workload_totals);

-- A binary of before would store decisions without what they agree on, and leave rows of theirs behind.
INSERT INTO compatibility (schema, works_with) VALUES (18, 18);
