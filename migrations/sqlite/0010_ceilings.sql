-- What a person ordered that no mode goes over for a time: from here every replica hears of it, and this is the record of
-- it. A row is written once; only that it was lifted is added.
CREATE TABLE ceilings (
    id        BLOB NOT NULL PRIMARY KEY,
    most      TEXT NOT NULL,              -- audit or warn
    policy    TEXT,                       -- NULL: every one
    namespace TEXT,                       -- a glob; NULL: every one
    webhooks  INTEGER NOT NULL,           -- those that are not overridable, too
    ticket    TEXT NOT NULL,
    reason    TEXT,
    by_whom   TEXT NOT NULL,
    from_at   INTEGER NOT NULL,           -- ms
    to_at     INTEGER NOT NULL,           -- when it ends by itself
    lifted_at INTEGER,                    -- NULL: it was not
    lifted_by TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX ceilings_to ON ceilings (to_at);

-- A binary of before knows none, and does what its modes say.
INSERT INTO compatibility (schema, works_with) VALUES (10, 4);
