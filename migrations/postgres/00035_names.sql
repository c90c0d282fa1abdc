-- Renames columns, a table and a trigger to the terms that the code and the
-- documents use, so that a reader of the database meets one word for one thing:
-- a document has a published version, a collection an active space, and a version
-- that stands whole in a space is a space version.
--
-- No row is read or rewritten. Each ALTER TABLE ... RENAME holds ACCESS EXCLUSIVE on
-- its table for an instant, until this transaction ends. It waits at most 0.1 s for
-- each lock; then all of it is rolled back, what waits behind it goes on, and the
-- migration is tried again (see migrateTables). In one transaction, so that there is
-- never a database with some of the names.
--
-- Programs of the release before cannot go on beside it: their statements name what
-- is no longer there. Stop them, migrate, and start those of this release.
--
-- PostgreSQL follows a rename in constraints, indexes, policies and the columns and
-- conditions of triggers, but not in the bodies of functions: those that use an old
-- name are replaced here, unchanged otherwise. CREATE OR REPLACE keeps the owner of a
-- function and who may call it. Foreign keys keep their names.

-- +goose Up

ALTER TABLE public.documents RENAME live_version TO published_version;
ALTER TABLE public.collections RENAME live_space TO active_space;
ALTER TABLE public.tasks RENAME asked TO summary_requested;
ALTER TABLE public.versions RENAME tag TO object_etag;
ALTER TABLE public.spaces RENAME missed TO missed_publications;
ALTER TABLE public.reindexes RENAME reached TO last_document;
ALTER TABLE public.verifications RENAME reached TO last_document;
ALTER TABLE public.garbage RENAME reached TO scan_cursor;

ALTER TABLE public.placements RENAME TO space_versions;
ALTER INDEX public.placements_pkey RENAME TO space_versions_pkey;
ALTER INDEX public.placements_document RENAME TO space_versions_document;
ALTER INDEX public.placements_left_out RENAME TO space_versions_left_out;

ALTER TRIGGER missed ON public.documents RENAME TO missed_publications;
ALTER FUNCTION public.count_missed() RENAME TO count_missed_publications;

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.count_missed_publications() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE public.spaces s SET missed_publications = s.missed_publications + 1
    FROM (SELECT w.id
          FROM public.spaces w
          WHERE w.collection = NEW.collection AND w.tenant = NEW.tenant AND w.written
            AND NOT EXISTS (SELECT FROM public.space_versions p
                            WHERE p.document = NEW.id AND p.version = NEW.published_version AND p.space = w.id AND p.tenant = NEW.tenant
                            OFFSET 0)
          ORDER BY w.id
          FOR NO KEY UPDATE) AS lacking
    WHERE s.id = lacking.id AND s.tenant = NEW.tenant;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.keep_document_fields() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before jsonb;
    after  jsonb;
BEGIN
    IF OLD.deleted_at IS NULL AND OLD.published_version IS NOT NULL THEN
        SELECT metadata INTO before FROM public.versions WHERE document = OLD.id AND version = OLD.published_version AND tenant = OLD.tenant;
    END IF;
    IF NEW.deleted_at IS NULL AND NEW.published_version IS NOT NULL THEN
        SELECT metadata INTO after FROM public.versions WHERE document = NEW.id AND version = NEW.published_version AND tenant = NEW.tenant;
    END IF;
    IF before IS NOT DISTINCT FROM after THEN
        RETURN NULL;
    END IF;
    IF before <> '{}' THEN
        DELETE FROM public.document_fields d
        WHERE d.collection = OLD.collection AND d.document = OLD.id AND d.tenant = OLD.tenant
          AND (d.field, d.value) IN (SELECT field, value FROM public.metadata_fields(before));
    END IF;
    IF after <> '{}' THEN
        INSERT INTO public.document_fields (tenant, collection, field, value, document)
        SELECT NEW.tenant, NEW.collection, field, value, NEW.id FROM public.metadata_fields(after)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
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
       OR EXISTS (SELECT FROM public.collections WHERE active_space = space_id AND tenant = tenant_id) THEN
        RAISE EXCEPTION 'tenant % has no space % that could be dropped', tenant_id, space_id;
    END IF;
    EXECUTE pg_catalog.format('DROP TABLE IF EXISTS public.%I', pg_catalog.format('passages_%s', space_id));
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.space_stands(space_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
BEGIN
    RETURN (SELECT p.document FROM public.space_versions p WHERE p.space = space_id AND p.passages > 0 ORDER BY p.document LIMIT 1) IS NOT NULL;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.tenants_to_verify(before timestamptz) RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    id text;
BEGIN
    FOR id IN SELECT t.id FROM public.tenants t LOOP
        PERFORM set_config('gristmill.tenant', id, true);
        IF NOT EXISTS (SELECT FROM public.verifications
                       WHERE started_at > before AND last_document = '00000000-0000-0000-0000-000000000000') THEN
            RETURN NEXT id;
        END IF;
    END LOOP;
    PERFORM set_config('gristmill.tenant', '', true);
END
$$;
-- +goose StatementEnd
