package blob

import (
	"context"
	"io"
)

// chunkSize is how much memory a buffer takes at a time.
const chunkSize = 64 << 10

// buffer holds a part of an upload, in chunks: it grows with what arrives, and
// nothing is copied when it does. A part that is reset keeps its chunks for the
// next one. They are not shared with other uploads: a request that was given up
// may still be reading them.
type buffer struct {
	chunks [][]byte // all of chunkSize
	size   int64
}

// fill reads from r up to limit bytes, a multiple of chunkSize. last says that r
// has ended.
func (b *buffer) fill(ctx context.Context, r io.Reader, limit int64) (last bool, err error) {
	b.size = 0
	for b.size < limit {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		at := b.size / chunkSize
		if at == int64(len(b.chunks)) {
			b.chunks = append(b.chunks, make([]byte, chunkSize))
		}
		n, err := r.Read(b.chunks[at][b.size%chunkSize:])
		b.size += int64(n)
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// ReadAt implements io.ReaderAt.
func (b *buffer) ReadAt(p []byte, offset int64) (n int, err error) {
	for n < len(p) && offset < b.size {
		chunk := b.chunks[offset/chunkSize]
		from := offset % chunkSize
		got := copy(p[n:], chunk[from:min(chunkSize, from+b.size-offset)])
		n, offset = n+got, offset+int64(got)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// reader returns a reader of what the buffer holds, which can begin again.
func (b *buffer) reader() *io.SectionReader { return io.NewSectionReader(b, 0, b.size) }
