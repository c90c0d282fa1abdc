-- Vacuum leaves the empty pages at the end of the tables that spaces share, where new
-- passages go. When a large space had moved out, it cut the table to nothing and wrote
-- down that nothing is there: PostgreSQL then planned to read all of the table for each
-- passage that is looked up, and kept to that while the next space grew in it.
--
-- ALTER TABLE holds SHARE UPDATE EXCLUSIVE for an instant, which keeps no reader or
-- writer out.

-- +goose Up

ALTER TABLE public.shared_passages      SET (vacuum_truncate = false);
ALTER TABLE public.shared_passages_long SET (vacuum_truncate = false);
