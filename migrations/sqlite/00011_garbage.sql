-- The garbage list: what may be removed, and when. The transaction that makes
-- something garbage writes its entry, so that the sweep searches for nothing.

-- +goose Up

-- What an entry names depends on its kind: a version (document, version), an
-- object, passages that may stand nowhere (space, hashes, as a JSON array of
-- hexadecimal), a space that was left (space), or a search of all rows for what
-- no entry names (reached). Passages with a document were paid for by an attempt
-- of its version's task, which the next attempt may place again.
CREATE TABLE garbage (
    id       INTEGER PRIMARY KEY,
    tenant   TEXT    NOT NULL REFERENCES tenants,
    kind     TEXT    NOT NULL CHECK (kind IN ('version', 'object', 'passages', 'space', 'search')),
    due_at   INTEGER NOT NULL,
    tries    INTEGER NOT NULL DEFAULT 0,
    document TEXT,
    version  INTEGER,
    object   TEXT,
    space    INTEGER,
    hashes   TEXT CHECK (json_valid(hashes)),
    reached  TEXT CHECK (json_valid(reached))
) STRICT;

CREATE INDEX garbage_due ON garbage (tenant, due_at, id);

-- Is a version, an object, a space or a passage listed?
CREATE INDEX garbage_version ON garbage (tenant, document, version) WHERE kind = 'version';
CREATE INDEX garbage_object ON garbage (tenant, object) WHERE kind = 'object';
CREATE INDEX garbage_space ON garbage (tenant, space) WHERE kind IN ('passages', 'space');

-- Which uploads began the longest ago?
CREATE INDEX uploads_age ON uploads (tenant, created_at);

-- What became garbage before is on no list: the search finds it.
INSERT INTO garbage (tenant, kind, due_at) SELECT id, 'search', 0 FROM tenants;

-- The objects of uploads that were given up are listed from now on.
INSERT INTO garbage (tenant, kind, due_at, object) SELECT tenant, 'object', 0, object FROM uploads WHERE abandoned_at IS NOT NULL;
DELETE FROM uploads WHERE abandoned_at IS NOT NULL;
ALTER TABLE uploads DROP COLUMN abandoned_at;
