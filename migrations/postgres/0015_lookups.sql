-- What stands against the workloads of a namespace is found by workload and day, and a workload by its name.
CREATE INDEX workload_rules_of_workload ON workload_rules (workload, day);
CREATE INDEX workloads_by_name ON workloads (name);

-- Whoever follows what is new asks for the batches of each replica after the last one that it saw.
CREATE INDEX batches_of_replica ON batches (replica, id);

-- A binary of before has nothing to do with them.
INSERT INTO compatibility (schema, works_with) VALUES (15, 4);
