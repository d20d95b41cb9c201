-- What a replica alone knows: when its certificates end, and of each cluster by which protocols it asks and how many
-- reviews proved nothing. So that the page of any replica tells it of all. NULL: of a version that does not say.
ALTER TABLE replicas ADD COLUMN said TEXT;            -- JSON

-- An earlier binary writes its heartbeats without it.
INSERT INTO compatibility (schema, works_with) VALUES (19, 16);
