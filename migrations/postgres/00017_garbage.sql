-- The garbage list: what may be removed, and when. The transaction that makes
-- something garbage writes its entry, so that the sweep searches for nothing.
--
-- Locks: none on a table with rows. The new table and its indexes are empty.
-- uploads.abandoned_at is used no more; it stays for programs of the release
-- before, which may run until they are replaced.

-- +goose Up

-- What an entry names depends on its kind: a version (document, version), an
-- object, passages that may stand nowhere (space, hashes), a space that was
-- left (space), or a search of all rows for what no entry names (reached).
-- Passages with a document were paid for by an attempt of its version's task,
-- which the next attempt may place again.
CREATE TABLE public.garbage (
    tenant   text        NOT NULL DEFAULT nullif(pg_catalog.current_setting('gristmill.tenant', true), ''),
    id       bigint      GENERATED ALWAYS AS IDENTITY,
    kind     text        NOT NULL CHECK (kind IN ('version', 'object', 'passages', 'space', 'search')),
    due_at   timestamptz NOT NULL DEFAULT pg_catalog.now(),
    tries    integer     NOT NULL DEFAULT 0,
    document uuid,
    version  integer,
    object   text,
    space    bigint,
    hashes   bytea[],
    reached  jsonb,
    PRIMARY KEY (id, tenant)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000); -- most of its rows are dead before long

-- What of a tenant is due? Its entries stand together.
CREATE INDEX garbage_due ON public.garbage (tenant, due_at, id);

-- Is a version, an object, a space or a passage listed?
CREATE INDEX garbage_version ON public.garbage (document, version, tenant) WHERE kind = 'version';
CREATE INDEX garbage_object ON public.garbage (object, tenant) WHERE kind = 'object';
CREATE INDEX garbage_space ON public.garbage (space, tenant) WHERE kind IN ('passages', 'space');

-- What became garbage before is on no list: the search finds it.
INSERT INTO public.garbage (tenant, kind, due_at) SELECT id, 'search', pg_catalog.now() FROM public.tenants;

ALTER TABLE public.garbage ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.garbage
    USING (tenant = (SELECT nullif(pg_catalog.current_setting('gristmill.tenant', true), '')))
    WITH CHECK (tenant = (SELECT nullif(pg_catalog.current_setting('gristmill.tenant', true), '')));
GRANT SELECT, INSERT, UPDATE, DELETE ON public.garbage TO gristmill_app;
