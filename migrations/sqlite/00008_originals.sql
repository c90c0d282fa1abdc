-- Originals that are compared with their rows, and how far the slow comparison
-- of all of them is. No row is rewritten.

-- +goose Up

-- The tag is what object storage said of the object when its bytes were known to
-- be those that were uploaded; empty in versions from before. The damage is what
-- the last comparison found wrong with the original or with what was made of it.
ALTER TABLE versions ADD tag TEXT NOT NULL DEFAULT '';
ALTER TABLE versions ADD damage TEXT NOT NULL DEFAULT '';

-- One row for each tenant: the last document that the pass has compared, and
-- what it has come to so far.
CREATE TABLE verifications (
    tenant     TEXT    PRIMARY KEY REFERENCES tenants,
    reached    TEXT    NOT NULL,
    documents  INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    findings   INTEGER NOT NULL,
    started_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
