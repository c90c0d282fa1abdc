-- How often a version became live without a placement in a space that is written:
-- the switch of a reindex counts beside the writers what is missing, and sees by it
-- whether that is so still. And which versions are left out of a space.

-- +goose Up

ALTER TABLE spaces ADD COLUMN missed INTEGER NOT NULL DEFAULT 0;

-- +goose StatementBegin
CREATE TRIGGER missed AFTER UPDATE OF live_version ON documents
WHEN NEW.live_version IS NOT NULL AND NEW.live_version IS NOT OLD.live_version
BEGIN
    UPDATE spaces SET missed = missed + 1
    WHERE tenant = NEW.tenant AND collection = NEW.collection AND written
      AND NOT EXISTS (SELECT 1 FROM placements pl
                      WHERE pl.tenant = NEW.tenant AND pl.document = NEW.id AND pl.version = NEW.live_version AND pl.space = spaces.id);
END;
-- +goose StatementEnd

CREATE INDEX placements_left_out ON placements (tenant, space, document) WHERE left_out IS NOT NULL;
