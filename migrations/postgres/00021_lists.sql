-- Indexes of the lists of documents and jobs: one entry after another is what a page
-- shows, whatever the filter and however deep. A list without a state merges the lists
-- of the states.
--
-- Nobody waits for long. The collection of jobs of before is filled in 1,000 jobs at a
-- time, each slice a transaction of some 50 ms that locks these rows; a million take
-- about a minute. Indexes are built CONCURRENTLY; if that is broken off, what it has
-- built of an index is dropped the next time. The last change of the table, which
-- sets NOT NULL, holds ACCESS EXCLUSIVE on jobs for an instant, since the constraint before
-- it has shown that there is no NULL. It waits at most 0.1 s for that lock, and then lets
-- through what waits behind it and tries again.

-- +goose NO TRANSACTION
-- +goose Up

DROP INDEX CONCURRENTLY IF EXISTS public.jobs_without_collection;
CREATE INDEX CONCURRENTLY jobs_without_collection ON public.jobs (tenant, id) WHERE collection IS NULL;

-- Each tenant's as that tenant, since row-level security may bind the owner.
-- +goose StatementBegin
DO $$
DECLARE
    tenant_id text;
    reached   uuid;
    slice     uuid[];
BEGIN
    FOR tenant_id IN SELECT id FROM public.tenants ORDER BY id LOOP
        reached := '00000000-0000-0000-0000-000000000000';
        LOOP
            PERFORM pg_catalog.set_config('gristmill.tenant', tenant_id, true);
            slice := ARRAY(
                SELECT id FROM public.jobs
                WHERE tenant = tenant_id AND collection IS NULL AND id > reached
                ORDER BY tenant, id
                LIMIT 1000);
            EXIT WHEN slice = '{}';
            BEGIN
                PERFORM FROM public.jobs WHERE tenant = tenant_id AND id = ANY (slice) ORDER BY id FOR NO KEY UPDATE;
                UPDATE public.jobs j SET collection = d.collection
                FROM public.documents d
                WHERE j.tenant = tenant_id AND j.id = ANY (slice) AND d.tenant = tenant_id AND d.id = j.document;
                reached := slice[array_upper(slice, 1)];
            EXCEPTION WHEN deadlock_detected THEN -- again
            END;
            COMMIT;
        END LOOP;
    END LOOP;
END
$$;
-- +goose StatementEnd

DROP INDEX CONCURRENTLY public.jobs_without_collection;

-- +goose StatementBegin
DO $$
DECLARE
    change text;
BEGIN
    SET lock_timeout = '100ms';
    FOREACH change IN ARRAY ARRAY[
        'DROP CONSTRAINT IF EXISTS jobs_collection_check',
        'ADD CONSTRAINT jobs_collection_check CHECK (collection IS NOT NULL) NOT VALID',
        'VALIDATE CONSTRAINT jobs_collection_check',
        'ALTER collection SET NOT NULL, DROP CONSTRAINT jobs_collection_check']
    LOOP
        LOOP
            BEGIN
                EXECUTE 'ALTER TABLE public.jobs ' || change;
                EXIT;
            EXCEPTION WHEN lock_not_available THEN
                PERFORM pg_catalog.pg_sleep(0.1);
            END;
        END LOOP;
        COMMIT;
    END LOOP;
    RESET lock_timeout;
END
$$;
-- +goose StatementEnd

DROP INDEX CONCURRENTLY IF EXISTS public.jobs_tenant_state;
CREATE INDEX CONCURRENTLY jobs_tenant_state ON public.jobs (tenant, state, id);

DROP INDEX CONCURRENTLY IF EXISTS public.jobs_collection_state;
CREATE INDEX CONCURRENTLY jobs_collection_state ON public.jobs (collection, state, id, tenant);

-- It began with the state, and so had the jobs of all tenants together.
DROP INDEX CONCURRENTLY IF EXISTS public.jobs_state;

-- Newest first.
DROP INDEX CONCURRENTLY IF EXISTS public.documents_tenant_state;
CREATE INDEX CONCURRENTLY documents_tenant_state ON public.documents (tenant, state, id)
    WHERE deleted_at IS NULL;

DROP INDEX CONCURRENTLY IF EXISTS public.documents_collection_state;
CREATE INDEX CONCURRENTLY documents_collection_state ON public.documents (collection, state, id, tenant)
    WHERE deleted_at IS NULL;

-- By key, bytewise: so those that begin with a prefix stand together.
DROP INDEX CONCURRENTLY IF EXISTS public.documents_tenant_key;
CREATE INDEX CONCURRENTLY documents_tenant_key ON public.documents (tenant, state, key COLLATE "C", id)
    WHERE deleted_at IS NULL;

DROP INDEX CONCURRENTLY IF EXISTS public.documents_collection_key;
CREATE INDEX CONCURRENTLY documents_collection_key ON public.documents (collection, state, key COLLATE "C", id, tenant)
    WHERE deleted_at IS NULL;
