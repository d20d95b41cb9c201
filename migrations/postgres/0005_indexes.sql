-- These two have an entry for every decision. They end with the key's 262 s, which many share: equal entries are stored
-- once, with six bytes for each row, a quarter of what whole keys take. A list sorts the rows of one such span.
DROP INDEX decisions_namespace;
DROP INDEX decisions_review;
CREATE INDEX decisions_namespace ON decisions (namespace, (CAST(key >> 39 AS INTEGER)));
CREATE INDEX decisions_review ON decisions (review, (CAST(key >> 39 AS INTEGER)));

-- Four bytes of a random uid take less room in a tree than in buckets, and are enough to find it. (Each day's partition has
-- an index of its own, which is what the time does for that of SQLite.)
DROP INDEX decisions_uid;
CREATE INDEX decisions_uid ON decisions (uuid_hash(uid)) WHERE uid IS NOT NULL;

-- A binary of before finds all of them by other plans: slowly, but it finds them.
INSERT INTO compatibility (schema, works_with) VALUES (5, 4);
