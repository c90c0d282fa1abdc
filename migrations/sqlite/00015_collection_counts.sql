-- How many collections a tenant has, so that a limit of them is checked without
-- counting.

-- +goose Up

ALTER TABLE tenants ADD COLUMN collections INTEGER NOT NULL DEFAULT 0;

UPDATE tenants SET collections = (SELECT count(*) FROM collections WHERE tenant = tenants.id);

-- +goose StatementBegin
CREATE TRIGGER collections_made AFTER INSERT ON collections BEGIN
    UPDATE tenants SET collections = collections + 1 WHERE id = NEW.tenant;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER collections_removed AFTER DELETE ON collections BEGIN
    UPDATE tenants SET collections = collections - 1 WHERE id = OLD.tenant;
END;
-- +goose StatementEnd
