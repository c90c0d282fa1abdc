-- Indexes for questions that do not name a space, and for those that named one.
--
-- CONCURRENTLY, so nobody waits. It takes about ten seconds for ten million
-- places, and waits for transactions that are under way. If it is broken off,
-- what it has built of an index is dropped the next time.

-- +goose NO TRANSACTION
-- +goose Up

-- In which spaces does a passage stand, and where in a space?
DROP INDEX CONCURRENTLY IF EXISTS public.manifest_hash;
CREATE INDEX CONCURRENTLY manifest_hash ON public.manifest (hash, tenant, space);
DROP INDEX CONCURRENTLY IF EXISTS public.manifest_passage;

-- Which versions stand in a space?
DROP INDEX CONCURRENTLY IF EXISTS public.placements_document;
CREATE INDEX CONCURRENTLY placements_document ON public.placements (space, document, tenant);
DROP INDEX CONCURRENTLY IF EXISTS public.placements_space;

-- Which spaces does a collection have?
DROP INDEX CONCURRENTLY IF EXISTS public.spaces_collection;
CREATE INDEX CONCURRENTLY spaces_collection ON public.spaces (collection, tenant);
