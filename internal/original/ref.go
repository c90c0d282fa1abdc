package original

import (
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// ObjectInfo is what object storage says of an object. The tag changes whenever the
// bytes do, and may change without; it is empty where nothing is known.
type ObjectInfo struct {
	Size int64
	ETag string
}

// Ref names an uploaded text in object storage, and says what its bytes
// must be.
type Ref struct {
	Object string // name in object storage
	Size   int64  // bytes
	SHA256 string // lower-case hex
	ETag   string // of the object when its bytes were known to be these; empty for unknown
}

// RefOf returns what the document's original must be.
func RefOf(d document.Document) Ref {
	return Ref{Object: d.Object, Size: d.Size, SHA256: d.SHA256, ETag: d.ObjectETag}
}
