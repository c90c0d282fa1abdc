-- The first tables of the PostgreSQL store, and the group role that may use
-- them. Every row but those of `tenants` belongs to a tenant, and rows refer to
-- rows of the same tenant only. Keys end with the tenant: every statement asks
-- for it, and of a table that was never analysed PostgreSQL would expect an
-- index that begins with it to leave a handful of rows.
--
-- Row-level security is forced on every such table: a statement sees and
-- writes the rows of the tenant that its transaction has set, whatever it
-- filters by, and none when there is no tenant. (A setting that was made for
-- an earlier transaction reads as '', hence nullif.)

-- In this and all later files the search path is pg_catalog alone: see Migrate.
-- Whatever is not PostgreSQL's own is written with its schema.

-- +goose Up

CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;

-- Roles belong to the server, so another database's migration may be making
-- this one at the same time. Owning nothing, it cannot switch policies off;
-- login roles become its members.
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gristmill_app') THEN
        CREATE ROLE gristmill_app NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;
-- +goose StatementEnd

GRANT USAGE ON SCHEMA public TO gristmill_app;

-- So that a process can tell whether it fits the schema.
GRANT SELECT ON public.goose_db_version TO gristmill_app;

CREATE TABLE public.tenants (
    id         text        PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO public.tenants (id) VALUES ('default');

GRANT SELECT ON public.tenants TO gristmill_app;

-- A collection and its first space refer to each other: live_space is NULL
-- only within the transaction that makes them.
CREATE TABLE public.collections (
    tenant     text        NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), '') REFERENCES public.tenants,
    id         uuid        NOT NULL,
    name       text        NOT NULL,
    live_space bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, tenant),
    UNIQUE (name, tenant)
);

-- A space is one embedding model with one chunking. 16000 dimensions are the
-- most that pgvector stores.
CREATE TABLE public.spaces (
    tenant        text        NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), ''),
    id            bigint      GENERATED ALWAYS AS IDENTITY,
    collection    uuid        NOT NULL,
    model         text        NOT NULL,
    dimensions    integer     NOT NULL CHECK (dimensions BETWEEN 1 AND 16000),
    chunk_tokens  integer     NOT NULL,
    chunk_overlap integer     NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, tenant),
    FOREIGN KEY (tenant, collection) REFERENCES public.collections (tenant, id)
);

-- What Known asks: where else are there vectors of this model?
CREATE INDEX spaces_model ON public.spaces (tenant, model, dimensions);

ALTER TABLE public.collections ADD FOREIGN KEY (tenant, live_space) REFERENCES public.spaces (tenant, id);

-- live_version is the one that readers see: changing it is what publishes. A
-- deleted document keeps its row until its versions are swept; its key is free
-- at once.
CREATE TABLE public.documents (
    tenant         text        NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), ''),
    id             uuid        NOT NULL,
    collection     uuid        NOT NULL,
    key            text        NOT NULL,
    state          text        NOT NULL CHECK (state IN ('pending', 'ready', 'failed', 'deleting')),
    live_version   integer,
    newest_version integer     NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    deleted_at     timestamptz,
    PRIMARY KEY (id, tenant),
    FOREIGN KEY (tenant, collection) REFERENCES public.collections (tenant, id)
);

CREATE UNIQUE INDEX documents_key ON public.documents (collection, key, tenant) WHERE deleted_at IS NULL;

-- A live version keeps its original while the next one is made. The space is
-- that of the collection when the version was accepted.
CREATE TABLE public.versions (
    tenant     text        NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), ''),
    document   uuid        NOT NULL,
    version    integer     NOT NULL,
    space      bigint      NOT NULL,
    title      text        NOT NULL,
    metadata   jsonb       NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
    object     text        NOT NULL,
    size       bigint      NOT NULL,
    sha256     text        NOT NULL,
    media_type text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (document, version, tenant),
    FOREIGN KEY (tenant, document) REFERENCES public.documents (tenant, id),
    FOREIGN KEY (tenant, space) REFERENCES public.spaces (tenant, id)
);

-- A passage is named by the hash of what was embedded and never changes. Each
-- space has a partition of its own (see add_partition), so that its vectors
-- have one length and all go in an instant.
CREATE TABLE public.passages (
    tenant       text           NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), ''),
    space        bigint         NOT NULL,
    hash         bytea          NOT NULL CHECK (octet_length(hash) = 32),
    tokens       integer        NOT NULL,
    created_at   timestamptz    NOT NULL DEFAULT now(),
    embedding    public.halfvec NOT NULL,
    heading_path text[]         NOT NULL,
    context      text           NOT NULL,
    content      text           NOT NULL,
    PRIMARY KEY (space, hash)
) PARTITION BY LIST (space);

-- A row with its vector is longer than what PostgreSQL likes to have in a page,
-- so it moves out of the row whatever may go: the content, which searches do
-- not read, but not what they do read.
ALTER TABLE public.passages ALTER tenant SET STORAGE PLAIN, ALTER hash SET STORAGE PLAIN,
    ALTER heading_path SET STORAGE MAIN, ALTER context SET STORAGE MAIN;

-- The manifest says where in a version which passage stands. It is the longest
-- table: no foreign key checks its rows one by one. What they refer to is held
-- by the transaction that writes them: the version by its task's lease, the
-- passages by row locks.
CREATE TABLE public.manifest (
    tenant     text    NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), ''),
    document   uuid    NOT NULL,
    version    integer NOT NULL,
    space      bigint  NOT NULL,
    ordinal    integer NOT NULL,
    hash       bytea   NOT NULL,
    start_byte bigint  NOT NULL,
    end_byte   bigint  NOT NULL,
    PRIMARY KEY (document, version, space, ordinal, tenant)
);

CREATE INDEX manifest_passage ON public.manifest (space, hash);

-- A job's state follows from its tasks' and is written with them.
CREATE TABLE public.jobs (
    tenant      text        NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), ''),
    id          uuid        NOT NULL,
    document    uuid        NOT NULL,
    version     integer     NOT NULL,
    state       text        NOT NULL DEFAULT 'queued'
                CHECK (state IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    started_at  timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (id, tenant),
    UNIQUE (document, version, tenant),
    FOREIGN KEY (tenant, document, version) REFERENCES public.versions (tenant, document, version) ON DELETE CASCADE
);

CREATE INDEX jobs_state ON public.jobs (state, id, tenant);

-- The lease fences a task: who does not hold it writes nothing.
CREATE TABLE public.tasks (
    tenant          text        NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), ''),
    job             uuid        NOT NULL,
    kind            text        NOT NULL CHECK (kind IN ('knowledge', 'summary')),
    document        uuid        NOT NULL,
    version         integer     NOT NULL,
    state           text        NOT NULL DEFAULT 'queued'
                    CHECK (state IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
    attempt         integer     NOT NULL DEFAULT 0,
    lease           uuid,
    lease_until     timestamptz,
    next_attempt_at timestamptz,
    dispatched_at   timestamptz NOT NULL DEFAULT now(),
    error           text        NOT NULL DEFAULT '',
    progress        jsonb       NOT NULL DEFAULT '{}',
    PRIMARY KEY (job, kind, tenant),
    UNIQUE (document, version, kind, tenant),
    FOREIGN KEY (tenant, job) REFERENCES public.jobs (tenant, id) ON DELETE CASCADE
) WITH (fillfactor = 70); -- room on the page for the many updates of progress

CREATE INDEX tasks_unended ON public.tasks (tenant, dispatched_at) WHERE state IN ('queued', 'running', 'waiting');

-- A section's summary is kept under the hash of what was summarised, so it
-- outlives versions.
CREATE TABLE public.section_summaries (
    tenant     text        NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), '') REFERENCES public.tenants,
    node       bytea       NOT NULL CHECK (octet_length(node) = 32),
    summary    text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (node, tenant)
);

CREATE TABLE public.summaries (
    tenant     text        NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), ''),
    document   uuid        NOT NULL,
    version    integer     NOT NULL,
    model      text        NOT NULL,
    summary    text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (document, version, tenant),
    FOREIGN KEY (tenant, document, version) REFERENCES public.versions (tenant, document, version) ON DELETE CASCADE
);

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['collections', 'spaces', 'documents', 'versions', 'passages', 'manifest',
                                'jobs', 'tasks', 'section_summaries', 'summaries'] LOOP
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON public.%I '
                       'USING (tenant = nullif(current_setting(''gristmill.tenant'', true), '''')) '
                       'WITH CHECK (tenant = nullif(current_setting(''gristmill.tenant'', true), ''''))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO gristmill_app', name);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- add_partition makes the partition of passages for a space of the current
-- tenant. Spaces are made at run time by the application, which owns nothing,
-- so this runs as the owner. That may be a superuser, whom no policy binds: the
-- statement itself says whose space it must be.
--
-- The table is made first and attached then: that stops neither readers nor
-- writers of other spaces, as CREATE TABLE ... PARTITION OF would.
--
-- Vectors that fit in a page stay in the row (PLAIN), so that an exact search
-- reads them one after another instead of fetching each from elsewhere. Longer
-- ones go out of line as they are, for they do not compress (EXTERNAL).
-- +goose StatementBegin
CREATE FUNCTION public.add_partition(space_id bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    space     public.spaces;
    partition text := format('passages_%s', space_id);
BEGIN
    SELECT * INTO space FROM public.spaces
    WHERE id = space_id AND tenant = nullif(current_setting('gristmill.tenant', true), '');
    IF NOT FOUND THEN
        RAISE EXCEPTION 'tenant % has no space %', current_setting('gristmill.tenant', true), space_id;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.passages INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE, '
                   'CHECK (tenant = %L AND public.vector_dims(embedding) = %s))',
                   partition, space.tenant, space.dimensions);
    EXECUTE format('ALTER TABLE public.%I ALTER embedding SET STORAGE %s',
                   partition, CASE WHEN space.dimensions <= 3000 THEN 'PLAIN' ELSE 'EXTERNAL' END);
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', partition);
    EXECUTE format('CREATE POLICY tenant ON public.%I '
                   'USING (tenant = nullif(current_setting(''gristmill.tenant'', true), '''')) '
                   'WITH CHECK (tenant = nullif(current_setting(''gristmill.tenant'', true), ''''))', partition);
    EXECUTE format('ALTER TABLE public.passages ATTACH PARTITION public.%I FOR VALUES IN (%s)', partition, space_id);
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION public.add_partition FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.add_partition TO gristmill_app;
