package knowledge

import (
	"io"
	"sync/atomic"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// progressAt returns the progress of the active space, which clients see.
func (r *attempt) progressAt(stage string) document.KnowledgeProgress {
	active := r.targets[0]
	embedded, reused := active.embedded.Load(), active.reused.Load()
	return document.KnowledgeProgress{
		Stage:      stage,
		BytesDone:  min(r.bytesRead.Load(), r.work.Size),
		BytesTotal: r.work.Size,
		Passages:   embedded + reused,
		Embedded:   embedded,
		Reused:     reused,
	}
}

// countingReader counts the bytes that are read.
type countingReader struct {
	io.Reader
	count *atomic.Int64
}

func (r countingReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.count.Add(int64(n))
	return n, err
}
