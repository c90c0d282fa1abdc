package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"modernc.org/sqlite"
)

const (
	// maxFieldBytes is how long a field or a value of document_fields may be; for
	// what is longer stands its hash.
	maxFieldBytes = 200

	// filterCountLimit is up to where it is counted how many documents match a field.
	filterCountLimit = 1000
)

// metadataFields is the SQL function metadata_fields(metadata): the rows that
// document_fields has of a document, as a JSON array of pairs. Of each field: a
// scalar as JSON; [] for an array, and each scalar in it in brackets; {} for an
// object. So what contains a filter has all rows that the filter has.
func metadataFields(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
	text, ok := args[0].(string)
	if !ok {
		return nil, fmt.Errorf("metadata_fields: want text, got %T", args[0])
	}
	fields, err := fieldsOf([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("metadata_fields: %w", err)
	}
	pairs, err := json.Marshal(fields)
	return string(pairs), err
}

func fieldsOf(metadata []byte) (fields [][2]string, err error) {
	decoded, err := decodeJSON(metadata)
	if err != nil {
		return nil, err
	}
	fields = [][2]string{}
	members, _ := decoded.(map[string]any)
	for field, value := range members {
		add := func(value string) { fields = append(fields, [2]string{hashIfLong(field), hashIfLong(value)}) }
		switch value := value.(type) {
		case map[string]any:
			add("{}")
		case []any:
			add("[]")
			for _, element := range value {
				switch element.(type) {
				case map[string]any, []any:
				default:
					add("[" + formatScalar(element) + "]")
				}
			}
		default:
			add(formatScalar(value))
		}
	}
	return fields, nil
}

// formatScalar writes a scalar in one way only.
func formatScalar(value any) string {
	if number, ok := value.(json.Number); ok {
		return fmt.Sprintf("%+v", decimalOf(number))
	}
	text, _ := json.Marshal(value) // of a string, bool or null
	return string(text)
}

func hashIfLong(text string) string {
	if len(text) <= maxFieldBytes {
		return text
	}
	hash := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(hash[:])
}

// findRarestField returns the row of document_fields, of those that a filter has, that
// the fewest documents of a collection have; ok is false when the filter has none.
func findRarestField(ctx context.Context, tx transaction, collection uuid.UUID, metadata []byte) (rarest [2]string, ok bool, err error) {
	if len(metadata) == 0 {
		return rarest, false, nil
	}
	fields, err := fieldsOf(metadata)
	if err != nil {
		return rarest, false, err
	}
	least := filterCountLimit + 1
	for _, field := range fields {
		var count int
		if err := tx.QueryRowContext(ctx, `
			SELECT count(*) FROM (SELECT 1 FROM document_fields WHERE tenant = ?1 AND collection = ?2 AND field = ?3 AND value = ?4 LIMIT ?5)`,
			tx.tenant, collection, field[0], field[1], filterCountLimit).Scan(&count); err != nil {
			return rarest, false, err
		}
		if count < least {
			least, rarest = count, field
		}
	}
	return rarest, len(fields) > 0, nil
}
