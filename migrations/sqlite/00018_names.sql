-- Renames columns, a table and a trigger to the terms that the code and the
-- documents use, so that a reader of the database meets one word for one thing:
-- a document has a published version, a collection an active space, and a version
-- that stands whole in a space is a space version.
--
-- SQLite follows a rename in foreign keys, checks, indexes and triggers. It has no
-- rename for an index or a trigger: these are made anew, which reads space_versions
-- once for each index, a second or two for a million rows. It does not follow a
-- rename in its statistics: their rows are written again, as 00016 has them.

-- +goose Up

ALTER TABLE documents RENAME COLUMN live_version TO published_version;
ALTER TABLE collections RENAME COLUMN live_space TO active_space;
ALTER TABLE tasks RENAME COLUMN asked TO summary_requested;
ALTER TABLE versions RENAME COLUMN tag TO object_etag;
ALTER TABLE spaces RENAME COLUMN missed TO missed_publications;
ALTER TABLE reindexes RENAME COLUMN reached TO last_document;
ALTER TABLE verifications RENAME COLUMN reached TO last_document;
ALTER TABLE garbage RENAME COLUMN reached TO scan_cursor;
ALTER TABLE placements RENAME TO space_versions;

DROP INDEX placements_space;
DROP INDEX placements_left_out;
CREATE INDEX space_versions_space ON space_versions (tenant, space);
CREATE INDEX space_versions_left_out ON space_versions (tenant, space, document) WHERE left_out IS NOT NULL;

DELETE FROM sqlite_stat1 WHERE tbl IN ('placements', 'space_versions');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('space_versions', 'space_versions', '1000000 100000 1 1 1'),
    ('space_versions', 'space_versions_left_out', '1000 100 1 1'),
    ('space_versions', 'space_versions_space', '1000000 100000 100');

DROP TRIGGER missed;
-- +goose StatementBegin
CREATE TRIGGER missed_publications AFTER UPDATE OF published_version ON documents
WHEN NEW.published_version IS NOT NULL AND NEW.published_version IS NOT OLD.published_version
BEGIN
    UPDATE spaces SET missed_publications = missed_publications + 1
    WHERE tenant = NEW.tenant AND collection = NEW.collection AND written
      AND NOT EXISTS (SELECT 1 FROM space_versions pl
                      WHERE pl.tenant = NEW.tenant AND pl.document = NEW.id AND pl.version = NEW.published_version AND pl.space = spaces.id);
END;
-- +goose StatementEnd

ANALYZE sqlite_schema; -- reads the statistics
