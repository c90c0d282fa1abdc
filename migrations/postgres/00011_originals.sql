-- Originals that are compared with their rows, and how far the slow comparison
-- of all of them is.
--
-- The new columns have constant defaults, so no row is rewritten: ALTER TABLE
-- holds its ACCESS EXCLUSIVE lock on versions for an instant.

-- +goose Up

-- The tag is what object storage said of the object when its bytes were known to
-- be those that were uploaded; empty in versions from before. The damage is what
-- the last comparison found wrong with the original or with what was made of it.
ALTER TABLE public.versions
    ADD tag    text NOT NULL DEFAULT '',
    ADD damage text NOT NULL DEFAULT '';

-- One row for each tenant: the last document that the pass has compared, and
-- what it has come to so far.
CREATE TABLE public.verifications (
    tenant     text        NOT NULL DEFAULT nullif(pg_catalog.current_setting('gristmill.tenant', true), '') REFERENCES public.tenants,
    reached    uuid        NOT NULL,
    documents  bigint      NOT NULL,
    bytes      bigint      NOT NULL,
    findings   bigint      NOT NULL,
    started_at timestamptz NOT NULL,
    PRIMARY KEY (tenant)
);

ALTER TABLE public.verifications ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.verifications
    USING (tenant = nullif(pg_catalog.current_setting('gristmill.tenant', true), ''))
    WITH CHECK (tenant = nullif(pg_catalog.current_setting('gristmill.tenant', true), ''));
GRANT SELECT, INSERT, UPDATE, DELETE ON public.verifications TO gristmill_app;
