-- The index of uploads by age. CONCURRENTLY, so nobody waits; see 00013.

-- +goose NO TRANSACTION
-- +goose Up

-- Which of a tenant's uploads began the longest ago?
DROP INDEX CONCURRENTLY IF EXISTS public.uploads_age;
CREATE INDEX CONCURRENTLY uploads_age ON public.uploads (tenant, created_at);
