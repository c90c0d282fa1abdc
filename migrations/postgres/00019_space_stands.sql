-- Whether anything stands in a space is asked for with every document that is
-- taken up. A statement that is planned while a table is small reads all that
-- stands in the space, and sorts it, long after it is large: until the table is
-- first analysed. The function leaves no plan but the first entry of an index of
-- the placements.
--
-- This locks no table.

-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION public.space_stands(space_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
BEGIN
    RETURN (SELECT p.document FROM public.placements p WHERE p.space = space_id AND p.passages > 0 ORDER BY p.document LIMIT 1) IS NOT NULL;
END
$$;
-- +goose StatementEnd
