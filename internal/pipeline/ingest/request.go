package ingest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// checkRequest returns the request with defaults filled in, or an error that says what is wrong.
func checkRequest(request document.UploadRequest) (document.UploadRequest, error) {
	request.Collection = cmp.Or(request.Collection, document.DefaultCollection)
	if err := document.CheckCollectionName(request.Collection); err != nil {
		return request, fault.New(fault.BadRequest, "%v", err)
	}
	if err := checkMediaType(request.MediaType); err != nil {
		return request, err
	}
	request.Key = document.NormaliseKey(request.Key)
	if err := document.CheckKey(request.Key); err != nil {
		return request, fault.New(fault.BadRequest, "%v", err)
	}
	if err := document.CheckLine("title", request.Title, document.MaxTitleBytes); err != nil {
		return request, fault.New(fault.BadRequest, "%v", err)
	}
	metadata, err := checkMetadata(request.Metadata)
	if err != nil {
		return request, err
	}
	request.Metadata = metadata
	return request, nil
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
