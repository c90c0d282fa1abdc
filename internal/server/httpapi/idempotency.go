package httpapi

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

const (
	idempotencyHeader = "Idempotency-Key"
	replayedHeader    = "Idempotency-Replayed"

	maxIdempotencyKey = 255 // bytes
)

// idempotencyKey returns the idempotency key of a request, empty if it has none.
func idempotencyKey(header http.Header) (string, error) {
	values := header.Values(idempotencyHeader)
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	printable := !strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' })
	if len(values) > 1 || key == "" || len(key) > maxIdempotencyKey || !printable {
		return "", fault.New(fault.BadRequest, "header %s: want one value of 1 to %d printable ASCII characters", idempotencyHeader, maxIdempotencyKey)
	}
	return key, nil
}

// fileIdempotencyKey returns the idempotency key of the nth file of a form, beginning with 1. Keys of
// clients cannot have a tab, so there is no collision.
func fileIdempotencyKey(key string, n int) string {
	if key == "" || n == 1 {
		return key
	}
	return key + "\t" + strconv.Itoa(n)
}

// idempotencyKeySchema describes the header.
func idempotencyKeySchema() *huma.Schema {
	shortest, longest := 1, maxIdempotencyKey
	return &huma.Schema{Type: huma.TypeString, MinLength: &shortest, MaxLength: &longest, Pattern: "^[ -~]+$"}
}
