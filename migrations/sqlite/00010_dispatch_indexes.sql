-- What is under way of a tenant's reindexes, and what is next, by index.

-- +goose Up

CREATE INDEX reindexes_unended ON reindexes (tenant, dispatched_at, id) WHERE state IN ('queued', 'running', 'waiting');
