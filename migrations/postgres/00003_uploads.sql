-- What keeps uploads honest: notes of objects about to be written, answers to
-- uploads that are sent again, and how much work each tenant has waiting.

-- +goose Up

-- The note of an object that is about to be written. Accepting the document
-- takes it in the same transaction, so an object without a document has a note.
-- A note that the sweep has abandoned cannot be taken any more.
CREATE TABLE public.uploads (
    tenant       text        NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), '') REFERENCES public.tenants,
    object       text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    abandoned_at timestamptz,
    PRIMARY KEY (object, tenant)
);

-- The answer to the first upload under a key, written with what it accepted.
CREATE TABLE public.idempotency_keys (
    tenant      text        NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), '') REFERENCES public.tenants,
    key         text        NOT NULL,
    fingerprint text        NOT NULL,
    answer      jsonb       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key, tenant)
);

CREATE INDEX idempotency_keys_age ON public.idempotency_keys (created_at, tenant);

-- A tenant's backlog is the sum of its rows: jobs that have not ended, and the
-- bytes of their originals. Every change adds a row, since one row for each
-- tenant would have all its writers wait for each other; Backlog folds them.
CREATE TABLE public.backlog (
    tenant text   NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), ''),
    jobs   bigint NOT NULL,
    bytes  bigint NOT NULL
);

CREATE INDEX backlog_tenant ON public.backlog (tenant);

-- The owner may be bound by row-level security, and is to see every row here.
ALTER TABLE public.jobs NO FORCE ROW LEVEL SECURITY;
ALTER TABLE public.versions NO FORCE ROW LEVEL SECURITY;

-- Of the original. A job that is deleted with its version has to know it still.
ALTER TABLE public.jobs ADD size bigint;
UPDATE public.jobs j SET size = v.size FROM public.versions v WHERE v.document = j.document AND v.version = j.version;
ALTER TABLE public.jobs ALTER size SET NOT NULL;

INSERT INTO public.backlog (tenant, jobs, bytes)
SELECT tenant, count(*), sum(size) FROM public.jobs WHERE state IN ('queued', 'running', 'waiting') GROUP BY tenant;

ALTER TABLE public.jobs FORCE ROW LEVEL SECURITY;
ALTER TABLE public.versions FORCE ROW LEVEL SECURITY;

-- Rows that go with what they refer to are deleted as the owner, who must not
-- write where the path of the application leads: PostgreSQL 18 runs this trigger
-- as the owner then.
-- +goose StatementBegin
CREATE FUNCTION public.count_backlog() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.state IN ('queued', 'running', 'waiting') THEN
        INSERT INTO public.backlog (tenant, jobs, bytes) VALUES (OLD.tenant, -1, -OLD.size);
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.state IN ('queued', 'running', 'waiting') THEN
        INSERT INTO public.backlog (tenant, jobs, bytes) VALUES (NEW.tenant, 1, NEW.size);
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER backlog AFTER INSERT OR DELETE ON public.jobs
    FOR EACH ROW EXECUTE FUNCTION public.count_backlog();

CREATE TRIGGER backlog_update AFTER UPDATE OF state ON public.jobs
    FOR EACH ROW WHEN ((OLD.state IN ('queued', 'running', 'waiting')) <> (NEW.state IN ('queued', 'running', 'waiting')))
    EXECUTE FUNCTION public.count_backlog();

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['uploads', 'idempotency_keys', 'backlog'] LOOP
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON public.%I '
                       'USING (tenant = nullif(current_setting(''gristmill.tenant'', true), '''')) '
                       'WITH CHECK (tenant = nullif(current_setting(''gristmill.tenant'', true), ''''))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO gristmill_app', name);
    END LOOP;
END
$$;
-- +goose StatementEnd
