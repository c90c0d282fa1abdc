-- What a model did not take: of a passage how much is embedded, and of a space
-- which versions cannot stand in it.
--
-- The columns have no default, so no row is rewritten or read: ALTER TABLE holds
-- its ACCESS EXCLUSIVE lock for an instant. The one on passages takes it on
-- every partition too, and waits for the searches and writes that are under way,
-- with later ones behind it.

-- +goose Up

-- How many bytes of what is embedded the vector is of; NULL for all of it.
ALTER TABLE public.passages ADD embedded_bytes integer;

-- Why a version is left out of the space: the model does not take one of its
-- passages. It has no places there then, and is not found in it.
ALTER TABLE public.placements ADD left_out text;
