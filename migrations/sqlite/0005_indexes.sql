-- A uid is random: an index of uids alone has a page for nearly every row of a batch, which is read, changed and written
-- again. Led by the time of the decision (2^23 ms, 2 hours and 20 minutes, in one number) new rows change the last part of
-- the index only, and a uid is looked for in each part: some 900 for 90 days. Three bytes are enough for a part: of
-- 100,000 rows one other than that with the uid is read in every 170 of them.
DROP INDEX decisions_uid;
CREATE INDEX decisions_uid ON decisions (key >> 44, substr(uid, 1, 3)) WHERE uid IS NOT NULL;

-- A binary of before finds a uid by a walk of the table: slowly, but it finds it.
INSERT INTO compatibility (schema, works_with) VALUES (5, 4);
