// Package blob stores the originals of documents as objects: in an S3-compatible server for
// installations, in a directory for the embedded mode. Both keep the same promises, which the suite
// in blobtest tests:
//
//   - an object appears complete or not at all, and a failed Put leaves nothing behind, or, if the
//     server cannot be reached, only data that Delete removes;
//   - memory does not grow with the size of the object, neither for writing nor for reading;
//   - a reader reads one version of the object from its first byte to its last, whatever happens to
//     the name meanwhile;
//   - Put and readers return the object's ETag (see original.ObjectInfo), which changes when its
//     bytes change.
//
// The kind of an error is fault.Unavailable for a server that cannot be reached, fault.NotFound for
// an object that does not exist, and fault.BadRequest for an invalid name. Put wraps an error of its
// source, so that errors.Is and errors.As find it.
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

// maxSegment keeps each half of a name below the limits of file systems, in bytes.
const maxSegment = 200

// checkName returns an error unless name is tenant/id. It requires exactly two parts: with more,
// the name of one object could be the directory of another.
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
