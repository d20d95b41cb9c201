-- What stands against the workloads of a namespace is found by workload and day, and a workload by its name.
CREATE INDEX workload_rules_of_workload ON workload_rules (workload, day);
CREATE INDEX workloads_by_name ON workloads (name);

-- Whoever follows what is new asks for the batches of each replica after the last one that it saw.
CREATE INDEX batches_of_replica ON batches (replica, id);

-- At most history.max_names images are counted by themselves. Assigned once and kept, as an image's repository is.
ALTER TABLE images ADD COLUMN counted INTEGER NOT NULL DEFAULT 1;
CREATE INDEX images_counted ON images (id) WHERE counted;

-- Who asked for an image, as written: decisions that name it, by workload.
CREATE TABLE image_workloads (
    image    INTEGER NOT NULL,
    workload INTEGER NOT NULL,
    dry_run  INTEGER NOT NULL,
    replica  INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    reviews  INTEGER NOT NULL,
    PRIMARY KEY (image, workload, dry_run, replica)
) STRICT, WITHOUT ROWID;

CREATE INDEX image_workloads_of_workload ON image_workloads (workload, image);

-- Of what is kept of before: whose it was is not known any more of batches that are gone.
INSERT INTO image_workloads (image, workload, dry_run, replica, first_at, last_at, reviews)
    SELECT i.image, d.workload, d.dry_run, 1, min(d.key >> 21), max(d.key >> 21), count(*)
    FROM decisions d JOIN review_images i ON i.review = d.review GROUP BY i.image, d.workload, d.dry_run;

-- What of an inventory runs an image, and what it is told by of what runs ('' where the pods do not say it).
CREATE TABLE inventory_images (
    image     TEXT NOT NULL,
    inventory INTEGER NOT NULL,
    place     INTEGER NOT NULL,
    digest    TEXT NOT NULL,
    PRIMARY KEY (image, inventory, place, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX inventory_images_of_inventory ON inventory_images (inventory);

INSERT OR IGNORE INTO inventory_images (image, inventory, place, digest)
    SELECT json_extract(i.value, '$.text'), w.inventory, w.place, coalesce(json_extract(i.value, '$.digest'), '')
    FROM inventory_workloads w, json_each(w.contents, '$.images') i;

-- A binary of before would store decisions without their images, and inventories too.
INSERT INTO compatibility (schema, works_with) VALUES (15, 15);
