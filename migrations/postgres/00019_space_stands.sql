-- Whether anything stands in a space is asked for with every document that is
-- taken up. A statement that is planned while `manifest` is small reads all that
-- stands in the space, and sorts it, long after it is large: until the table is
-- first analysed. The function leaves no plan but the first entry of an index.
--
-- This locks no table.

-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION public.space_stands(space_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
BEGIN
    RETURN (SELECT m.hash FROM public.manifest m WHERE m.space = space_id ORDER BY m.hash LIMIT 1) IS NOT NULL;
END
$$;
-- +goose StatementEnd
