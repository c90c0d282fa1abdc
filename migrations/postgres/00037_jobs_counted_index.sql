-- The jobs of a reindex that it has not counted yet, by index: the cost of a count does
-- not grow with the jobs that were counted before.
--
-- CONCURRENTLY, so that no statement waits. It reads jobs twice, some seconds for a
-- million, and waits for transactions that are open. If it is interrupted, the next run
-- drops what it has built of the index.

-- +goose NO TRANSACTION
-- +goose Up

DROP INDEX CONCURRENTLY IF EXISTS public.jobs_uncounted;
CREATE INDEX CONCURRENTLY jobs_uncounted ON public.jobs (reindex, tenant) WHERE reindex IS NOT NULL AND NOT counted_by_reindex;
DROP INDEX CONCURRENTLY IF EXISTS public.jobs_reindex;
