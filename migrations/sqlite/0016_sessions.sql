-- A session says by which subject its person is told from another of the same name. Of those that are there it is not
-- known, so whoever is signed in signs in again.
DROP TABLE sessions;

-- The key is a hash: what is here lets nobody in.
CREATE TABLE sessions (
    key      BLOB NOT NULL PRIMARY KEY,   -- SHA-256 of what the cookie holds
    who      TEXT NOT NULL,               -- as people read it
    subject  TEXT NOT NULL,               -- of one person alone: all of theirs end by it
    means    TEXT NOT NULL,               -- users or oidc
    proof    BLOB,                        -- SHA-256 of the password's hash; NULL: another vouches for them
    groups   TEXT NOT NULL,               -- JSON: as they were at sign-in
    began_at INTEGER NOT NULL,            -- ms
    seen_at  INTEGER NOT NULL,            -- ms, to the minute
    ends_at  INTEGER NOT NULL             -- ms: at the latest
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_subject ON sessions (subject, means);
CREATE INDEX sessions_ends ON sessions (ends_at);

INSERT INTO compatibility (schema, works_with) VALUES (16, 16);
