-- What a revision is: the settings of its policies, with the text of every file that they name. Both are NULL in rows from
-- before this migration, and until the text has come.
ALTER TABLE revisions ADD COLUMN text TEXT;         -- JSON
ALTER TABLE revisions ADD COLUMN loaded_at INTEGER; -- ms: when it was first loaded

-- A binary of before adds names without texts.
INSERT INTO compatibility (schema, works_with) VALUES (7, 4);
