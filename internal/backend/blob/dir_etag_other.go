//go:build !linux

package blob

import (
	"fmt"
	"io/fs"
)

// etagOf returns the ETag of a file. A write changes the file's modification time.
func etagOf(info fs.FileInfo) string {
	return fmt.Sprintf("%d-%d", info.Size(), info.ModTime().UnixNano())
}
