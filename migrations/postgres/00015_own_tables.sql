-- Statements name the table that the passages of a space stand in: one on
-- `passages`, of which these tables are the partitions, was planned for all of
-- them and locked them all. So the application needs rights on each.
--
-- This locks no table.

-- +goose Up

-- +goose StatementBegin
DO $$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN SELECT inhrelid FROM pg_catalog.pg_inherits WHERE inhparent = 'public.passages'::regclass LOOP
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO gristmill_app', partition);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- As before, but for the rights.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.add_partition(space_id bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    space     public.spaces;
    tenant_id text := nullif(pg_catalog.current_setting('gristmill.tenant', true), '');
    partition text := pg_catalog.format('passages_%s', space_id);
BEGIN
    SELECT * INTO space FROM public.spaces WHERE id = space_id AND tenant = tenant_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'tenant % has no space %', tenant_id, space_id;
    END IF;
    EXECUTE pg_catalog.format('CREATE TABLE public.%I (LIKE public.passages INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE, '
                              'CHECK (tenant = %L AND public.vector_dims(embedding) = %s))',
                              partition, space.tenant, space.dimensions);
    EXECUTE pg_catalog.format('ALTER TABLE public.%I ALTER embedding SET STORAGE %s',
                              partition, CASE WHEN space.dimensions <= 3000 THEN 'PLAIN' ELSE 'EXTERNAL' END);
    EXECUTE pg_catalog.format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', partition);
    EXECUTE pg_catalog.format('CREATE POLICY tenant ON public.%I '
                              'USING (tenant = (SELECT nullif(pg_catalog.current_setting(''gristmill.tenant'', true), ''''))) '
                              'WITH CHECK (tenant = (SELECT nullif(pg_catalog.current_setting(''gristmill.tenant'', true), '''')))', partition);
    EXECUTE pg_catalog.format('ALTER TABLE public.passages ATTACH PARTITION public.%I FOR VALUES IN (%s)', partition, space_id);
    EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO gristmill_app', partition);
    EXECUTE pg_catalog.format('ALTER TABLE public.%I OWNER TO gristmill_index', partition);
END
$$;
-- +goose StatementEnd
