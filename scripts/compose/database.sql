-- Creates gristmill_owner, the owner of Gristmill's tables, as which gristmill migrate connects. It
-- is not a superuser: it owns only this database and may create roles. This script runs before
-- every migrate, as the server's superuser, and is safe to repeat. The setting
-- gristmill.owner_password holds the owner's password.
SET search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gristmill_owner') THEN
        CREATE ROLE gristmill_owner;
    END IF;
    EXECUTE format('ALTER ROLE gristmill_owner LOGIN NOSUPERUSER NOBYPASSRLS NOREPLICATION NOCREATEDB CREATEROLE PASSWORD %L',
                   current_setting('gristmill.owner_password'));
    EXECUTE format('ALTER DATABASE %I OWNER TO gristmill_owner', current_database());
    CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;

    -- In earlier releases the superuser owned the tables.
    FOR name IN
        SELECT format('TABLE %s', oid::regclass) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relowner = current_user::regrole
        UNION ALL
        SELECT format('FUNCTION %s', oid::regprocedure) FROM pg_proc p
        WHERE pronamespace = 'public'::regnamespace AND proowner = current_user::regrole
          AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
    LOOP
        EXECUTE format('ALTER %s OWNER TO gristmill_owner', name);
    END LOOP;

    -- From PostgreSQL 16 on, only an administrator of a role may grant and change it. A role that
    -- transfers ownership of partitions must be a member of the role that receives them.
    IF current_setting('server_version_num')::integer >= 160000 THEN
        FOR name IN SELECT rolname FROM pg_roles WHERE rolname IN ('gristmill_app', 'gristmill_index', 'gristmill', 'gristmill_indexer') LOOP
            EXECUTE format('GRANT %1$I TO gristmill_owner WITH ADMIN TRUE, INHERIT %2$s, SET %2$s',
                           name, CASE name WHEN 'gristmill_index' THEN 'TRUE' ELSE 'FALSE' END);
        END LOOP;
    ELSIF EXISTS (SELECT FROM pg_roles WHERE rolname = 'gristmill_index') THEN
        GRANT gristmill_index TO gristmill_owner;
    END IF;
END
$$;
