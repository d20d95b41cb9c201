-- What candidates say beside the policies in force, which nothing acts on.

-- Like `policies`, apart from it: a candidate may share its name with a policy, and is none.
CREATE TABLE candidates (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

ALTER TABLE decisions ADD COLUMN candidates INTEGER;       -- of `outcomes`; NULL: there were none
ALTER TABLE decisions ADD COLUMN candidate_durations TEXT; -- JSON, as `durations`

-- The list behind a figure of a comparison. `cell` is the candidate, what was said by the policies in force, and what by
-- it, as one number: candidate * 25 + live * 5 + said, each 0 allow, 1 deny, 2 error, 3 none, 4 pending.
CREATE TABLE decision_candidates (
    cell INTEGER NOT NULL,
    key  INTEGER NOT NULL,
    PRIMARY KEY (cell, key)
) STRICT, WITHOUT ROWID;

-- Decisions by cell.
CREATE TABLE rollup_candidates (
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

-- A binary of before would store decisions without what their candidates said, and leave rows of theirs behind.
INSERT INTO compatibility (schema, works_with) VALUES (11, 11);
