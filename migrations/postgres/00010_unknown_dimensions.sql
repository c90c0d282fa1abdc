-- A space may have no length of vectors yet: 0 dimensions. It has no partition
-- of passages either; see Store.PrepareSpace.

-- +goose Up

-- Reads every row of spaces, a handful for each collection, and holds ACCESS
-- EXCLUSIVE on the table until then: milliseconds.
ALTER TABLE public.spaces
    DROP CONSTRAINT spaces_dimensions_check,
    ADD CONSTRAINT spaces_dimensions_check CHECK (dimensions BETWEEN 0 AND 16000);
