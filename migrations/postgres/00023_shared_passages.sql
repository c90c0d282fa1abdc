-- Small spaces share a table. A space gets one of its own, which can have a
-- vector index and is dropped in an instant, when it has grown.
--
-- This locks `spaces` for an instant, to add columns with a constant default.

-- +goose Up

-- Which table the passages of a space stand in. While they are being moved, they
-- are read from the shared one and written to both; once they have moved, the
-- shared one is still to be emptied of them.
ALTER TABLE public.spaces
    ADD storage text NOT NULL DEFAULT 'own' CHECK (storage IN ('shared', 'moving', 'moved', 'own'));
ALTER TABLE public.spaces ALTER storage SET DEFAULT 'shared';

-- The last document whose places in a dropped space are removed.
ALTER TABLE public.spaces ADD dropped_to uuid;

-- One for vectors that fit in a page, which stay in the row, and one for longer
-- ones: see add_partition. The key ends with the tenant, so that nobody takes the
-- place of another's passage.
CREATE TABLE public.shared_passages (
    LIKE public.passages INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE,
    PRIMARY KEY (space, hash, tenant),
    CHECK (public.vector_dims(embedding) <= 3000)
);
ALTER TABLE public.shared_passages ALTER embedding SET STORAGE PLAIN;

CREATE TABLE public.shared_passages_long (
    LIKE public.passages INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE,
    PRIMARY KEY (space, hash, tenant),
    CHECK (public.vector_dims(embedding) > 3000)
);
ALTER TABLE public.shared_passages_long ALTER embedding SET STORAGE EXTERNAL;

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['shared_passages', 'shared_passages_long'] LOOP
        EXECUTE pg_catalog.format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE pg_catalog.format('CREATE POLICY tenant ON public.%I '
            'USING (tenant = (SELECT nullif(pg_catalog.current_setting(''gristmill.tenant'', true), ''''))) '
            'WITH CHECK (tenant = (SELECT nullif(pg_catalog.current_setting(''gristmill.tenant'', true), '''')))', name);
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO gristmill_app', name);
    END LOOP;
END
$$;
-- +goose StatementEnd
