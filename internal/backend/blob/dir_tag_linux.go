package blob

import (
	"fmt"
	"io/fs"
	"syscall"
)

// tagOf returns the tag of a file: who writes to it changes its times, and
// nobody can set the time of its last change.
func tagOf(info fs.FileInfo) string {
	tag := fmt.Sprintf("%d-%d", info.Size(), info.ModTime().UnixNano())
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		tag += fmt.Sprintf("-%d-%d", stat.Ino, stat.Ctim.Nano())
	}
	return tag
}
