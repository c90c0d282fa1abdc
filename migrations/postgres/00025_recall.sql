-- How wide a walk along a space's vector index looks around.
--
-- The columns have no default, so no row is rewritten or read: ALTER TABLE holds
-- its ACCESS EXCLUSIVE lock on spaces for an instant.

-- +goose Up

-- hnsw.ef_search as it was measured when the index was built, or when there were
-- twice as many passages as the time before; NULL until then.
ALTER TABLE public.spaces
    ADD ef_search       integer CHECK (ef_search BETWEEN 1 AND 1000),
    ADD measured_tuples real;
