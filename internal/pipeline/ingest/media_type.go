package ingest

import (
	"mime"
	"path"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	markdownType = "text/markdown"
	plainType    = "text/plain"
)

// genericTypes are the types that clients send by default: curl --data-binary, and libraries that do
// not know the extension of a file.
var genericTypes = map[string]bool{"": true, "application/octet-stream": true, "application/x-www-form-urlencoded": true}

// checkMediaType returns fault.UnsupportedMediaType if the declared media type is not accepted.
func checkMediaType(header string) error {
	declared, parameters, err := mime.ParseMediaType(header)
	if header != "" && err != nil {
		return fault.Wrap(fault.UnsupportedMediaType, err, "Content-Type %q cannot be read; send text/markdown or text/plain, or leave it out", header)
	}
	switch {
	case declared == markdownType, declared == "text/x-markdown", declared == plainType, genericTypes[declared]:
	case declared == "multipart/form-data":
		return fault.New(fault.UnsupportedMediaType,
			"Content-Type multipart/form-data: send forms by POST; PUT expects the document itself, with Content-Type text/markdown or text/plain, or none")
	default:
		return fault.New(fault.UnsupportedMediaType,
			"Content-Type %s is not accepted: convert the document to markdown; if it is markdown or plain text, send it as text/markdown or text/plain", declared)
	}
	switch charset := strings.ToLower(parameters["charset"]); charset {
	case "", "utf-8", "utf8", "us-ascii":
		return nil
	default:
		return fault.New(fault.UnsupportedMediaType,
			"Content-Type %s declares the charset %s: convert the document to UTF-8, with iconv -f %[2]s -t UTF-8 for example, and declare that", header, charset)
	}
}

// mediaType returns text/plain or text/markdown: the declared type, or else the type of the key's
// extension.
func mediaType(request document.UploadRequest) string {
	declared, _, _ := mime.ParseMediaType(request.MediaType)
	switch {
	case declared == plainType:
		return plainType
	case genericTypes[declared] && strings.EqualFold(path.Ext(request.Key), ".txt"):
		return plainType
	default:
		return markdownType
	}
}
