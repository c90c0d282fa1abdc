-- One function with the policy of row-level security. A migration that makes a table with a column
-- tenant calls it: SELECT public.protect('public.NAME'). The policies that exist already are the
-- same.
--
-- This locks no table.

-- +goose Up

-- protect shows each tenant its own rows of a table only, and lets the application use the table.
-- The tenant is in a subquery, which PostgreSQL evaluates once for a statement.
-- +goose StatementBegin
CREATE FUNCTION public.protect(name regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_own text := '(tenant = (SELECT nullif(current_setting(''gristmill.tenant'', true), '''')))';
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY tenant ON %s USING %s WITH CHECK %s', name, is_own, is_own);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO gristmill_app', name);
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION public.protect FROM PUBLIC;

-- As before, but it calls protect.
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
    PERFORM public.protect(pg_catalog.format('public.%I', partition)::regclass);
    EXECUTE pg_catalog.format('ALTER TABLE public.passages ATTACH PARTITION public.%I FOR VALUES IN (%s)', partition, space_id);
    EXECUTE pg_catalog.format('ALTER TABLE public.%I OWNER TO gristmill_index', partition);
END
$$;
-- +goose StatementEnd
