-- Whether documents of a collection are summarised, and whether somebody has
-- asked for a summary. Both tables are locked for as long as their catalogue
-- changes, which is an instant: collections are read once, which are few, and
-- tasks get a constant default.

-- +goose Up

-- NULL: as the programs are configured.
ALTER TABLE public.collections ADD COLUMN summaries text CHECK (summaries IN ('model', 'on_demand', 'off'));
ALTER TABLE public.tasks ADD COLUMN asked boolean NOT NULL DEFAULT false;
