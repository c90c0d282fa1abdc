package original

import (
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// ObjectInfo is what object storage reports about an object. The ETag changes whenever the bytes
// change, and may change without; it is empty if it is not known.
type ObjectInfo struct {
	Size int64
	ETag string
}

// Ref names an original in object storage, and says what its bytes must be.
type Ref struct {
	Object string // name in object storage
	Size   int64  // bytes
	SHA256 string // lower-case hex
	ETag   string // of the object when its bytes were last verified; empty if unknown
}

// RefOf returns the reference to the document's original.
func RefOf(d document.Document) Ref {
	return Ref{Object: d.Object, Size: d.Size, SHA256: d.SHA256, ETag: d.ObjectETag}
}
