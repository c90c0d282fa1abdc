package knowledge

import (
	"io"
	"sync/atomic"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// progress counts what one attempt has done. Batches finish in any order and
// at the same time.
type progress struct {
	read     atomic.Int64 // bytes of the source
	embedded atomic.Int64 // passages
	reused   atomic.Int64 // passages
}

// reading returns source, counting what is read from it.
func (p *progress) reading(source io.Reader) io.Reader {
	return countingReader{source, &p.read}
}

// snapshot returns the counts as clients see them.
func (p *progress) snapshot(stage string, total int64) document.KnowledgeProgress {
	embedded, reused := p.embedded.Load(), p.reused.Load()
	return document.KnowledgeProgress{
		Stage:      stage,
		BytesDone:  min(p.read.Load(), total),
		BytesTotal: total,
		Passages:   embedded + reused,
		Embedded:   embedded,
		Reused:     reused,
	}
}

type countingReader struct {
	io.Reader
	count *atomic.Int64
}

func (r countingReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.count.Add(int64(n))
	return n, err
}
