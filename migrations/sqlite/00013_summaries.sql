-- Whether documents of a collection are summarised, and whether somebody has
-- asked for a summary.

-- +goose Up

-- NULL: as the programs are configured.
ALTER TABLE collections ADD COLUMN summaries TEXT CHECK (summaries IN ('model', 'on_demand', 'off'));
ALTER TABLE tasks ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
