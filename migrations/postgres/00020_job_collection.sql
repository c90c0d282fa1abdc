-- The collection of a job stands with it, so that jobs of a collection are listed
-- by an index: see the next migration.
--
-- The column has no default, so no row is rewritten: ALTER TABLE and CREATE TRIGGER
-- hold their locks on jobs (ACCESS EXCLUSIVE at most) for an instant.

-- +goose Up

ALTER TABLE public.jobs ADD collection uuid;

-- Fills in the collection of jobs that programs of before write.
-- +goose StatementBegin
CREATE FUNCTION public.fill_job_collection() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT collection INTO NEW.collection FROM public.documents WHERE id = NEW.document AND tenant = NEW.tenant;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER collection BEFORE INSERT ON public.jobs
    FOR EACH ROW WHEN (NEW.collection IS NULL) EXECUTE FUNCTION public.fill_job_collection();
