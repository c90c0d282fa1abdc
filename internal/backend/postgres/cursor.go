package postgres

import (
	"encoding/base64"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A cursor names the last item of a page, and the list that it is of. Clients
// must not read anything into it.
const (
	cursorDocuments   = 'd'
	cursorKeys        = 'k' // of documents by key
	cursorJobs        = 'j'
	cursorReindexes   = 'r'
	cursorWebhooks    = 'w'
	cursorDeliveries  = 'o'
	cursorCollections = 'c'
)

func encodeCursor(list byte, last uuid.UUID) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{list}, last[:]...))
}

// decodeCursor returns the item that a page of a list comes after: first, if
// it is the first page.
func decodeCursor(page document.Page, list byte, first uuid.UUID) (uuid.UUID, error) {
	if err := lifecycle.CheckPage(page); err != nil || page.Cursor == "" {
		return first, err
	}
	raw, err := base64.RawURLEncoding.DecodeString(page.Cursor)
	if err != nil || len(raw) != 1+len(uuid.UUID{}) || raw[0] != list {
		return uuid.Nil, lifecycle.BadCursor(page.Cursor)
	}
	return uuid.UUID(raw[1:]), nil
}

// encodeKeyCursor is encodeCursor for a list of documents by key.
func encodeKeyCursor(key string, last uuid.UUID) string {
	return base64.RawURLEncoding.EncodeToString(slices.Concat([]byte{cursorKeys}, last[:], []byte(key)))
}

// decodeKeyCursor returns the key and id that a page of the documents of a
// prefix comes after.
func decodeKeyCursor(page document.Page, prefix string) (key string, id uuid.UUID, err error) {
	if err := lifecycle.CheckPage(page); err != nil || page.Cursor == "" {
		return prefix, uuid.Nil, err
	}
	raw, err := base64.RawURLEncoding.DecodeString(page.Cursor)
	const keyAt = 1 + len(uuid.UUID{})
	if err != nil || len(raw) < keyAt || raw[0] != cursorKeys || !strings.HasPrefix(string(raw[keyAt:]), prefix) || !utf8.Valid(raw[keyAt:]) {
		return "", uuid.Nil, lifecycle.BadCursor(page.Cursor)
	}
	return string(raw[keyAt:]), uuid.UUID(raw[1:keyAt]), nil
}

// cutPage makes a page of at most limit items from one more than that.
func cutPage[T any](items []T, limit int, cursor func(last T) string) document.List[T] {
	if len(items) <= limit {
		return document.List[T]{Items: items}
	}
	return document.List[T]{Items: items[:limit], NextCursor: cursor(items[limit-1])}
}

// nullIfZero returns nil, which is NULL, for the zero value.
func nullIfZero[T comparable](value T) *T {
	if value == *new(T) {
		return nil
	}
	return &value
}
