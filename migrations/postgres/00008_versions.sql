-- What is stored about versions and their text: warnings, whether a title is
-- only the file's name, and the title and the omitted ranges of a passage.
--
-- New columns have a constant default or none, so no row is rewritten or read:
-- ALTER TABLE holds its ACCESS EXCLUSIVE lock for an instant. The one on
-- passages takes it on every partition too, and waits for the searches and
-- writes that are under way, with later ones behind it.

-- +goose Up

-- Warnings are of two steps. Those of ingest are written once; those of the
-- knowledge step are replaced when it runs again.
--
-- title_from_key says that the title is only the file's name, which is not
-- embedded. It is NULL in versions from before: there it follows from the key.
ALTER TABLE public.versions
    ADD warnings           jsonb NOT NULL DEFAULT '[]',
    ADD knowledge_warnings jsonb NOT NULL DEFAULT '[]',
    ADD title_from_key     boolean;

-- The document's title, where it is embedded with the passage, and the ranges of
-- the content that are not embedded: start, end, start, end, in bytes.
ALTER TABLE public.passages
    ADD title   text NOT NULL DEFAULT '',
    ADD omitted integer[];
