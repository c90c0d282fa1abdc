-- Which versions are left out of a space? The switch of a reindex gives their
-- documents another state.
--
-- CONCURRENTLY, so nobody waits. It reads placements once, some seconds for a
-- million, and waits for transactions that are under way. If it is broken off, what it
-- has built is dropped the next time.

-- +goose NO TRANSACTION
-- +goose Up

DROP INDEX CONCURRENTLY IF EXISTS public.placements_left_out;
CREATE INDEX CONCURRENTLY placements_left_out ON public.placements (space, document, tenant) WHERE left_out IS NOT NULL;
