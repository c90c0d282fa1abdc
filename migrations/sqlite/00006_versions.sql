-- What is stored about versions and their text: warnings, whether a title is
-- only the file's name, the title and the omitted ranges of a passage, and
-- which section summaries a version uses. No row is rewritten.

-- +goose Up

-- Warnings stand with what they are about. Those of ingest, which are written
-- once, and those of the summary, which are written with it, are of the version.
-- Those of passages are of its placement in a space, since another model may take
-- what this one does not; they are replaced whenever it is placed there.
ALTER TABLE versions ADD warnings         TEXT NOT NULL DEFAULT '[]';
ALTER TABLE versions ADD summary_warnings TEXT NOT NULL DEFAULT '[]';
ALTER TABLE placements ADD warnings TEXT NOT NULL DEFAULT '[]';

-- Whether the title is only the file's name, which is not embedded. It is NULL
-- in versions from before: there it follows from the key.
ALTER TABLE versions ADD title_from_key INTEGER;

-- The document's title, where it is embedded with the passage, and the ranges of
-- the content that are not embedded: start, end, start, end, in bytes.
ALTER TABLE passages ADD title   TEXT NOT NULL DEFAULT '';
ALTER TABLE passages ADD omitted TEXT;

-- The section summaries that a version uses. Several versions, of any documents,
-- may use one.
CREATE TABLE version_sections (
    tenant   TEXT    NOT NULL,
    document TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    node     BLOB    NOT NULL,
    PRIMARY KEY (tenant, document, version, node),
    FOREIGN KEY (tenant, document, version) REFERENCES versions ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX version_sections_node ON version_sections (tenant, node);

-- What versions that are gone used: the sweep removes the summaries among them
-- that no other version uses.
CREATE TABLE released_sections (
    tenant      TEXT    NOT NULL REFERENCES tenants,
    node        BLOB    NOT NULL,
    released_at INTEGER NOT NULL, -- microseconds
    PRIMARY KEY (tenant, node)
) STRICT, WITHOUT ROWID;

CREATE INDEX released_sections_age ON released_sections (tenant, released_at);

-- Which version uses a summary from before is not known. A version says so when
-- it is summarised again, which costs nothing while the summary is there. What
-- no version has used after 90 days goes.
INSERT INTO released_sections (tenant, node, released_at)
SELECT tenant, node, CAST(unixepoch('now', '+90 days') AS INTEGER) * 1000000 FROM section_summaries;
