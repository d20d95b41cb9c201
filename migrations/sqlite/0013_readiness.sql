-- What of a rule is known of each workload, so that whether it is ready to be enforced is read and not searched for.

-- Texts of policies that judged, by their hash; '' of a webhook, which has none.
CREATE TABLE versions (
    id     INTEGER PRIMARY KEY,
    policy INTEGER NOT NULL,
    name   TEXT NOT NULL,
    UNIQUE (policy, name)
) STRICT;

-- Under which versions of its policy a rule had which text of its own, by its hash: written when a revision is kept. Names
-- stand here as texts, since a revision is there before its first decision.
CREATE TABLE rule_texts (
    policy  TEXT NOT NULL,
    rule    TEXT NOT NULL,
    text    TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (policy, rule, text, version)
) STRICT, WITHOUT ROWID;

-- The first and the last decision (their keys) on a workload in which a version of a policy judged an image. Dry runs are
-- in neither table. `replica` is who wrote the row, as in the figures.
CREATE TABLE workload_judged (
    version   INTEGER NOT NULL,
    namespace INTEGER NOT NULL,
    workload  INTEGER NOT NULL,
    replica   INTEGER NOT NULL,
    first_key INTEGER NOT NULL,
    last_key  INTEGER NOT NULL,
    PRIMARY KEY (version, namespace, workload, replica)
) STRICT, WITHOUT ROWID;

-- The last of them in which it violated a rule, standing violations included: one that is not exempted (a break-glass
-- ticket is no exemption), and one that is. 0: none.
CREATE TABLE workload_against (
    rule         INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    namespace    INTEGER NOT NULL,
    workload     INTEGER NOT NULL,
    replica      INTEGER NOT NULL,
    last_key     INTEGER NOT NULL,
    exempted_key INTEGER NOT NULL,
    PRIMARY KEY (rule, version, namespace, workload, replica)
) STRICT, WITHOUT ROWID;

-- Of a history that holds decisions already, nothing older is in them.
INSERT INTO horizons (kind, before)
    SELECT 'evidence', unixepoch() * 1000 WHERE EXISTS (SELECT 1 FROM workload_totals);

-- A binary of before would store a violation without a row here, and a rule would seem ready that is not.
INSERT INTO compatibility (schema, works_with) VALUES (13, 13);
