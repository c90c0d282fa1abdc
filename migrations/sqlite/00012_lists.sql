-- Indexes of the lists of documents and jobs: one entry after another is what a page
-- shows, whatever the filter and however deep.

-- +goose Up

CREATE INDEX documents_state ON documents (tenant, state, id) WHERE deleted_at IS NULL;
CREATE INDEX documents_collection_state ON documents (tenant, collection, state, id) WHERE deleted_at IS NULL;
CREATE INDEX documents_state_key ON documents (tenant, state, key, id) WHERE deleted_at IS NULL;
CREATE INDEX documents_collection_state_key ON documents (tenant, collection, state, key, id) WHERE deleted_at IS NULL;

ALTER TABLE jobs ADD collection TEXT NOT NULL DEFAULT '';
UPDATE jobs SET collection = d.collection FROM documents d WHERE d.tenant = jobs.tenant AND d.id = jobs.document;

CREATE INDEX jobs_state ON jobs (tenant, state, id);
CREATE INDEX jobs_collection_state ON jobs (tenant, collection, state, id);
