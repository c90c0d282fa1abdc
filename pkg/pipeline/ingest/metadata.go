package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// checkMetadata returns the request's metadata in canonical form.
func checkMetadata(raw json.RawMessage) (json.RawMessage, error) {
	canonical, err := document.CanonicalMetadata(raw)
	if bad, ok := errors.AsType[*document.MetadataError](err); ok {
		return nil, fault.New(fault.InvalidMetadata, "%s", bad.Error()).At(bad.Offset)
	}
	return canonical, err
}

// ownWords is what a document says of itself at its beginning.
type ownWords struct {
	title  string
	fields map[string]any
}

// frontMatter reads the YAML front matter and the first heading out of the
// head of a document. Front matter that is not a YAML mapping with plain keys
// is left alone: it is the author's, not a request to us.
func frontMatter(head []byte) ownWords {
	own := ownWords{}
	if matter, _ := markdown.FrontMatter(head); matter != nil {
		own.fields = decodeFrontMatter(matter)
	}
	if title, ok := own.fields["title"].(string); ok {
		own.title = cleanTitle(title)
	}
	if own.title == "" {
		own.title = cleanTitle(markdown.FirstHeading(head, markdown.CommonMark))
	}
	return own
}

func decodeFrontMatter(matter []byte) map[string]any {
	var fields map[string]any
	if err := yaml.Unmarshal(matter, &fields); err != nil {
		return nil
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return nil // keys that are not strings, or numbers that are not finite
	}
	canonical, err := document.CanonicalMetadata(raw)
	if err != nil {
		return nil
	}
	fields = nil
	decoder := json.NewDecoder(bytes.NewReader(canonical))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return nil
	}
	return fields
}

// merge returns the front matter's fields with those of the request over them.
func (o ownWords) merge(request json.RawMessage) (json.RawMessage, error) {
	if len(o.fields) == 0 {
		return request, nil
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(request, &given); err != nil {
		return nil, fmt.Errorf("merge metadata: %w", err)
	}
	merged := maps.Clone(o.fields)
	for name, value := range given {
		merged[name] = value
	}
	raw, err := json.Marshal(merged)
	if err != nil {
		return nil, fmt.Errorf("merge metadata: %w", err)
	}
	return raw, nil
}

// cleanTitle returns a title found in a document as one line of bounded
// length without control characters.
func cleanTitle(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	for len(s) > maxTitleBytes {
		cut := strings.ToValidUTF8(s[:maxTitleBytes], "")
		s = strings.TrimSpace(cut)
	}
	return s
}
