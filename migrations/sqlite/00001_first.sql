-- The first tables of the SQLite store. Every row carries its tenant, every
-- key begins with it, and rows refer to rows of the same tenant only. Times are
-- microseconds since 1970 UTC, ids are UUIDs as text, hashes are 32 bytes.

-- +goose Up
CREATE TABLE tenants (
    id         TEXT    PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO tenants (id, created_at) VALUES ('default', unixepoch() * 1000000);

-- live_space is checked at the end of the transaction, since a collection and
-- its first space refer to each other.
CREATE TABLE collections (
    tenant     TEXT    NOT NULL REFERENCES tenants,
    id         TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    live_space INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, name),
    FOREIGN KEY (tenant, live_space) REFERENCES spaces (tenant, id) DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID;

-- A space is one embedding model with one chunking.
CREATE TABLE spaces (
    id            INTEGER PRIMARY KEY,
    tenant        TEXT    NOT NULL,
    collection    TEXT    NOT NULL,
    model         TEXT    NOT NULL,
    dimensions    INTEGER NOT NULL,
    chunk_tokens  INTEGER NOT NULL,
    chunk_overlap INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    UNIQUE (tenant, id),
    FOREIGN KEY (tenant, collection) REFERENCES collections (tenant, id)
) STRICT;

-- live_version is the one that readers see: switching it is what publishes.
-- A deleted document keeps its row until its versions are swept, but its key
-- is free at once.
CREATE TABLE documents (
    tenant         TEXT    NOT NULL,
    id             TEXT    NOT NULL,
    collection     TEXT    NOT NULL,
    key            TEXT    NOT NULL,
    state          TEXT    NOT NULL CHECK (state IN ('pending', 'ready', 'failed', 'deleting')),
    live_version   INTEGER,
    newest_version INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    deleted_at     INTEGER,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, collection) REFERENCES collections (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX documents_key ON documents (tenant, collection, key) WHERE deleted_at IS NULL;

CREATE TABLE versions (
    tenant     TEXT    NOT NULL,
    document   TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    space      INTEGER NOT NULL,
    title      TEXT    NOT NULL,
    metadata   TEXT    NOT NULL CHECK (json_type(metadata) = 'object'),
    object     TEXT    NOT NULL,
    size       INTEGER NOT NULL,
    sha256     TEXT    NOT NULL,
    media_type TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, document, version),
    FOREIGN KEY (tenant, document) REFERENCES documents (tenant, id),
    FOREIGN KEY (tenant, space) REFERENCES spaces (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX versions_object ON versions (tenant, object);

-- A passage never changes. The embedding (32-bit floats, little-endian) comes
-- before the texts, so that a search reads it without walking over them.
CREATE TABLE passages (
    id           INTEGER PRIMARY KEY,
    tenant       TEXT    NOT NULL,
    space        INTEGER NOT NULL,
    hash         BLOB    NOT NULL CHECK (length(hash) = 32),
    created_at   INTEGER NOT NULL,
    tokens       INTEGER NOT NULL,
    embedding    BLOB    NOT NULL,
    heading_path TEXT    NOT NULL,
    context      TEXT    NOT NULL,
    content      TEXT    NOT NULL,
    UNIQUE (tenant, space, hash),
    FOREIGN KEY (tenant, space) REFERENCES spaces (tenant, id)
) STRICT;

-- The manifest says where in a version which passage stands.
CREATE TABLE manifest (
    tenant     TEXT    NOT NULL,
    document   TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    ordinal    INTEGER NOT NULL,
    passage    INTEGER NOT NULL REFERENCES passages,
    start_byte INTEGER NOT NULL,
    end_byte   INTEGER NOT NULL,
    PRIMARY KEY (tenant, document, version, ordinal),
    FOREIGN KEY (tenant, document, version) REFERENCES versions ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX manifest_passage ON manifest (passage);

-- A job's state follows from its tasks' and is written with them.
CREATE TABLE jobs (
    tenant      TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    document    TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
    created_at  INTEGER NOT NULL,
    started_at  INTEGER,
    finished_at INTEGER,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, document, version),
    FOREIGN KEY (tenant, document, version) REFERENCES versions ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- The lease fences a task: who does not hold it writes nothing.
CREATE TABLE tasks (
    tenant          TEXT    NOT NULL,
    document        TEXT    NOT NULL,
    version         INTEGER NOT NULL,
    kind            TEXT    NOT NULL CHECK (kind IN ('knowledge', 'summary')),
    state           TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
    attempt         INTEGER NOT NULL DEFAULT 0,
    lease           TEXT,
    lease_until     INTEGER,
    next_attempt_at INTEGER,
    dispatched_at   INTEGER NOT NULL,
    error           TEXT    NOT NULL DEFAULT '',
    progress        TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(progress)),
    PRIMARY KEY (tenant, document, version, kind),
    FOREIGN KEY (tenant, document, version) REFERENCES jobs (tenant, document, version) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX tasks_unended ON tasks (tenant, dispatched_at) WHERE state IN ('queued', 'running', 'waiting');

-- A section's summary is kept under the hash of what was summarised, so it
-- outlives versions.
CREATE TABLE section_summaries (
    tenant     TEXT    NOT NULL REFERENCES tenants,
    node       BLOB    NOT NULL CHECK (length(node) = 32),
    summary    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, node)
) STRICT, WITHOUT ROWID;

CREATE TABLE summaries (
    tenant   TEXT    NOT NULL,
    document TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    model    TEXT    NOT NULL,
    summary  TEXT    NOT NULL,
    PRIMARY KEY (tenant, document, version),
    FOREIGN KEY (tenant, document, version) REFERENCES versions ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
