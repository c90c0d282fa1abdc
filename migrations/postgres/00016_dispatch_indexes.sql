-- What is under way of a tenant, and what is next, by index: the cost of
-- dispatching does not grow with what waits.
--
-- CONCURRENTLY, so nobody waits. It takes some seconds for a million tasks, and
-- waits for transactions that are under way. If it is broken off, what it has
-- built of an index is dropped the next time.

-- +goose NO TRANSACTION
-- +goose Up

-- Of each kind, what is in the queue or at work: no more than the window of the
-- tenant, and as long as it was dispatched.
DROP INDEX CONCURRENTLY IF EXISTS public.tasks_dispatched;
CREATE INDEX CONCURRENTLY tasks_dispatched ON public.tasks (tenant, kind, dispatched_at)
    WHERE state IN ('queued', 'running', 'waiting') AND dispatched_at IS NOT NULL;

-- Of each kind, the oldest job whose task has not ended.
DROP INDEX CONCURRENTLY IF EXISTS public.tasks_oldest;
CREATE INDEX CONCURRENTLY tasks_oldest ON public.tasks (tenant, kind, job) WHERE state IN ('queued', 'running', 'waiting');
DROP INDEX CONCURRENTLY IF EXISTS public.tasks_unended;

DROP INDEX CONCURRENTLY IF EXISTS public.reindexes_dispatched;
CREATE INDEX CONCURRENTLY reindexes_dispatched ON public.reindexes (tenant, dispatched_at)
    WHERE state IN ('queued', 'running', 'waiting') AND dispatched_at IS NOT NULL;

DROP INDEX CONCURRENTLY IF EXISTS public.reindexes_undispatched;
CREATE INDEX CONCURRENTLY reindexes_undispatched ON public.reindexes (tenant, id)
    WHERE state = 'queued' AND dispatched_at IS NULL;

-- Entries that are no longer true stand where the next task is looked for, so
-- they are cleared away after thousands of changes, and not after a fifth of all
-- tasks that ever were.
ALTER TABLE public.tasks SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
