-- Of which tenants is something due? Background care asks this before it looks at
-- any: see tenants_with_work, which these functions are like. Whatever they ask is
-- answered by an index that begins with the tenant. And the list of spaces that
-- have grown, from which it is known which of them need a table of their own, or
-- an index.
--
-- The indexes are built without keeping anybody from writing. DROP INDEX
-- CONCURRENTLY waits for transactions that use the table, and keeps nobody waiting.
-- All else is new. What is cut short is done again from the beginning.

-- +goose NO TRANSACTION
-- +goose Up

DROP INDEX CONCURRENTLY IF EXISTS public.deliveries_pending;
CREATE INDEX CONCURRENTLY deliveries_pending ON public.deliveries (tenant, next_attempt_at) WHERE state = 'pending';
DROP INDEX CONCURRENTLY IF EXISTS public.deliveries_over;
CREATE INDEX CONCURRENTLY deliveries_over ON public.deliveries (tenant, ended_at) WHERE state <> 'pending';
DROP INDEX CONCURRENTLY IF EXISTS public.idempotency_keys_made;
CREATE INDEX CONCURRENTLY idempotency_keys_made ON public.idempotency_keys (tenant, created_at);

-- These take their place.
DROP INDEX CONCURRENTLY IF EXISTS public.deliveries_ended;
DROP INDEX CONCURRENTLY IF EXISTS public.idempotency_keys_age;

-- A space that passages were published in. An entry stands for about a hundred of
-- them, and goes when nothing is to be done for the space.
CREATE TABLE IF NOT EXISTS public.grown_spaces (
    tenant text   NOT NULL DEFAULT nullif(pg_catalog.current_setting('gristmill.tenant', true), ''),
    id     bigint GENERATED ALWAYS AS IDENTITY,
    space  bigint NOT NULL,
    PRIMARY KEY (tenant, id)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000); -- most of its rows are dead before long

ALTER TABLE public.grown_spaces ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS tenant ON public.grown_spaces;
CREATE POLICY tenant ON public.grown_spaces
    USING (tenant = (SELECT nullif(pg_catalog.current_setting('gristmill.tenant', true), '')))
    WITH CHECK (tenant = (SELECT nullif(pg_catalog.current_setting('gristmill.tenant', true), '')));
GRANT SELECT, INSERT, UPDATE, DELETE ON public.grown_spaces TO gristmill_app;

-- Each function names the tenants for which a condition holds. Of garbage, each list
-- has its own time, up to which what is on it is due. To be verified is what has no
-- pass that began after a time and has ended.
-- +goose StatementBegin
DO $$
DECLARE
    due record;
BEGIN
    FOR due IN SELECT * FROM (VALUES
        ('tenants_with_grown_spaces', '', $condition$
            EXISTS (SELECT FROM public.grown_spaces)
        $condition$),
        ('tenants_with_garbage', 'listed timestamptz, noted timestamptz, released timestamptz, keyed timestamptz, ended timestamptz', $condition$
            EXISTS (SELECT FROM public.garbage WHERE due_at <= listed)
            OR EXISTS (SELECT FROM public.uploads WHERE created_at <= noted)
            OR EXISTS (SELECT FROM public.released_sections WHERE released_at <= released)
            OR EXISTS (SELECT FROM public.idempotency_keys WHERE created_at <= keyed)
            OR EXISTS (SELECT FROM public.deliveries WHERE state <> 'pending' AND ended_at <= ended)
        $condition$),
        ('tenants_with_deliveries', '', $condition$
            EXISTS (SELECT FROM public.deliveries WHERE state = 'pending' AND next_attempt_at <= now())
        $condition$),
        ('tenants_to_verify', 'before timestamptz', $condition$
            NOT EXISTS (SELECT FROM public.verifications
                        WHERE started_at > before AND reached = '00000000-0000-0000-0000-000000000000')
        $condition$)) AS functions (name, parameters, condition)
    LOOP
        EXECUTE pg_catalog.format($function$
            CREATE OR REPLACE FUNCTION public.%I(%s) RETURNS SETOF text
            LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $body$
            DECLARE
                id text;
            BEGIN
                FOR id IN SELECT t.id FROM public.tenants t LOOP
                    PERFORM set_config('gristmill.tenant', id, true);
                    IF %s THEN
                        RETURN NEXT id;
                    END IF;
                END LOOP;
                PERFORM set_config('gristmill.tenant', '', true);
            END
            $body$
        $function$, due.name, due.parameters, due.condition);
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION public.%I FROM PUBLIC', due.name);
        EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION public.%I TO gristmill_app', due.name);
    END LOOP;
END
$$;
-- +goose StatementEnd
