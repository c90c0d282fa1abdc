-- The metadata of published documents as rows, so that a search under a filter
-- finds its documents by an index.

-- +goose Up

CREATE TABLE document_fields (
    tenant     TEXT NOT NULL,
    collection TEXT NOT NULL,
    field      TEXT NOT NULL,
    value      TEXT NOT NULL,
    document   TEXT NOT NULL,
    PRIMARY KEY (tenant, collection, field, value, document)
) STRICT, WITHOUT ROWID;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('document_fields', 'document_fields', '3000000 300000 3000 1000 100 1');
ANALYZE sqlite_schema;

INSERT OR IGNORE INTO document_fields (tenant, collection, field, value, document)
SELECT d.tenant, d.collection, f.value ->> 0, f.value ->> 1, d.id
FROM documents d
CROSS JOIN versions v ON v.tenant = d.tenant AND v.document = d.id AND v.version = d.live_version
CROSS JOIN json_each(metadata_fields(v.metadata)) f
WHERE d.deleted_at IS NULL;

-- Replaces the rows of a document when another version is published, and removes
-- them when it is deleted.
-- +goose StatementBegin
CREATE TRIGGER document_fields AFTER UPDATE OF live_version, deleted_at ON documents
WHEN OLD.live_version IS NOT NEW.live_version OR OLD.deleted_at IS NOT NEW.deleted_at
BEGIN
    DELETE FROM document_fields
    WHERE OLD.deleted_at IS NULL AND tenant = OLD.tenant AND collection = OLD.collection AND document = OLD.id
      AND (field, value) IN (SELECT f.value ->> 0, f.value ->> 1
                             FROM versions v
                             CROSS JOIN json_each(metadata_fields(v.metadata)) f
                             WHERE v.tenant = OLD.tenant AND v.document = OLD.id AND v.version = OLD.live_version);
    INSERT OR IGNORE INTO document_fields (tenant, collection, field, value, document)
    SELECT NEW.tenant, NEW.collection, f.value ->> 0, f.value ->> 1, NEW.id
    FROM versions v
    CROSS JOIN json_each(metadata_fields(v.metadata)) f
    WHERE NEW.deleted_at IS NULL AND v.tenant = NEW.tenant AND v.document = NEW.id AND v.version = NEW.live_version;
END;
-- +goose StatementEnd
