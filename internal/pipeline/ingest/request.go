package ingest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	defaultCollection = "default"
	maxTitleBytes     = 512
)

var collectionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// checkRequest returns the request with defaults filled in, or an error that says what is wrong.
func checkRequest(request document.UploadRequest) (document.UploadRequest, error) {
	if request.Collection == "" {
		request.Collection = defaultCollection
	}
	if !collectionName.MatchString(request.Collection) {
		return request, fault.New(fault.BadRequest,
			"collection %q: want 1 to 128 letters, digits, '.', '_' and '-', beginning with a letter or digit", request.Collection)
	}
	if err := checkMediaType(request.MediaType); err != nil {
		return request, err
	}
	request.Key = document.NormaliseKey(request.Key)
	if err := document.CheckKey(request.Key); err != nil {
		return request, fault.Wrap(fault.BadRequest, err, "%v", err)
	}
	if err := checkText("title", request.Title, maxTitleBytes); err != nil {
		return request, err
	}
	metadata, err := checkMetadata(request.Metadata)
	if err != nil {
		return request, err
	}
	request.Metadata = metadata
	return request, nil
}

// checkText checks the length and the characters of a name that users read.
func checkText(field, value string, limit int) error {
	if len(value) > limit {
		return fault.New(fault.BadRequest, "%s is %d bytes long; the maximum is %d", field, len(value), limit)
	}
	if !utf8.ValidString(value) {
		return fault.New(fault.BadRequest, "%s %q is not UTF-8", field, value)
	}
	if i := strings.IndexFunc(value, unicode.IsControl); i >= 0 {
		return fault.New(fault.BadRequest, "%s %q has a control character at byte %d", field, value, i)
	}
	if i := strings.IndexFunc(value, document.IsBidiControl); i >= 0 {
		r, _ := utf8.DecodeRuneInString(value[i:])
		return fault.New(fault.BadRequest, "%s %q has the character %U at byte %d, which changes the direction of the text after it: remove it", field, value, r, i)
	}
	return nil
}

// fingerprintOf returns a hash of a checked request and the hash of its body. Equal fingerprints mean
// equal requests.
func fingerprintOf(request document.UploadRequest, sum string) (string, error) {
	parts, err := json.Marshal([]string{
		request.Collection, request.Key, request.Title, string(request.Metadata), mediaType(request), sum,
	})
	if err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	hash := sha256.Sum256(parts)
	return hex.EncodeToString(hash[:]), nil
}
