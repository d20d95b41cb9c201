-- What stands against the workloads of a namespace is found by workload and day, and a workload by its name.
CREATE INDEX workload_rules_of_workload ON workload_rules (workload, day);
CREATE INDEX workloads_by_name ON workloads (name);

-- Whoever follows what is new asks for the batches of each replica after the last one that it saw.
CREATE INDEX batches_of_replica ON batches (replica, id);

-- At most history.max_names images are counted by themselves. Assigned once and kept, as an image's repository is.
ALTER TABLE images ADD COLUMN counted BOOLEAN NOT NULL DEFAULT TRUE;
CREATE INDEX images_counted ON images (id) WHERE counted;

-- Who asked for an image, as written: decisions that name it, by workload.
CREATE TABLE image_workloads (
    image    INTEGER NOT NULL,
    workload INTEGER NOT NULL,
    dry_run  BOOLEAN NOT NULL,
    replica  INTEGER NOT NULL,
    first_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    reviews  BIGINT NOT NULL,
    PRIMARY KEY (image, workload, dry_run, replica)
) WITH (fillfactor = 50);

CREATE INDEX image_workloads_of_workload ON image_workloads (workload, image);

-- Of what is kept of before: whose it was is not known any more of batches that are gone.
INSERT INTO image_workloads (image, workload, dry_run, replica, first_at, last_at, reviews)
    SELECT i.image, d.workload, d.dry_run, 1, min(d.key >> 21), max(d.key >> 21), count(*)
    FROM decisions d JOIN review_images i ON i.review = d.review GROUP BY i.image, d.workload, d.dry_run;

-- What of an inventory runs an image, and what it is told by of what runs ('' where the pods do not say it).
CREATE TABLE inventory_images (
    image     TEXT COLLATE "C" NOT NULL,
    inventory INTEGER NOT NULL,
    place     INTEGER NOT NULL,
    digest    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (image, inventory, place, digest)
);

CREATE INDEX inventory_images_of_inventory ON inventory_images (inventory);

INSERT INTO inventory_images (image, inventory, place, digest)
    SELECT i ->> 'text', w.inventory, w.place, coalesce(i ->> 'digest', '')
    FROM inventory_workloads w,
         -- No text here has a NUL, which JSON can write.
         json_array_elements(CASE WHEN position('\u0000' IN w.contents) = 0 THEN w.contents::json -> 'images' END) i
    ON CONFLICT DO NOTHING;

-- A binary of before would store decisions without their images, and inventories too.
INSERT INTO compatibility (schema, works_with) VALUES (15, 15);
