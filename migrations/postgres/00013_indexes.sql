-- Indexes of tables that may be large.
--
-- CONCURRENTLY, so nobody waits: not who reads, uploads or sweeps. It takes some
-- seconds for a million rows, and waits for transactions that are under way. If
-- it is broken off, what it has built of an index is dropped the next time.

-- +goose NO TRANSACTION
-- +goose Up

-- Which version names an object?
DROP INDEX CONCURRENTLY IF EXISTS public.versions_object;
CREATE INDEX CONCURRENTLY versions_object ON public.versions (object, tenant);

-- What did a tenant's versions that are gone use, and longest ago? Its entries
-- stand together, so those of other tenants are not looked through.
DROP INDEX CONCURRENTLY IF EXISTS public.released_sections_age;
CREATE INDEX CONCURRENTLY released_sections_age ON public.released_sections (tenant, released_at);

-- Has a reindex built a space?
DROP INDEX CONCURRENTLY IF EXISTS public.reindexes_space;
CREATE INDEX CONCURRENTLY reindexes_space ON public.reindexes (to_space, tenant);
