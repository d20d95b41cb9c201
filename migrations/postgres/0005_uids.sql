-- On SQLite the index over uids is led by the time. Here each day's partition has its own already.

INSERT INTO compatibility (schema, works_with) VALUES (5, 4);
