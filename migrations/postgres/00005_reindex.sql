-- Spaces that are built beside the live one. A version stands in every space
-- that is kept complete, so it no longer belongs to one; a placement says that
-- all of its places in a space are there.

-- +goose Up

CREATE TABLE public.placements (
    tenant   text    NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), ''),
    document uuid    NOT NULL,
    version  integer NOT NULL,
    space    bigint  NOT NULL,
    passages bigint  NOT NULL,
    PRIMARY KEY (document, version, space, tenant),
    FOREIGN KEY (tenant, document, version) REFERENCES public.versions (tenant, document, version) ON DELETE CASCADE,
    FOREIGN KEY (tenant, space) REFERENCES public.spaces (tenant, id)
);

CREATE INDEX placements_space ON public.placements (space, tenant);

-- Reindexes go through the documents of a collection in order of id.
CREATE INDEX documents_collection ON public.documents (collection, id, tenant);

-- The owner may be bound by row-level security, and is to see every row here.
ALTER TABLE public.versions NO FORCE ROW LEVEL SECURITY;
ALTER TABLE public.tasks NO FORCE ROW LEVEL SECURITY;
ALTER TABLE public.manifest NO FORCE ROW LEVEL SECURITY;

INSERT INTO public.placements (tenant, document, version, space, passages)
SELECT v.tenant, v.document, v.version, v.space,
       (SELECT count(*) FROM public.manifest m WHERE m.document = v.document AND m.version = v.version AND m.space = v.space)
FROM public.versions v
JOIN public.tasks t ON t.document = v.document AND t.version = v.version
WHERE t.kind = 'knowledge' AND t.state = 'succeeded';

ALTER TABLE public.versions FORCE ROW LEVEL SECURITY;
ALTER TABLE public.tasks FORCE ROW LEVEL SECURITY;
ALTER TABLE public.manifest FORCE ROW LEVEL SECURITY;

ALTER TABLE public.versions DROP COLUMN space;

-- What is uploaded is written to the live space and to all others that are
-- kept complete: those being built, and those that can be switched back to. A
-- space that is left is kept for a while, for its vectors at least.
ALTER TABLE public.spaces
    ADD written    boolean NOT NULL DEFAULT true,
    ADD indexed    boolean NOT NULL DEFAULT false,
    ADD drop_after timestamptz;

-- A reindex is a task of its own, with what fences and dispatches one. It says
-- itself what its space is like, for that may be dropped. While the stage is
-- reverting it builds from_space, otherwise to_space.
CREATE TABLE public.reindexes (
    tenant           text        NOT NULL DEFAULT nullif(current_setting('gristmill.tenant', true), ''),
    id               uuid        NOT NULL,
    collection       uuid        NOT NULL,
    change           text        NOT NULL CHECK (change IN ('nothing', 'model', 'chunking')),
    from_space       bigint      NOT NULL,
    to_space         bigint      NOT NULL,
    model            text        NOT NULL,
    dimensions       integer     NOT NULL,
    chunk_tokens     integer     NOT NULL,
    chunk_overlap    integer     NOT NULL,
    key_prefix       text        NOT NULL DEFAULT '',
    documents        uuid[]      NOT NULL DEFAULT '{}',
    force            boolean     NOT NULL DEFAULT false,
    state            text        NOT NULL DEFAULT 'queued'
                     CHECK (state IN ('queued', 'running', 'waiting', 'paused', 'succeeded', 'failed', 'cancelled')),
    stage            text        NOT NULL DEFAULT 'documents',
    reached          uuid,       -- the last document that is done
    progress         jsonb       NOT NULL DEFAULT '{}',
    failed           integer     NOT NULL DEFAULT 0, -- of the jobs that it made
    counted_at       timestamptz, -- of one without a change: until when its progress's seconds are counted
    attempt          integer     NOT NULL DEFAULT 0,
    crashes          integer     NOT NULL DEFAULT 0,
    round            integer     NOT NULL DEFAULT 0,
    lease            uuid,
    lease_until      timestamptz,
    next_attempt_at  timestamptz,
    dispatched_at    timestamptz,
    error            text        NOT NULL DEFAULT '',
    created_at       timestamptz NOT NULL DEFAULT now(),
    started_at       timestamptz,
    finished_at      timestamptz,
    PRIMARY KEY (id, tenant),
    FOREIGN KEY (tenant, collection) REFERENCES public.collections (tenant, id)
);

-- One at a time.
CREATE UNIQUE INDEX reindexes_active ON public.reindexes (collection, tenant)
    WHERE state IN ('queued', 'running', 'waiting', 'paused');

-- The reindex that made a job, until the job has ended and been counted.
ALTER TABLE public.jobs ADD reindex uuid;
CREATE INDEX jobs_reindex ON public.jobs (reindex, tenant) WHERE reindex IS NOT NULL;

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['placements', 'reindexes'] LOOP
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON public.%I '
                       'USING (tenant = nullif(current_setting(''gristmill.tenant'', true), '''')) '
                       'WITH CHECK (tenant = nullif(current_setting(''gristmill.tenant'', true), ''''))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO gristmill_app', name);
    END LOOP;
END
$$;
-- +goose StatementEnd
