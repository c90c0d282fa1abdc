-- Spaces that are built beside the live one. A version stands in every space
-- that is kept complete, so it no longer belongs to one; a placement says that
-- all of its places in a space are there.

-- +goose Up

CREATE TABLE placements (
    tenant   TEXT    NOT NULL,
    document TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    space    INTEGER NOT NULL,
    passages INTEGER NOT NULL,
    PRIMARY KEY (tenant, document, version, space),
    FOREIGN KEY (tenant, document, version) REFERENCES versions ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX placements_space ON placements (tenant, space);

INSERT INTO placements (tenant, document, version, space, passages)
SELECT v.tenant, v.document, v.version, v.space,
       (SELECT count(*) FROM manifest m WHERE m.tenant = v.tenant AND m.document = v.document AND m.version = v.version)
FROM versions v
JOIN tasks t ON t.tenant = v.tenant AND t.document = v.document AND t.version = v.version
WHERE t.kind = 'knowledge' AND t.state = 'succeeded';

CREATE TABLE new_manifest (
    tenant     TEXT    NOT NULL,
    document   TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    space      INTEGER NOT NULL,
    ordinal    INTEGER NOT NULL,
    passage    INTEGER NOT NULL REFERENCES passages,
    start_byte INTEGER NOT NULL,
    end_byte   INTEGER NOT NULL,
    PRIMARY KEY (tenant, document, version, space, ordinal),
    FOREIGN KEY (tenant, document, version) REFERENCES versions ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

INSERT INTO new_manifest (tenant, document, version, space, ordinal, passage, start_byte, end_byte)
SELECT m.tenant, m.document, m.version, p.space, m.ordinal, m.passage, m.start_byte, m.end_byte
FROM manifest m
JOIN passages p ON p.id = m.passage;

DROP TABLE manifest;
ALTER TABLE new_manifest RENAME TO manifest;
CREATE INDEX manifest_passage ON manifest (passage);

-- A column of a foreign key cannot be dropped, and a table that others refer to
-- cannot be made anew without its rows' places, jobs and summaries going with
-- them. A constraint is no more than its text, so it is taken out of the text:
-- https://sqlite.org/lang_altertable.html#otheralter. Were it not there as
-- 00001 has it, the column would not be dropped, and nothing be changed.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
SET sql = replace(sql, ',
    FOREIGN KEY (tenant, space) REFERENCES spaces (tenant, id)', '')
WHERE type = 'table' AND name = 'versions';
PRAGMA writable_schema = RESET;
ALTER TABLE versions DROP COLUMN space;

-- What is uploaded is written to the live space and to all others that are
-- kept complete: those being built, and those that can be switched back to. A
-- space that is left is kept for a while, for its vectors at least.
ALTER TABLE spaces ADD written    INTEGER NOT NULL DEFAULT 1;
ALTER TABLE spaces ADD drop_after INTEGER;

-- A reindex is a task of its own, with what fences and dispatches one. Its
-- spaces may be dropped, so it says itself what they are. Reached is the last
-- document that is done; counted_at is until when the time at work is counted of
-- one that changes nothing.
CREATE TABLE reindexes (
    tenant          TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    collection      TEXT    NOT NULL,
    change          TEXT    NOT NULL CHECK (change IN ('nothing', 'model', 'chunking')),
    from_space      INTEGER NOT NULL,
    to_space        INTEGER NOT NULL,
    model           TEXT    NOT NULL,
    dimensions      INTEGER NOT NULL,
    chunk_tokens    INTEGER NOT NULL,
    chunk_overlap   INTEGER NOT NULL,
    key_prefix      TEXT    NOT NULL DEFAULT '',
    documents       TEXT    NOT NULL DEFAULT '[]' CHECK (json_type(documents) = 'array'),
    force           INTEGER NOT NULL DEFAULT 0,
    state           TEXT    NOT NULL DEFAULT 'queued'
                    CHECK (state IN ('queued', 'running', 'waiting', 'paused', 'succeeded', 'failed', 'cancelled')),
    stage           TEXT    NOT NULL DEFAULT 'documents',
    reached         TEXT,
    progress        TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(progress)),
    attempt         INTEGER NOT NULL DEFAULT 0,
    crashes         INTEGER NOT NULL DEFAULT 0,
    round           INTEGER NOT NULL DEFAULT 0,
    lease           TEXT,
    lease_until     INTEGER,
    next_attempt_at INTEGER,
    dispatched_at   INTEGER,
    error           TEXT    NOT NULL DEFAULT '',
    created_at      INTEGER NOT NULL,
    started_at      INTEGER,
    finished_at     INTEGER,
    counted_at      INTEGER,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, collection) REFERENCES collections (tenant, id)
) STRICT, WITHOUT ROWID;

-- One at a time.
CREATE UNIQUE INDEX reindexes_active ON reindexes (tenant, collection)
    WHERE state IN ('queued', 'running', 'waiting', 'paused');

-- Of the jobs that a reindex made.
ALTER TABLE jobs ADD reindex TEXT;
CREATE INDEX jobs_reindex ON jobs (tenant, reindex) WHERE reindex IS NOT NULL;
