-- The metadata of published documents as rows, so that a search under a filter
-- finds its documents by an index. Row-level security lets an index serve equality,
-- but not @>.
--
-- CREATE TRIGGER holds SHARE ROW EXCLUSIVE on documents for an instant. Documents of
-- before follow in the next migration.

-- +goose Up

CREATE TABLE public.document_fields (
    tenant     text NOT NULL DEFAULT nullif(pg_catalog.current_setting('gristmill.tenant', true), ''),
    collection uuid NOT NULL,
    field      text NOT NULL,
    value      text NOT NULL,
    document   uuid NOT NULL,
    PRIMARY KEY (collection, field, value, document, tenant)
);

ALTER TABLE public.document_fields ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.document_fields
    USING (tenant = (SELECT nullif(pg_catalog.current_setting('gristmill.tenant', true), '')))
    WITH CHECK (tenant = (SELECT nullif(pg_catalog.current_setting('gristmill.tenant', true), '')));
GRANT SELECT, INSERT, UPDATE, DELETE ON public.document_fields TO gristmill_app;

-- Of each field: a scalar as JSON; [] for an array, and each scalar in it in
-- brackets; {} for an object. So what contains a filter (@>) has all the rows that
-- the filter has. Long ones are hashed, so that they fit into an index.
-- +goose StatementBegin
CREATE FUNCTION public.metadata_fields(metadata jsonb) RETURNS TABLE (field text, value text)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT CASE WHEN octet_length(key) > 200 OR starts_with(key, 'sha256:') THEN 'sha256:' || encode(sha256(convert_to(key, 'UTF8')), 'hex') ELSE key END,
                    CASE WHEN octet_length(json) > 200 THEN 'sha256:' || encode(sha256(convert_to(json, 'UTF8')), 'hex') ELSE json END
    FROM (
        SELECT f.key, CASE jsonb_typeof(f.value)
                      WHEN 'object' THEN '{}'
                      WHEN 'array' THEN '[]'
                      WHEN 'number' THEN trim_scale((f.value #>> '{}')::numeric)::text -- 1.50 is 1.5
                      ELSE f.value::text END AS json
        FROM jsonb_each(metadata) AS f
        UNION ALL
        SELECT f.key, '[' || CASE jsonb_typeof(e.value) WHEN 'number' THEN trim_scale((e.value #>> '{}')::numeric)::text ELSE e.value::text END || ']'
        FROM jsonb_each(metadata) AS f
        CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(f.value) WHEN 'array' THEN f.value ELSE '[]' END) AS e
        WHERE jsonb_typeof(e.value) NOT IN ('array', 'object')
    ) AS fields
$$;
-- +goose StatementEnd

-- Replaces the rows of a document when another version is published, and removes
-- them when it is deleted.
-- +goose StatementBegin
CREATE FUNCTION public.keep_document_fields() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before jsonb;
    after  jsonb;
BEGIN
    IF OLD.deleted_at IS NULL AND OLD.live_version IS NOT NULL THEN
        SELECT metadata INTO before FROM public.versions WHERE document = OLD.id AND version = OLD.live_version AND tenant = OLD.tenant;
    END IF;
    IF NEW.deleted_at IS NULL AND NEW.live_version IS NOT NULL THEN
        SELECT metadata INTO after FROM public.versions WHERE document = NEW.id AND version = NEW.live_version AND tenant = NEW.tenant;
    END IF;
    IF before IS NOT DISTINCT FROM after THEN
        RETURN NULL;
    END IF;
    IF before <> '{}' THEN
        DELETE FROM public.document_fields d
        WHERE d.collection = OLD.collection AND d.document = OLD.id AND d.tenant = OLD.tenant
          AND (d.field, d.value) IN (SELECT field, value FROM public.metadata_fields(before));
    END IF;
    IF after <> '{}' THEN
        INSERT INTO public.document_fields (tenant, collection, field, value, document)
        SELECT NEW.tenant, NEW.collection, field, value, NEW.id FROM public.metadata_fields(after)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER fields AFTER UPDATE OF live_version, deleted_at ON public.documents
    FOR EACH ROW WHEN (OLD.live_version IS DISTINCT FROM NEW.live_version OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at)
    EXECUTE FUNCTION public.keep_document_fields();
