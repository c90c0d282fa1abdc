package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

const (
	maxMetadataBytes = 64 << 10
	maxMetadataDepth = 32
)

// MetadataError says what is wrong with metadata, and where.
type MetadataError struct {
	Offset int64  // in bytes
	Reason string // without a subject, as in "has a NUL character"
}

// Error implements error.
func (e *MetadataError) Error() string {
	return fmt.Sprintf("metadata %s (at offset %d)", e.Reason, e.Offset)
}

// CanonicalMetadata returns metadata in the form that every store accepts: one JSON object,
// compact, with sorted keys. Empty input is an empty object. It returns a *MetadataError if raw is
// not a JSON object of at most 64 KiB, or has what JSON allows and databases do not: NUL
// characters, numbers beyond a float64, more than 32 levels of nesting.
func CanonicalMetadata(raw json.RawMessage) (json.RawMessage, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return json.RawMessage("{}"), nil
	}
	if len(raw) > maxMetadataBytes {
		return nil, &MetadataError{maxMetadataBytes, fmt.Sprintf("is %d bytes long; the limit is %d bytes", len(raw), maxMetadataBytes)}
	}
	if err := checkTokens(raw); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil || object == nil {
		return nil, &MetadataError{0, "is not a JSON object"}
	}
	canonical, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encode metadata: %w", err)
	}
	return canonical, nil
}

// checkTokens reads raw token by token, because only the tokenizer knows offsets.
func checkTokens(raw []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	for depth := 0; ; {
		at := decoder.InputOffset()
		token, err := decoder.Token()
		switch syntax, isSyntax := errors.AsType[*json.SyntaxError](err); {
		case errors.Is(err, io.EOF) && depth == 0:
			return nil
		case isSyntax:
			return &MetadataError{syntax.Offset, "is not JSON: " + syntax.Error()}
		case err != nil:
			return &MetadataError{decoder.InputOffset(), "is not JSON: it ends too early"}
		}
		switch value := token.(type) {
		case json.Delim:
			if value == '{' || value == '[' {
				depth++
			} else {
				depth--
			}
			if depth > maxMetadataDepth {
				return &MetadataError{at, fmt.Sprintf("nests deeper than %d levels", maxMetadataDepth)}
			}
		case string:
			if strings.ContainsRune(value, 0) {
				return &MetadataError{at, "has a NUL character"}
			}
		case json.Number:
			if f, err := value.Float64(); err != nil || math.IsInf(f, 0) {
				return &MetadataError{at, "has a number that is out of range"}
			}
		}
		if depth == 0 && decoder.More() {
			return &MetadataError{decoder.InputOffset(), "has text after its first JSON value"}
		}
	}
}
