-- Warnings stand with what they are about: those of passages with the version's
-- placement in a space, since another model may take what this one does not, and
-- those of the summary with the version.

-- +goose Up

-- Replaced whenever the version is placed in the space.
ALTER TABLE placements ADD warnings TEXT NOT NULL DEFAULT '[]';

-- Written when the summary is.
ALTER TABLE versions ADD summary_warnings TEXT NOT NULL DEFAULT '[]';

-- Those of before are of the space that is live.
UPDATE placements SET warnings = v.knowledge_warnings
FROM versions v
JOIN documents d   ON d.tenant = v.tenant AND d.id = v.document
JOIN collections c ON c.tenant = d.tenant AND c.id = d.collection
WHERE v.knowledge_warnings <> '[]'
  AND placements.tenant = v.tenant AND placements.document = v.document AND placements.version = v.version AND placements.space = c.live_space;

ALTER TABLE versions DROP COLUMN knowledge_warnings;
