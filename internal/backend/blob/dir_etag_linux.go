package blob

import (
	"fmt"
	"io/fs"
	"syscall"
)

// etagOf returns the ETag of a file. A write changes the file's times, and no program can set its
// change time.
func etagOf(info fs.FileInfo) string {
	etag := fmt.Sprintf("%d-%d", info.Size(), info.ModTime().UnixNano())
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		etag += fmt.Sprintf("-%d-%d", stat.Ino, stat.Ctim.Nano())
	}
	return etag
}
