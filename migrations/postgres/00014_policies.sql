-- Policies that read the tenant once a statement: as a subquery, which PostgreSQL
-- evaluates before the first row and compares with an index as it does a parameter.
-- As an expression it was evaluated for every row that no index had found.
--
-- ALTER POLICY holds ACCESS EXCLUSIVE on its table for an instant. Each is a
-- transaction of its own, so that it holds one lock, and there may be any number of
-- partitions. It waits at most 0.1 s for that lock, with later statements behind it,
-- and then lets these through and tries again.

-- +goose NO TRANSACTION
-- +goose Up

-- As before, but for the policy, and for the rights that the next migration gives
-- on the tables that are there.
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

-- +goose StatementBegin
DO $$
DECLARE
    table_id regclass;
BEGIN
    SET lock_timeout = '100ms';
    FOR table_id IN
        SELECT c.oid FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
        WHERE p.polname = 'tenant' AND c.relnamespace = 'public'::regnamespace
        ORDER BY c.oid
    LOOP
        LOOP
            BEGIN
                EXECUTE pg_catalog.format('ALTER POLICY tenant ON %s '
                    'USING (tenant = (SELECT nullif(pg_catalog.current_setting(''gristmill.tenant'', true), ''''))) '
                    'WITH CHECK (tenant = (SELECT nullif(pg_catalog.current_setting(''gristmill.tenant'', true), '''')))', table_id);
                EXIT;
            EXCEPTION
                WHEN undefined_table OR undefined_object THEN -- a space was dropped meanwhile
                    EXIT;
                WHEN lock_not_available THEN
                    PERFORM pg_catalog.pg_sleep(0.1);
            END;
        END LOOP;
        COMMIT;
    END LOOP;
    RESET lock_timeout;
END
$$;
-- +goose StatementEnd
