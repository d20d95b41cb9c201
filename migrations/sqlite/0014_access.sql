-- Who is signed in to the report, and who did what there. Replicas share both: whoever signed in at one is known to all.

-- The key is a hash: what is here lets nobody in.
CREATE TABLE sessions (
    key      BLOB NOT NULL PRIMARY KEY,   -- SHA-256 of what the cookie holds
    who      TEXT NOT NULL,
    means    TEXT NOT NULL,               -- users or oidc
    proof    BLOB,                        -- SHA-256 of the password's hash; NULL: another vouches for them
    groups   TEXT NOT NULL,               -- JSON: as they were at sign-in
    began_at INTEGER NOT NULL,            -- ms
    seen_at  INTEGER NOT NULL,            -- ms, to the minute
    ends_at  INTEGER NOT NULL             -- ms: at the latest
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_who ON sessions (who, means);
CREATE INDEX sessions_ends ON sessions (ends_at);

CREATE TABLE access_log (
    id    BLOB NOT NULL PRIMARY KEY,      -- a UUID of version 7: in the order of time
    at    INTEGER NOT NULL,               -- ms
    event TEXT NOT NULL,                  -- sign-in, sign-out, refusal or export
    who   TEXT,                           -- NULL: nobody that is known
    means TEXT,                           -- users, oidc, proxy or token; NULL: none
    peer  TEXT NOT NULL,                  -- the address at the other end of the connection
    what  TEXT NOT NULL,
    more  INTEGER NOT NULL                -- of the same before it that have no row of their own
) STRICT, WITHOUT ROWID;

CREATE INDEX access_log_at ON access_log (at, id);

-- A binary of before has no sign-in.
INSERT INTO compatibility (schema, works_with) VALUES (14, 4);
