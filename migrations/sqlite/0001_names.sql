-- Names are numbers: every other table holds these ids, so that a decision stays a small row.
-- Rows here are only ever added. Uniqueness is by the name as it came, compared by bytes.

CREATE TABLE clusters (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- The name '' stands for "no namespace": a review of a cluster-wide object.
CREATE TABLE namespaces (
    id      INTEGER PRIMARY KEY,
    cluster INTEGER NOT NULL,
    name    TEXT NOT NULL,
    UNIQUE (cluster, name)
) STRICT;

CREATE TABLE workloads (
    id        INTEGER PRIMARY KEY,
    namespace INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    name      TEXT NOT NULL,
    UNIQUE (namespace, kind, name)
) STRICT;

CREATE TABLE policies (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE rules (
    id     INTEGER PRIMARY KEY,
    policy INTEGER NOT NULL,
    name   TEXT NOT NULL,
    UNIQUE (policy, name)
) STRICT;

CREATE TABLE users (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- Loaded states of all policies.
CREATE TABLE revisions (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- At most history.max_names beside the first row, into which every later one falls.
CREATE TABLE repositories (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE             -- registry/repository
) STRICT;

INSERT INTO repositories (id, name) VALUES (1, 'other');

-- An image as written. Its repository is assigned once and kept, so that figures can be recounted from the rows
-- even where a repository fell into 'other'.
CREATE TABLE images (
    id         INTEGER PRIMARY KEY,
    text       TEXT NOT NULL UNIQUE,
    repository INTEGER                    -- NULL: it cannot be read
) STRICT;

CREATE INDEX images_repository ON images (repository);
