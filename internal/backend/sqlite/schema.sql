-- The tables of the SQLite store after all migrations, to read; nothing executes it.
-- The program defines the function metadata_fields.
-- Do not edit it. After a change of the migrations run
--   go test ./internal/backend/sqlite -run TestSchemaFileIsCurrent -update

CREATE TABLE backlog (
    tenant TEXT PRIMARY KEY REFERENCES tenants,
    jobs INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE collections (
    tenant TEXT NOT NULL REFERENCES tenants,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    active_space INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    summaries TEXT CHECK (summaries IN ('model', 'on_demand', 'off')),
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, name),
    FOREIGN KEY (tenant, active_space) REFERENCES spaces (tenant, id) DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID;
CREATE INDEX collections_space ON collections (tenant, active_space);
CREATE TRIGGER collections_made AFTER INSERT ON collections BEGIN
    UPDATE tenants SET collections = collections + 1 WHERE id = NEW.tenant;
END;
CREATE TRIGGER collections_removed AFTER DELETE ON collections BEGIN
    UPDATE tenants SET collections = collections - 1 WHERE id = OLD.tenant;
END;

CREATE TABLE deliveries (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    webhook TEXT NOT NULL,
    event TEXT NOT NULL,
    job TEXT NOT NULL,
    document TEXT NOT NULL,
    body BLOB NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    status INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    next_attempt_at INTEGER,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, webhook) REFERENCES webhooks ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (tenant, webhook, next_attempt_at) WHERE state = 'pending';
CREATE INDEX deliveries_ended ON deliveries (tenant, ended_at) WHERE state <> 'pending';
CREATE INDEX deliveries_webhook ON deliveries (tenant, webhook, id);

CREATE TABLE document_fields (
    tenant TEXT NOT NULL,
    collection TEXT NOT NULL,
    field TEXT NOT NULL,
    value TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (tenant, collection, field, value, document)
) STRICT, WITHOUT ROWID;

CREATE TABLE documents (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'ready', 'failed', 'deleting')),
    published_version INTEGER,
    newest_version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, collection) REFERENCES collections (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX documents_collection ON documents (tenant, collection, id) WHERE deleted_at IS NULL;
CREATE INDEX documents_collection_state ON documents (tenant, collection, state, id) WHERE deleted_at IS NULL;
CREATE INDEX documents_collection_state_key ON documents (tenant, collection, state, key, id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX documents_key ON documents (tenant, collection, key) WHERE deleted_at IS NULL;
CREATE INDEX documents_state ON documents (tenant, state, id) WHERE deleted_at IS NULL;
CREATE INDEX documents_state_key ON documents (tenant, state, key, id) WHERE deleted_at IS NULL;
CREATE TRIGGER document_fields AFTER UPDATE OF published_version, deleted_at ON documents
WHEN OLD.published_version IS NOT NEW.published_version OR OLD.deleted_at IS NOT NEW.deleted_at
BEGIN
    DELETE FROM document_fields
    WHERE OLD.deleted_at IS NULL AND tenant = OLD.tenant AND collection = OLD.collection AND document = OLD.id
      AND (field, value) IN (SELECT f.value ->> 0, f.value ->> 1
                             FROM versions v
                             CROSS JOIN json_each(metadata_fields(v.metadata)) f
                             WHERE v.tenant = OLD.tenant AND v.document = OLD.id AND v.version = OLD.published_version);
    INSERT OR IGNORE INTO document_fields (tenant, collection, field, value, document)
    SELECT NEW.tenant, NEW.collection, f.value ->> 0, f.value ->> 1, NEW.id
    FROM versions v
    CROSS JOIN json_each(metadata_fields(v.metadata)) f
    WHERE NEW.deleted_at IS NULL AND v.tenant = NEW.tenant AND v.document = NEW.id AND v.version = NEW.published_version;
END;
CREATE TRIGGER missed_publications AFTER UPDATE OF published_version ON documents
WHEN NEW.published_version IS NOT NULL AND NEW.published_version IS NOT OLD.published_version
BEGIN
    UPDATE spaces SET missed_publications = missed_publications + 1
    WHERE tenant = NEW.tenant AND collection = NEW.collection AND written
      AND NOT EXISTS (SELECT 1 FROM space_versions pl
                      WHERE pl.tenant = NEW.tenant AND pl.document = NEW.id AND pl.version = NEW.published_version AND pl.space = spaces.id);
END;

CREATE TABLE garbage (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL REFERENCES tenants,
    kind TEXT NOT NULL CHECK (kind IN ('version', 'object', 'passages', 'space', 'search')),
    due_at INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    document TEXT,
    version INTEGER,
    object TEXT,
    space INTEGER,
    hashes TEXT CHECK (json_valid(hashes)),
    scan_cursor TEXT CHECK (json_valid(scan_cursor))
) STRICT;
CREATE INDEX garbage_due ON garbage (tenant, due_at, id);
CREATE INDEX garbage_object ON garbage (tenant, object) WHERE kind = 'object';
CREATE INDEX garbage_space ON garbage (tenant, space) WHERE kind IN ('passages', 'space');
CREATE INDEX garbage_version ON garbage (tenant, document, version) WHERE kind = 'version';

CREATE TABLE idempotency_keys (
    tenant TEXT NOT NULL REFERENCES tenants,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    answer TEXT NOT NULL CHECK (json_valid(answer)),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_age ON idempotency_keys (tenant, created_at);

CREATE TABLE jobs (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    document TEXT NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    size INTEGER NOT NULL DEFAULT 0,
    reindex TEXT,
    collection TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, document, version),
    FOREIGN KEY (tenant, document, version) REFERENCES versions ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_collection_state ON jobs (tenant, collection, state, id);
CREATE INDEX jobs_reindex ON jobs (tenant, reindex) WHERE reindex IS NOT NULL;
CREATE INDEX jobs_state ON jobs (tenant, state, id);
CREATE TRIGGER backlog_delete AFTER DELETE ON jobs WHEN OLD.state IN ('queued', 'running', 'waiting')
BEGIN
    UPDATE backlog SET jobs = jobs - 1, bytes = bytes - OLD.size WHERE tenant = OLD.tenant;
END;
CREATE TRIGGER backlog_end AFTER UPDATE OF state ON jobs
WHEN OLD.state IN ('queued', 'running', 'waiting') AND NEW.state NOT IN ('queued', 'running', 'waiting')
BEGIN
    UPDATE backlog SET jobs = jobs - 1, bytes = bytes - OLD.size WHERE tenant = OLD.tenant;
END;
CREATE TRIGGER backlog_insert AFTER INSERT ON jobs WHEN NEW.state IN ('queued', 'running', 'waiting')
BEGIN
    INSERT INTO backlog (tenant, jobs, bytes) VALUES (NEW.tenant, 1, NEW.size)
    ON CONFLICT (tenant) DO UPDATE SET jobs = jobs + 1, bytes = bytes + NEW.size;
END;
CREATE TRIGGER backlog_resume AFTER UPDATE OF state ON jobs
WHEN OLD.state NOT IN ('queued', 'running', 'waiting') AND NEW.state IN ('queued', 'running', 'waiting')
BEGIN
    UPDATE backlog SET jobs = jobs + 1, bytes = bytes + NEW.size WHERE tenant = NEW.tenant;
END;

CREATE TABLE "manifest" (
    tenant TEXT NOT NULL,
    document TEXT NOT NULL,
    version INTEGER NOT NULL,
    space INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    passage INTEGER NOT NULL REFERENCES passages,
    start_byte INTEGER NOT NULL,
    end_byte INTEGER NOT NULL,
    PRIMARY KEY (tenant, document, version, space, ordinal),
    FOREIGN KEY (tenant, document, version) REFERENCES versions ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_passage ON manifest (passage);

CREATE TABLE passages (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    space INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    embedding BLOB NOT NULL,
    heading_path TEXT NOT NULL,
    context TEXT NOT NULL,
    content TEXT NOT NULL,
    title TEXT NOT NULL DEFAULT '',
    omitted TEXT,
    embedded_bytes INTEGER,
    UNIQUE (tenant, space, hash),
    FOREIGN KEY (tenant, space) REFERENCES spaces (tenant, id)
) STRICT;
CREATE INDEX passages_hash ON passages (tenant, hash);

CREATE TABLE reindexes (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    collection TEXT NOT NULL,
    change TEXT NOT NULL CHECK (change IN ('nothing', 'model', 'chunking')),
    from_space INTEGER NOT NULL,
    to_space INTEGER NOT NULL,
    model TEXT NOT NULL,
    dimensions INTEGER NOT NULL,
    chunk_tokens INTEGER NOT NULL,
    chunk_overlap INTEGER NOT NULL,
    key_prefix TEXT NOT NULL DEFAULT '',
    documents TEXT NOT NULL DEFAULT '[]' CHECK (json_type(documents) = 'array'),
    force INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'waiting', 'paused', 'succeeded', 'failed', 'cancelled')),
    stage TEXT NOT NULL DEFAULT 'documents',
    last_document TEXT,
    progress TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(progress)),
    attempt INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    round INTEGER NOT NULL DEFAULT 0,
    lease TEXT,
    lease_until INTEGER,
    next_attempt_at INTEGER,
    dispatched_at INTEGER,
    error TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    counted_at INTEGER,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, collection) REFERENCES collections (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX reindexes_active ON reindexes (tenant, collection)
    WHERE state IN ('queued', 'running', 'waiting', 'paused');
CREATE INDEX reindexes_space ON reindexes (tenant, to_space);
CREATE INDEX reindexes_unended ON reindexes (tenant, dispatched_at, id) WHERE state IN ('queued', 'running', 'waiting');

CREATE TABLE released_sections (
    tenant TEXT NOT NULL REFERENCES tenants,
    node BLOB NOT NULL,
    released_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX released_sections_age ON released_sections (tenant, released_at);

CREATE TABLE section_summaries (
    tenant TEXT NOT NULL REFERENCES tenants,
    node BLOB NOT NULL CHECK (length(node) = 32),
    summary TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, node)
) STRICT, WITHOUT ROWID;

CREATE TABLE "space_versions" (
    tenant TEXT NOT NULL,
    document TEXT NOT NULL,
    version INTEGER NOT NULL,
    space INTEGER NOT NULL,
    passages INTEGER NOT NULL,
    warnings TEXT NOT NULL DEFAULT '[]',
    left_out TEXT,
    PRIMARY KEY (tenant, document, version, space),
    FOREIGN KEY (tenant, document, version) REFERENCES versions ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX space_versions_left_out ON space_versions (tenant, space, document) WHERE left_out IS NOT NULL;
CREATE INDEX space_versions_space ON space_versions (tenant, space);

CREATE TABLE spaces (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    collection TEXT NOT NULL,
    model TEXT NOT NULL,
    dimensions INTEGER NOT NULL,
    chunk_tokens INTEGER NOT NULL,
    chunk_overlap INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    written INTEGER NOT NULL DEFAULT 1,
    drop_after INTEGER,
    missed_publications INTEGER NOT NULL DEFAULT 0,
    UNIQUE (tenant, id),
    FOREIGN KEY (tenant, collection) REFERENCES collections (tenant, id)
) STRICT;
CREATE INDEX spaces_collection ON spaces (tenant, collection);

CREATE TABLE summaries (
    tenant TEXT NOT NULL,
    document TEXT NOT NULL,
    version INTEGER NOT NULL,
    model TEXT NOT NULL,
    summary TEXT NOT NULL,
    PRIMARY KEY (tenant, document, version),
    FOREIGN KEY (tenant, document, version) REFERENCES versions ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE "tasks" (
    tenant TEXT NOT NULL,
    document TEXT NOT NULL,
    version INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('knowledge', 'summary')),
    job TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
    attempt INTEGER NOT NULL DEFAULT 0,
    round INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    lease TEXT,
    lease_until INTEGER,
    next_attempt_at INTEGER,
    dispatched_at INTEGER,
    error TEXT NOT NULL DEFAULT '',
    progress TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(progress)),
    summary_requested INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, document, version, kind),
    FOREIGN KEY (tenant, document, version) REFERENCES jobs (tenant, document, version) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_undispatched ON tasks (tenant, kind, job) WHERE state = 'queued' AND dispatched_at IS NULL;
CREATE INDEX tasks_unended ON tasks (tenant, dispatched_at) WHERE state IN ('queued', 'running', 'waiting');

CREATE TABLE tenants (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    collections INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE uploads (
    tenant TEXT NOT NULL REFERENCES tenants,
    object TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, object)
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_age ON uploads (tenant, created_at);

CREATE TABLE verifications (
    tenant TEXT PRIMARY KEY REFERENCES tenants,
    last_document TEXT NOT NULL,
    documents INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    findings INTEGER NOT NULL,
    started_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE version_sections (
    tenant TEXT NOT NULL,
    document TEXT NOT NULL,
    version INTEGER NOT NULL,
    node BLOB NOT NULL,
    PRIMARY KEY (tenant, document, version, node),
    FOREIGN KEY (tenant, document, version) REFERENCES versions ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX version_sections_node ON version_sections (tenant, node);

CREATE TABLE versions (
    tenant TEXT NOT NULL,
    document TEXT NOT NULL,
    version INTEGER NOT NULL,
    title TEXT NOT NULL,
    metadata TEXT NOT NULL CHECK (json_type(metadata) = 'object'),
    object TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    media_type TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    warnings TEXT NOT NULL DEFAULT '[]',
    summary_warnings TEXT NOT NULL DEFAULT '[]',
    title_from_key INTEGER,
    object_etag TEXT NOT NULL DEFAULT '',
    damage TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, document, version),
    FOREIGN KEY (tenant, document) REFERENCES documents (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX versions_object ON versions (tenant, object);

CREATE TABLE webhooks (
    tenant TEXT NOT NULL REFERENCES tenants,
    id TEXT NOT NULL,
    url TEXT NOT NULL,
    secret BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
