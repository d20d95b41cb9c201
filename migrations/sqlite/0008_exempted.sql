-- Whether something was let through that a rule stands against: its decisions are kept as denials are. Few are, so that
-- retention finds all of them in the index.
ALTER TABLE outcomes ADD COLUMN exempted INTEGER NOT NULL DEFAULT 0;
CREATE INDEX outcomes_exempted ON outcomes (id) WHERE exempted = TRUE;

-- A binary of before exempts nothing.
INSERT INTO compatibility (schema, works_with) VALUES (8, 4);
