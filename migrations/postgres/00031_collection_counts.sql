-- How many collections a tenant has, so that a limit of them is checked without
-- counting. A trigger keeps it in the transaction that makes a collection,
-- whichever program makes it.
--
-- CREATE TRIGGER holds SHARE ROW EXCLUSIVE on collections until the migration
-- ends: who makes a collection waits, some milliseconds for each 10,000
-- collections.

-- +goose Up

CREATE TABLE public.collection_counts (
    tenant      text   PRIMARY KEY DEFAULT nullif(pg_catalog.current_setting('gristmill.tenant', true), ''),
    collections bigint NOT NULL
) WITH (fillfactor = 50); -- its rows change in place

ALTER TABLE public.collection_counts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.collection_counts
    USING (tenant = (SELECT nullif(pg_catalog.current_setting('gristmill.tenant', true), '')))
    WITH CHECK (tenant = (SELECT nullif(pg_catalog.current_setting('gristmill.tenant', true), '')));
GRANT SELECT, INSERT, UPDATE, DELETE ON public.collection_counts TO gristmill_app;

-- +goose StatementBegin
CREATE FUNCTION public.count_collections() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE public.collection_counts SET collections = collections - 1 WHERE tenant = OLD.tenant;
    ELSE
        INSERT INTO public.collection_counts AS c (tenant, collections) VALUES (NEW.tenant, 1)
        ON CONFLICT (tenant) DO UPDATE SET collections = c.collections + 1;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER counts AFTER INSERT OR DELETE ON public.collections
    FOR EACH ROW EXECUTE FUNCTION public.count_collections();

-- Those of before. Row-level security binds the owner too, so one tenant after
-- the other.
-- +goose StatementBegin
DO $$
DECLARE
    tenant_id text;
BEGIN
    FOR tenant_id IN SELECT id FROM public.tenants LOOP
        PERFORM pg_catalog.set_config('gristmill.tenant', tenant_id, true);
        INSERT INTO public.collection_counts (collections) SELECT count(*) FROM public.collections;
    END LOOP;
    PERFORM pg_catalog.set_config('gristmill.tenant', '', true);
END
$$;
-- +goose StatementEnd
