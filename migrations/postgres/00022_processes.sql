-- Which process works at a task, and which processes there are: what a process
-- that has died was at is given to others at once, and not when its leases run
-- out.
--
-- ADD COLUMN without a default holds ACCESS EXCLUSIVE on its table for an
-- instant.

-- +goose Up

ALTER TABLE public.tasks ADD process bigint;
ALTER TABLE public.reindexes ADD process bigint;

-- A process that works at tasks. While it lives it holds the advisory lock of
-- its id: the server lets go of that when the process's connection closes. The
-- row is removed by the process when it ends, or by others when it has died.
CREATE TABLE public.processes (
    id       bigint      PRIMARY KEY,
    began_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, DELETE ON public.processes TO gristmill_app;
