package reindex

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	defaultCollection = "default"

	maxNameBytes = 200
	maxKeyBytes  = 1024
	maxDocuments = 100
	minTokens    = 16
	maxTokens    = 8192
)

var collectionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// checkRequest returns the request with its defaults filled in, or what is
// wrong with it in whatever collection.
func checkRequest(request document.ReindexRequest) (document.ReindexRequest, error) {
	if request.Collection == "" && len(request.DocumentIDs) > 0 {
		request.Collection = defaultCollection
	}
	if request.Collection != "" && !collectionName.MatchString(request.Collection) {
		return request, fault.New(fault.BadRequest,
			"collection %q: want 1 to 128 letters, digits, '.', '_' and '-', beginning with a letter or digit", request.Collection)
	}
	if err := checkText("model", request.Model.Name, maxNameBytes); err != nil {
		return request, err
	}
	if err := checkText("key_prefix", request.KeyPrefix, maxKeyBytes); err != nil {
		return request, err
	}
	if len(request.DocumentIDs) > maxDocuments {
		return request, fault.New(fault.BadRequest, "%d document ids; at most %d are taken: use a key prefix, or more requests", len(request.DocumentIDs), maxDocuments)
	}
	if slices.Contains(request.DocumentIDs, uuid.Nil) {
		return request, fault.New(fault.BadRequest, "document id %s is none", uuid.Nil)
	}
	return request, nil
}

// checkText checks the length and the characters of a name.
func checkText(field, value string, limit int) error {
	switch {
	case len(value) > limit:
		return fault.New(fault.BadRequest, "%s is %d bytes long; at most %d are taken", field, len(value), limit)
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		return fault.New(fault.BadRequest, "%s is not text: it has a control character or is not UTF-8", field)
	default:
		return nil
	}
}

// check returns what is wrong with the request in its collection.
func (p plan) check() error {
	if p.change == document.ChangeNothing {
		return nil
	}
	if p.request.KeyPrefix != "" || len(p.request.DocumentIDs) > 0 {
		return fault.New(fault.BadRequest,
			"a new model or chunking is for all of collection %q: leave out key_prefix and document_ids, or the model and the chunking", p.request.Collection)
	}
	for _, field := range []struct {
		name             string
		value, low, high int
	}{
		{"dimensions", p.target.Model.Dimensions, 0, vector.MaxDimensions},
		{"chunk_tokens", p.target.Chunking.Tokens, minTokens, maxTokens},
		{"chunk_overlap", p.target.Chunking.Overlap, 0, p.target.Chunking.Tokens / 2},
	} {
		if field.value < field.low || field.value > field.high {
			return fault.New(fault.BadRequest, "%s is %d in collection %q; want %d to %d", field.name, field.value, p.request.Collection, field.low, field.high)
		}
	}
	return nil
}
