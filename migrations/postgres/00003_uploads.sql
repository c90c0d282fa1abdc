-- What keeps uploads honest: notes of objects about to be written, answers to
-- uploads that are sent again, and how much work each tenant has waiting.

-- +goose Up

-- The note of an object that is about to be written. Accepting the document
-- takes it in the same transaction, so an object without a document has a note.
-- A note that the sweep has abandoned cannot be taken any more.
CREATE TABLE uploads (
    tenant       text        NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), '') REFERENCES tenants,
    object       text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    abandoned_at timestamptz,
    PRIMARY KEY (object, tenant)
);

-- The answer to the first upload under a key, written with what it accepted.
CREATE TABLE idempotency_keys (
    tenant      text        NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), '') REFERENCES tenants,
    key         text        NOT NULL,
    fingerprint text        NOT NULL,
    answer      jsonb       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key, tenant)
);

CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at, tenant);

-- A tenant's backlog is the sum of its rows: jobs that have not ended, and the
-- bytes of their originals. Every change adds a row, since one row for each
-- tenant would have all its writers wait for each other; Backlog folds them.
CREATE TABLE backlog (
    tenant text   NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), ''),
    jobs   bigint NOT NULL,
    bytes  bigint NOT NULL
);

CREATE INDEX backlog_tenant ON backlog (tenant);

-- The owner may be bound by row-level security, and is to see every row here.
ALTER TABLE jobs NO FORCE ROW LEVEL SECURITY;
ALTER TABLE versions NO FORCE ROW LEVEL SECURITY;

-- Of the original. A job that is deleted with its version has to know it still.
ALTER TABLE jobs ADD size bigint;
UPDATE jobs j SET size = v.size FROM versions v WHERE v.document = j.document AND v.version = j.version;
ALTER TABLE jobs ALTER size SET NOT NULL;

INSERT INTO backlog (tenant, jobs, bytes)
SELECT tenant, count(*), sum(size) FROM jobs WHERE state IN ('queued', 'running', 'waiting') GROUP BY tenant;

ALTER TABLE jobs FORCE ROW LEVEL SECURITY;
ALTER TABLE versions FORCE ROW LEVEL SECURITY;

-- +goose StatementBegin
CREATE FUNCTION count_backlog() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.state IN ('queued', 'running', 'waiting') THEN
        INSERT INTO backlog (tenant, jobs, bytes) VALUES (OLD.tenant, -1, -OLD.size);
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.state IN ('queued', 'running', 'waiting') THEN
        INSERT INTO backlog (tenant, jobs, bytes) VALUES (NEW.tenant, 1, NEW.size);
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER backlog AFTER INSERT OR DELETE ON jobs
    FOR EACH ROW EXECUTE FUNCTION count_backlog();

CREATE TRIGGER backlog_update AFTER UPDATE OF state ON jobs
    FOR EACH ROW WHEN ((OLD.state IN ('queued', 'running', 'waiting')) <> (NEW.state IN ('queued', 'running', 'waiting')))
    EXECUTE FUNCTION count_backlog();

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['uploads', 'idempotency_keys', 'backlog'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I '
                       'USING (tenant = nullif(current_setting(''gristmill.tenant'', true), '''')) '
                       'WITH CHECK (tenant = nullif(current_setting(''gristmill.tenant'', true), ''''))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO gristmill_app', name);
    END LOOP;
END
$$;
-- +goose StatementEnd
