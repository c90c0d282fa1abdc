-- A reindex counts each of its jobs once, when the job has ended. Until now the count
-- removed the job from its reindex: a reindex that failed and was resumed could not tell
-- which documents it had redone, and with force redid all of them.
--
-- The column gets a constant default: no row is read or rewritten. ALTER TABLE holds
-- ACCESS EXCLUSIVE on jobs for an instant, and waits at most 0.1 s for it.

-- +goose Up

ALTER TABLE public.jobs ADD counted_by_reindex boolean NOT NULL DEFAULT false;
