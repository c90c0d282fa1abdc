// Package blob keeps the originals of documents as objects: in an
// S3-compatible store for installations, in a directory for the embedded mode.
// Both keep one promise, stated by the suite in blobtest:
//
//   - an object appears whole or not at all, and a failed Put leaves nothing,
//     or, where its server could not be reached, nothing but what Delete removes;
//   - memory does not grow with the object, neither writing nor reading;
//   - a reader reads one and the same object from its first byte to its last,
//     whatever happens to the name meanwhile;
//   - Put and a reader tell the object's tag (see document.Object), which is
//     another one once its bytes have changed.
//
// A server that cannot be reached is fault.Unavailable, an object that is not
// there fault.NotFound, a name that is not a name fault.BadRequest. Errors of a
// Put's source keep their identity for errors.Is and errors.As.
package blob

import (
	"iter"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// Info describes a stored object.
type Info struct {
	Name    string
	Size    int64 // bytes
	ModTime time.Time
}

// namesOf returns the names of listed objects.
func namesOf(list iter.Seq2[Info, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for info, err := range list {
			if !yield(info.Name, err) {
				return
			}
		}
	}
}

// maxSegment keeps each half of a name below what file systems allow, in bytes.
const maxSegment = 200

// checkName refuses what is not tenant/id. Exactly two parts: with more, one
// object's name could be another's directory.
func checkName(name string) error {
	tenant, id, _ := strings.Cut(name, "/")
	if !isSegment(tenant) || !isSegment(id) {
		return fault.New(fault.BadRequest,
			"object name %q: want tenant/id, each of 1 to %d bytes of printable UTF-8 without slashes", name, maxSegment)
	}
	return nil
}

func isSegment(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > maxSegment || !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r == '/' || r == '\\' || !unicode.IsGraphic(r)
	})
}
