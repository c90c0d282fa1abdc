-- What is stored about versions and their text: warnings, whether a title is
-- only the file's name, and the title and the omitted ranges of a passage. No
-- row is rewritten.

-- +goose Up

-- Warnings are of two steps. Those of ingest are written once; those of the
-- knowledge step are replaced when it runs again.
ALTER TABLE versions ADD warnings           TEXT NOT NULL DEFAULT '[]';
ALTER TABLE versions ADD knowledge_warnings TEXT NOT NULL DEFAULT '[]';

-- Whether the title is only the file's name, which is not embedded. It is NULL
-- in versions from before: there it follows from the key.
ALTER TABLE versions ADD title_from_key INTEGER;

-- The document's title, where it is embedded with the passage, and the ranges of
-- the content that are not embedded: start, end, start, end, in bytes.
ALTER TABLE passages ADD title   TEXT NOT NULL DEFAULT '';
ALTER TABLE passages ADD omitted TEXT;
