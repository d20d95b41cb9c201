-- What is kept of readiness and of images goes in time, and is found without a walk.

-- When a revision was loaded last that says so. Of those that are here already, at the latest now.
ALTER TABLE rule_texts ADD COLUMN kept_at BIGINT NOT NULL DEFAULT 0;
UPDATE rule_texts SET kept_at = CAST(extract(epoch FROM now()) * 1000 AS BIGINT);

-- Every batch changes rows of these in place, and no index is of what changes: with room beside them in their pages the
-- indexes stay as they are.
ALTER TABLE workload_judged SET (fillfactor = 50);
ALTER TABLE workload_against SET (fillfactor = 50);

-- Whether there are images past history.max_names is asked by a page.
CREATE INDEX images_uncounted ON images (id) WHERE NOT counted;

-- What an inventory comes to in a namespace is counted without the contents of its workloads.
CREATE INDEX inventory_workloads_of_namespace ON inventory_workloads (inventory, namespace, outlook, unreviewed);

-- A binary of before keeps a text without a time: as long as there is evidence of it.
INSERT INTO compatibility (schema, works_with) VALUES (17, 4);
