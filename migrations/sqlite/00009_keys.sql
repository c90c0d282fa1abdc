-- Keys are in Unicode's NFC from now on, in which é is the same key whether it
-- was typed as one character or as two. Those of before follow. Where that
-- would give two documents of a collection one key, the second keeps its
-- spelling: it is found by its id, in lists and by searches, but no more by its
-- key. Each row is read once; only rows whose key changes are written.

-- +goose Up

UPDATE OR IGNORE documents SET key = normal_key(key)
WHERE deleted_at IS NULL AND key <> normal_key(key);
