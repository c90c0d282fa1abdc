-- Warnings stand with what they are about: those of passages with the version's
-- placement in a space, since another model may take what this one does not, and
-- those of the summary with the version.
--
-- The new columns have constant defaults, so no row is rewritten: ALTER TABLE
-- holds its ACCESS EXCLUSIVE lock until the migration ends. That reads versions
-- once, some seconds for a million of them.

-- +goose Up

-- Replaced whenever the version is placed in the space.
ALTER TABLE public.placements ADD warnings jsonb NOT NULL DEFAULT '[]';

-- Written when the summary is.
ALTER TABLE public.versions ADD summary_warnings jsonb NOT NULL DEFAULT '[]';

-- Those of before are of the space that is live.
ALTER TABLE public.placements NO FORCE ROW LEVEL SECURITY;
ALTER TABLE public.versions NO FORCE ROW LEVEL SECURITY;
ALTER TABLE public.documents NO FORCE ROW LEVEL SECURITY;
ALTER TABLE public.collections NO FORCE ROW LEVEL SECURITY;
UPDATE public.placements p SET warnings = v.knowledge_warnings
FROM public.versions v
JOIN public.documents d ON d.tenant = v.tenant AND d.id = v.document
JOIN public.collections c ON c.tenant = d.tenant AND c.id = d.collection
WHERE v.knowledge_warnings <> '[]'
  AND p.tenant = v.tenant AND p.document = v.document AND p.version = v.version AND p.space = c.live_space;
ALTER TABLE public.placements FORCE ROW LEVEL SECURITY;
ALTER TABLE public.versions FORCE ROW LEVEL SECURITY;
ALTER TABLE public.documents FORCE ROW LEVEL SECURITY;
ALTER TABLE public.collections FORCE ROW LEVEL SECURITY;

ALTER TABLE public.versions DROP COLUMN knowledge_warnings;
