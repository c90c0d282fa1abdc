-- Which tenants have work? The sweep asks this before it looks at any.
--
-- It runs as who calls it, under row-level security, as one tenant after the
-- other: it sees what its caller could see, and some microseconds of it for each.
--
-- This locks no table.

-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION public.tenants_with_work() RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    id text;
BEGIN
    FOR id IN SELECT t.id FROM public.tenants t ORDER BY t.id LOOP
        PERFORM set_config('gristmill.tenant', id, true);
        IF EXISTS (SELECT FROM public.tasks WHERE state IN ('queued', 'running', 'waiting'))
           OR EXISTS (SELECT FROM public.reindexes WHERE state IN ('queued', 'running', 'waiting')) THEN
            RETURN NEXT id;
        END IF;
    END LOOP;
    PERFORM set_config('gristmill.tenant', '', true);
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION public.tenants_with_work FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.tenants_with_work TO gristmill_app;
