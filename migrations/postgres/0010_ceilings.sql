-- What a person ordered that no mode goes over for a time: from here every replica hears of it, and this is the record of
-- it. A row is written once; only that it was lifted is added.
CREATE TABLE ceilings (
    id        UUID NOT NULL PRIMARY KEY,
    most      TEXT NOT NULL,              -- audit or warn
    policy    TEXT,                       -- NULL: every one
    namespace TEXT,                       -- a glob; NULL: every one
    webhooks  BOOLEAN NOT NULL,           -- those that are not overridable, too
    ticket    TEXT NOT NULL,
    reason    TEXT,
    by_whom   TEXT NOT NULL,
    from_at   BIGINT NOT NULL,            -- ms
    to_at     BIGINT NOT NULL,            -- when it ends by itself
    lifted_at BIGINT,                     -- NULL: it was not
    lifted_by TEXT
);

CREATE INDEX ceilings_to ON ceilings (to_at);

-- A binary of before knows none, and does what its modes say.
INSERT INTO compatibility (schema, works_with) VALUES (10, 4);
