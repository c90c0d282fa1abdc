-- Vector indexes. One is built with CREATE INDEX CONCURRENTLY, which holds up
-- nobody, and which PostgreSQL lets only the owner of a table do, and no
-- function. So the partitions of passages, and nothing else, belong to the role
-- gristmill_index. The application is no member of it: who owns a partition can
-- switch its row-level security off, and drop it.

-- +goose Up

-- Roles belong to the server, and other databases' migrations may be at the
-- same ones: PostgreSQL has them collide rather than wait.
-- +goose StatementBegin
DO $$
BEGIN
    FOR try IN 1..20 LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gristmill_index') THEN
                CREATE ROLE gristmill_index NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
            END IF;
            IF NOT pg_has_role('gristmill_index', 'USAGE') THEN
                EXECUTE format('GRANT gristmill_index TO %I', current_user);
            END IF;
            EXIT;
        EXCEPTION WHEN duplicate_object OR unique_violation OR internal_error THEN
            IF try = 20 THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END
$$;
-- +goose StatementEnd

-- An index stands in the schema of its table.
GRANT USAGE, CREATE ON SCHEMA public TO gristmill_index;

-- +goose StatementBegin
DO $$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'public.passages'::regclass LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO gristmill_index', partition);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- A reindex copies into a temporary table. Everybody may make one, unless that
-- was taken away.
-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO gristmill_app', current_database());
END
$$;
-- +goose StatementEnd

-- As in the first migration, but for the owner.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.add_partition(space_id bigint) RETURNS void
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
    EXECUTE format('ALTER TABLE public.%I OWNER TO gristmill_index', partition);
END
$$;
-- +goose StatementEnd

-- drop_partition drops that of a space of the current tenant which is not live,
-- and in an instant all its passages. That locks the parent, behind which every
-- search would wait; so it waits for the lock only shortly, and may fail with
-- lock_not_available: then another time.
-- +goose StatementBegin
CREATE FUNCTION public.drop_partition(space_id bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
    owner text := nullif(current_setting('gristmill.tenant', true), '');
BEGIN
    IF NOT EXISTS (SELECT FROM public.spaces WHERE id = space_id AND tenant = owner)
       OR EXISTS (SELECT FROM public.collections WHERE live_space = space_id AND tenant = owner) THEN
        RAISE EXCEPTION 'tenant % has no space % that could be dropped', owner, space_id;
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS public.%I', format('passages_%s', space_id));
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION public.drop_partition FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.drop_partition TO gristmill_app;
