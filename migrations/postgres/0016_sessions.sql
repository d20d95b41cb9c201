-- A session says by which subject its person is told from another of the same name. Of those that are there it is not
-- known, so whoever is signed in signs in again.
DROP TABLE sessions;

-- The key is a hash: what is here lets nobody in.
CREATE TABLE sessions (
    key      BYTEA NOT NULL PRIMARY KEY,  -- SHA-256 of what the cookie holds
    who      TEXT COLLATE "C" NOT NULL,   -- as people read it
    subject  TEXT COLLATE "C" NOT NULL,   -- of one person alone: all of theirs end by it
    means    TEXT NOT NULL,               -- users or oidc
    proof    BYTEA,                       -- SHA-256 of the password's hash; NULL: another vouches for them
    groups   TEXT NOT NULL,               -- JSON: as they were at sign-in
    began_at BIGINT NOT NULL,             -- ms
    seen_at  BIGINT NOT NULL,             -- ms, to the minute
    ends_at  BIGINT NOT NULL              -- ms: at the latest
);

CREATE INDEX sessions_subject ON sessions (subject, means);
CREATE INDEX sessions_ends ON sessions (ends_at);

INSERT INTO compatibility (schema, works_with) VALUES (16, 16);
