package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// checkMetadata returns the metadata of the request in canonical form.
func checkMetadata(raw json.RawMessage) (json.RawMessage, error) {
	canonical, err := document.CanonicalMetadata(raw)
	if bad, ok := errors.AsType[*document.MetadataError](err); ok {
		return nil, fault.New(fault.InvalidMetadata, "%s", bad.Error()).WithOffset(bad.Offset)
	}
	return canonical, err
}

// headInfo is the information at the beginning of a document.
type headInfo struct {
	title    string
	metadata json.RawMessage // nil for none
	warnings document.Warnings
}

// readHead reads the front matter and the first heading from the head of a document. Front matter
// that cannot be parsed counts as text, with a warning.
func readHead(head []byte, syntax markdown.Syntax) headInfo {
	own := headInfo{}
	if syntax != markdown.SyntaxPlain {
		front, _ := markdown.ParseFrontMatter(head)
		own.title, own.metadata = cleanTitle(front.Title), front.Metadata
		if front.Err != nil {
			own.warnings = append(own.warnings, document.Warning{
				Code:   "front_matter_unreadable",
				Detail: "front matter is kept as text, because it cannot be parsed: " + front.Err.Error(),
				Start:  int64(front.Start),
				End:    int64(front.End),
			})
		}
	}
	if own.title == "" {
		own.title = cleanTitle(markdown.FirstHeading(head, syntax))
	}
	return own
}

// mergeMetadata returns the fields of the front matter, overridden by those of the request.
func (o headInfo) mergeMetadata(request json.RawMessage) (json.RawMessage, error) {
	if o.metadata == nil {
		return request, nil
	}
	merged := map[string]json.RawMessage{}
	for _, fields := range []json.RawMessage{o.metadata, request} {
		if err := json.Unmarshal(fields, &merged); err != nil {
			return nil, fmt.Errorf("merge metadata: %w", err)
		}
	}
	return json.Marshal(merged)
}

// cleanTitle returns a title as one line of bounded length without control characters.
func cleanTitle(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	for len(s) > document.MaxTitleBytes {
		cut := strings.ToValidUTF8(s[:document.MaxTitleBytes], "")
		s = strings.TrimSpace(cut)
	}
	return s
}
