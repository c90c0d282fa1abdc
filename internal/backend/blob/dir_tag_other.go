//go:build !linux

package blob

import (
	"fmt"
	"io/fs"
)

// tagOf returns the tag of a file: who writes to it changes its time.
func tagOf(info fs.FileInfo) string {
	return fmt.Sprintf("%d-%d", info.Size(), info.ModTime().UnixNano())
}
