-- What the application's role may do, and what runs as the owner.
--
-- Until now the application could take on gristmill_index (SET ROLE), so it could
-- switch row-level security off on a partition and create in the schema public,
-- and the functions below looked there for what they call. From now on index
-- builds connect as a login role of their own (GRISTMILL_INDEX_DATABASE_URL).
--
-- This locks no table. Roles belong to the server: a database beside this one
-- that is still at an older version builds no index until it is migrated too.

-- +goose Up

-- From PostgreSQL 16 on a membership is revoked as the role that granted it. The
-- server's other databases may be migrating: see the migration before.
-- +goose StatementBegin
DO $$
DECLARE
    membership record;
BEGIN
    FOR try IN 1..20 LOOP
        BEGIN
            FOR membership IN
                SELECT member::regrole AS member,
                       CASE WHEN current_setting('server_version_num')::integer >= 160000
                            THEN 'GRANTED BY ' || grantor::regrole END AS granted_by
                FROM pg_auth_members
                WHERE roleid = 'gristmill_index'::regrole
                  AND member <> current_user::regrole
                  AND pg_has_role(member, 'gristmill_app', 'USAGE') -- of gristmill_app itself too
            LOOP
                EXECUTE format('REVOKE gristmill_index FROM %s %s', membership.member, membership.granted_by);
            END LOOP;
            EXIT;
        EXCEPTION WHEN internal_error THEN
            IF try = 20 THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END
$$;
-- +goose StatementEnd

-- Before PostgreSQL 15 everybody could create in the schema public, and in a
-- database that was upgraded everybody still can.
-- +goose StatementBegin
DO $$
BEGIN
    REVOKE CREATE ON SCHEMA public FROM PUBLIC, gristmill_app;
    GRANT USAGE, CREATE ON SCHEMA public TO gristmill_index;
    IF has_schema_privilege('gristmill_app', 'public', 'CREATE') THEN
        RAISE EXCEPTION 'everybody may create in the schema public, which the role % may not change: '
                        'let a superuser run ALTER SCHEMA public OWNER TO %, and migrate again', current_user, quote_ident(current_user);
    END IF;
END
$$;
-- +goose StatementEnd

-- What follows is as before, but for the search path and the schemas.

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
                              'USING (tenant = nullif(pg_catalog.current_setting(''gristmill.tenant'', true), '''')) '
                              'WITH CHECK (tenant = nullif(pg_catalog.current_setting(''gristmill.tenant'', true), ''''))', partition);
    EXECUTE pg_catalog.format('ALTER TABLE public.passages ATTACH PARTITION public.%I FOR VALUES IN (%s)', partition, space_id);
    EXECUTE pg_catalog.format('ALTER TABLE public.%I OWNER TO gristmill_index', partition);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.drop_partition(space_id bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
    tenant_id text := nullif(pg_catalog.current_setting('gristmill.tenant', true), '');
BEGIN
    IF NOT EXISTS (SELECT FROM public.spaces WHERE id = space_id AND tenant = tenant_id)
       OR EXISTS (SELECT FROM public.collections WHERE live_space = space_id AND tenant = tenant_id) THEN
        RAISE EXCEPTION 'tenant % has no space % that could be dropped', tenant_id, space_id;
    END IF;
    EXECUTE pg_catalog.format('DROP TABLE IF EXISTS public.%I', pg_catalog.format('passages_%s', space_id));
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.count_backlog() RETURNS trigger
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
