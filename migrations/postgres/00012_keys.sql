-- Keys are in Unicode's NFC from now on, in which é is the same key whether it
-- was typed as one character or as two. Those of before follow. Where that
-- would give two documents of a collection one key, the second keeps its
-- spelling: it is found by its id, in lists and by searches, but no more by its
-- key.
--
-- The table is locked while each of its rows is read once, about a second for a
-- million; only rows whose key changes are written.

-- +goose Up

ALTER TABLE public.documents NO FORCE ROW LEVEL SECURITY;

UPDATE public.documents d SET key = spelling.normal
FROM (
    SELECT o.tenant, o.id, o.collection, pg_catalog.normalize(o.key, 'NFC') AS normal,
           pg_catalog.row_number() OVER (PARTITION BY o.tenant, o.collection, pg_catalog.normalize(o.key, 'NFC') ORDER BY o.id) AS n
    FROM public.documents o
    WHERE o.deleted_at IS NULL AND NOT pg_catalog.is_normalized(o.key, 'NFC')
) spelling
WHERE d.tenant = spelling.tenant AND d.id = spelling.id AND spelling.n = 1
  AND NOT EXISTS (
    SELECT FROM public.documents o
    WHERE o.tenant = spelling.tenant AND o.collection = spelling.collection AND o.key = spelling.normal AND o.deleted_at IS NULL);

ALTER TABLE public.documents FORCE ROW LEVEL SECURITY;
