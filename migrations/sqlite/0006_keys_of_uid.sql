-- Postgres has a function more; here the number is kept in step.
INSERT INTO compatibility (schema, works_with) VALUES (6, 4);
