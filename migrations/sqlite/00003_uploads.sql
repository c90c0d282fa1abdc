-- What keeps uploads honest: notes of objects about to be written, answers to
-- uploads that are sent again, and how much work each tenant has waiting.

-- +goose Up

-- The note of an object that is about to be written. Accepting the document
-- takes it in the same transaction, so an object without a document has a note.
-- A note that the sweep has abandoned cannot be taken any more.
CREATE TABLE uploads (
    tenant       TEXT    NOT NULL REFERENCES tenants,
    object       TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    abandoned_at INTEGER,
    PRIMARY KEY (tenant, object)
) STRICT, WITHOUT ROWID;

-- The answer to the first upload under a key, written with what it accepted.
CREATE TABLE idempotency_keys (
    tenant      TEXT    NOT NULL REFERENCES tenants,
    key         TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    answer      TEXT    NOT NULL CHECK (json_valid(answer)),
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_age ON idempotency_keys (tenant, created_at);

-- How many jobs of a tenant have not ended, and the bytes of their originals.
CREATE TABLE backlog (
    tenant TEXT    PRIMARY KEY REFERENCES tenants,
    jobs   INTEGER NOT NULL,
    bytes  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Of the original. A job that is deleted with its version has to know it still.
ALTER TABLE jobs ADD size INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET size = v.size FROM versions v
WHERE v.tenant = jobs.tenant AND v.document = jobs.document AND v.version = jobs.version;

INSERT INTO backlog (tenant, jobs, bytes)
SELECT tenant, count(*), sum(size) FROM jobs WHERE state IN ('queued', 'running', 'waiting') GROUP BY tenant;

-- +goose StatementBegin
CREATE TRIGGER backlog_insert AFTER INSERT ON jobs WHEN NEW.state IN ('queued', 'running', 'waiting')
BEGIN
    INSERT INTO backlog (tenant, jobs, bytes) VALUES (NEW.tenant, 1, NEW.size)
    ON CONFLICT (tenant) DO UPDATE SET jobs = jobs + 1, bytes = bytes + NEW.size;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER backlog_end AFTER UPDATE OF state ON jobs
WHEN OLD.state IN ('queued', 'running', 'waiting') AND NEW.state NOT IN ('queued', 'running', 'waiting')
BEGIN
    UPDATE backlog SET jobs = jobs - 1, bytes = bytes - OLD.size WHERE tenant = OLD.tenant;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER backlog_resume AFTER UPDATE OF state ON jobs
WHEN OLD.state NOT IN ('queued', 'running', 'waiting') AND NEW.state IN ('queued', 'running', 'waiting')
BEGIN
    UPDATE backlog SET jobs = jobs + 1, bytes = bytes + NEW.size WHERE tenant = NEW.tenant;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER backlog_delete AFTER DELETE ON jobs WHEN OLD.state IN ('queued', 'running', 'waiting')
BEGIN
    UPDATE backlog SET jobs = jobs - 1, bytes = bytes - OLD.size WHERE tenant = OLD.tenant;
END;
-- +goose StatementEnd
