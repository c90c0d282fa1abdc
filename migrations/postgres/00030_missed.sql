-- How often a version became live without a placement in a space that is written.
-- The switch of a reindex reads it before it counts what is missing, and again when
-- it holds the lock that publishing shares: so it counts without the lock. A trigger
-- writes it, so that programs of the release before do, too.
--
-- The default is constant, so no row is rewritten or read: ALTER TABLE holds its ACCESS
-- EXCLUSIVE lock on spaces, and CREATE TRIGGER SHARE ROW EXCLUSIVE on documents, for an
-- instant.

-- +goose Up

ALTER TABLE public.spaces ADD missed bigint NOT NULL DEFAULT 0;

-- Locks the spaces in order of id, so that no two publications wait for each other.
-- +goose StatementBegin
CREATE FUNCTION public.count_missed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE public.spaces s SET missed = s.missed + 1
    FROM (SELECT w.id
          FROM public.spaces w
          WHERE w.collection = NEW.collection AND w.tenant = NEW.tenant AND w.written
            AND NOT EXISTS (SELECT FROM public.placements p
                            WHERE p.document = NEW.id AND p.version = NEW.live_version AND p.space = w.id AND p.tenant = NEW.tenant
                            OFFSET 0)
          ORDER BY w.id
          FOR NO KEY UPDATE) AS lacking
    WHERE s.id = lacking.id AND s.tenant = NEW.tenant;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER missed AFTER UPDATE OF live_version ON public.documents
    FOR EACH ROW WHEN (NEW.live_version IS NOT NULL AND OLD.live_version IS DISTINCT FROM NEW.live_version)
    EXECUTE FUNCTION public.count_missed();
