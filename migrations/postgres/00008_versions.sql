-- What is stored about versions and their text: warnings, whether a title is
-- only the file's name, the title and the omitted ranges of a passage, and
-- which section summaries a version uses.
--
-- section_summaries is read once, and locked until the migration ends (ACCESS
-- EXCLUSIVE): summary tasks wait for some seconds for each million of rows. What
-- else is locked, is so at the end and for an instant: new columns have a
-- constant default or none, so no row is rewritten or read. ALTER TABLE of
-- passages takes its ACCESS EXCLUSIVE lock on every partition too, and waits for
-- the searches and writes that are under way, with later ones behind it.

-- +goose Up

-- What versions that are gone used: the sweep removes the summaries among them
-- that no other version uses.
CREATE TABLE public.released_sections (
    tenant      text        NOT NULL DEFAULT nullif(pg_catalog.current_setting('gristmill.tenant', true), '') REFERENCES public.tenants,
    node        bytea       NOT NULL,
    released_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (node, tenant)
);

-- Which version uses a summary from before is not known. A version says so when
-- it is summarised again, which costs nothing while the summary is there. What
-- no version has used after 90 days goes.
ALTER TABLE public.section_summaries NO FORCE ROW LEVEL SECURITY;
INSERT INTO public.released_sections (tenant, node, released_at)
SELECT tenant, node, pg_catalog.now() + interval '90 days' FROM public.section_summaries;
ALTER TABLE public.section_summaries FORCE ROW LEVEL SECURITY;

-- The section summaries that a version uses. Several versions, of any documents,
-- may use one.
CREATE TABLE public.version_sections (
    tenant   text    NOT NULL DEFAULT nullif(pg_catalog.current_setting('gristmill.tenant', true), ''),
    document uuid    NOT NULL,
    version  integer NOT NULL,
    node     bytea   NOT NULL,
    PRIMARY KEY (document, version, node, tenant),
    FOREIGN KEY (tenant, document, version) REFERENCES public.versions (tenant, document, version) ON DELETE CASCADE
);

CREATE INDEX version_sections_node ON public.version_sections (node, tenant);

-- Warnings stand with what they are about. Those of ingest, which are written
-- once, and those of the summary, which are written with it, are of the version.
-- Those of passages are of its placement in a space, since another model may take
-- what this one does not; they are replaced whenever it is placed there.
ALTER TABLE public.placements
    ADD warnings jsonb NOT NULL DEFAULT '[]';

-- title_from_key says that the title is only the file's name, which is not
-- embedded. It is NULL in versions from before: there it follows from the key.
ALTER TABLE public.versions
    ADD warnings         jsonb NOT NULL DEFAULT '[]',
    ADD summary_warnings jsonb NOT NULL DEFAULT '[]',
    ADD title_from_key   boolean;

-- The document's title, where it is embedded with the passage, and the ranges of
-- the content that are not embedded: start, end, start, end, in bytes.
ALTER TABLE public.passages
    ADD title   text NOT NULL DEFAULT '',
    ADD omitted integer[];

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['version_sections', 'released_sections'] LOOP
        EXECUTE pg_catalog.format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE pg_catalog.format('CREATE POLICY tenant ON public.%I '
            'USING (tenant = nullif(pg_catalog.current_setting(''gristmill.tenant'', true), '''')) '
            'WITH CHECK (tenant = nullif(pg_catalog.current_setting(''gristmill.tenant'', true), ''''))', name);
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO gristmill_app', name);
    END LOOP;
END
$$;
-- +goose StatementEnd
