-- What a model did not take: of a passage how much is embedded, and of a space
-- which versions cannot stand in it. No row is rewritten.

-- +goose Up

-- How many bytes of what is embedded the vector is of; NULL for all of it.
ALTER TABLE passages ADD embedded_bytes INTEGER;

-- Why a version is left out of the space: the model does not take one of its
-- passages. It has no places there then, and is not found in it.
ALTER TABLE placements ADD left_out TEXT;
