-- Fair dispatch and crashes. A task is put into the queue when its tenant has
-- room there, and no longer when it is accepted: until then dispatched_at is
-- NULL.

-- +goose Up

ALTER TABLE public.tasks
    ALTER dispatched_at DROP NOT NULL,
    ALTER dispatched_at DROP DEFAULT,
    ADD round   integer NOT NULL DEFAULT 0, -- how often it was claimed, or retried on request
    ADD crashes integer NOT NULL DEFAULT 0; -- attempts that lost their worker

-- What is to be dispatched next. It begins with the tenant, so that nobody
-- walks over what another tenant has waiting.
CREATE INDEX tasks_undispatched ON public.tasks (tenant, kind, job) WHERE state = 'queued' AND dispatched_at IS NULL;
