-- Statistics, so that SQLite chooses the index that fits a large database.
--
-- Without any it takes ten rows for what one value of an index's first column has.
-- That column is the tenant, which all rows may have: it read all documents of the
-- tenant for those of a collection, and all tasks for those that wait. These are
-- not measured but say how the columns are shaped: a million documents of ten
-- tenants in a thousand collections. So plans are the same everywhere, and a test
-- can hold them. An index that is added needs its row here: the number of rows,
-- then of those that share the first column, the first two, and so on.
--
-- And indexes for what the others do not narrow: the spaces of a collection,
-- the passages with a hash in any space, what refers to a space, and documents of a
-- collection in order of id.

-- +goose Up

CREATE INDEX spaces_collection ON spaces (tenant, collection);
CREATE INDEX documents_collection ON documents (tenant, collection, id) WHERE deleted_at IS NULL;
CREATE INDEX passages_hash ON passages (tenant, hash);
CREATE INDEX collections_space ON collections (tenant, live_space);
CREATE INDEX reindexes_space ON reindexes (tenant, to_space);

ANALYZE tenants; -- makes the table
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('tenants', 'tenants', '10 1'),
    ('collections', 'collections', '1000 100 1'),
    ('collections', 'collections_space', '1000 100 1'),
    ('collections', 'sqlite_autoindex_collections_2', '1000 100 1'),
    ('spaces', 'spaces_collection', '1000 100 1'),
    ('spaces', 'sqlite_autoindex_spaces_1', '1000 100 1'),
    ('documents', 'documents', '1000000 100000 1'),
    ('documents', 'documents_collection', '1000000 100000 100 1'),
    ('documents', 'documents_collection_state', '1000000 100000 100 25 1'),
    ('documents', 'documents_collection_state_key', '1000000 100000 100 25 1 1'),
    ('documents', 'documents_key', '1000000 100000 100 1'),
    ('documents', 'documents_state', '1000000 100000 25000 1'),
    ('documents', 'documents_state_key', '1000000 100000 25000 1 1'),
    ('versions', 'versions', '1000000 100000 1 1'),
    ('versions', 'versions_object', '1000000 100000 1'),
    ('passages', 'passages_hash', '10000000 1000000 1'),
    ('passages', 'sqlite_autoindex_passages_1', '10000000 1000000 1000 1'),
    ('jobs', 'jobs', '1000000 100000 1'),
    ('jobs', 'jobs_collection_state', '1000000 100000 100 25 1'),
    ('jobs', 'jobs_reindex', '10000 1000 100'),
    ('jobs', 'jobs_state', '1000000 100000 25000 1'),
    ('jobs', 'sqlite_autoindex_jobs_2', '1000000 100000 1 1'),
    ('section_summaries', 'section_summaries', '10000000 1000000 1'),
    ('summaries', 'summaries', '1000000 100000 1 1'),
    ('tasks', 'tasks', '2000000 200000 2 2 1'),
    ('tasks', 'tasks_undispatched', '100000 10000 5000 1'),
    ('tasks', 'tasks_unended', '100000 10000 1'),
    ('uploads', 'uploads', '1000 100 1'),
    ('uploads', 'uploads_age', '1000 100 1'),
    ('idempotency_keys', 'idempotency_keys', '100000 10000 1'),
    ('idempotency_keys', 'idempotency_keys_age', '100000 10000 1'),
    ('backlog', 'backlog', '10 1'),
    ('webhooks', 'webhooks', '10 10 1'),
    ('deliveries', 'deliveries', '1000000 100000 1'),
    ('deliveries', 'deliveries_due', '1000 100 10 1'),
    ('deliveries', 'deliveries_ended', '1000000 100000 1'),
    ('deliveries', 'deliveries_webhook', '1000000 100000 10000 1'),
    ('placements', 'placements', '1000000 100000 1 1 1'),
    ('placements', 'placements_left_out', '1000 100 1 1'),
    ('placements', 'placements_space', '1000000 100000 100'),
    ('manifest', 'manifest', '10000000 1000000 10 10 1 1'),
    ('manifest', 'manifest_passage', '10000000 1'),
    ('reindexes', 'reindexes', '1000 100 1'),
    ('reindexes', 'reindexes_active', '10 1 1'),
    ('reindexes', 'reindexes_space', '1000 100 1'),
    ('reindexes', 'reindexes_unended', '10 1 1 1'),
    ('version_sections', 'version_sections', '10000000 1000000 10 10 1'),
    ('version_sections', 'version_sections_node', '10000000 1000000 1'),
    ('released_sections', 'released_sections', '100000 10000 1'),
    ('released_sections', 'released_sections_age', '100000 10000 1'),
    ('verifications', 'verifications', '10 1'),
    ('garbage', 'garbage_due', '100000 10000 1 1'),
    ('garbage', 'garbage_object', '10000 1000 1'),
    ('garbage', 'garbage_space', '10000 1000 1'),
    ('garbage', 'garbage_version', '100000 10000 1 1');

ANALYZE sqlite_schema; -- reads them
