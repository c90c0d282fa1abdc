-- Statements name the table that the passages of a space stand in: one on
-- `passages`, of which these tables are the partitions, was planned for all of
-- them and locked them all. So the application needs rights on each.
--
-- This locks no table.

-- +goose Up

-- +goose StatementBegin
DO $$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN SELECT inhrelid FROM pg_catalog.pg_inherits WHERE inhparent = 'public.passages'::regclass LOOP
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO gristmill_app', partition);
    END LOOP;
END
$$;
-- +goose StatementEnd
