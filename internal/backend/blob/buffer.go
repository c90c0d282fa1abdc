package blob

import (
	"context"
	"io"
)

// chunkSize is how much memory a buffer allocates at a time.
const chunkSize = 64 << 10

// buffer holds a part of an upload, in chunks: it grows with the data, and growing copies nothing.
// The next part reuses the chunks. Uploads do not share chunks, because an abandoned request may
// still be reading them.
type buffer struct {
	chunks [][]byte // each of chunkSize
	size   int64
}

// fill reads up to limit bytes from r; limit must be a multiple of chunkSize. last reports that r
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

// reader returns a reader of the buffer's content, which can seek back to its start.
func (b *buffer) reader() *io.SectionReader { return io.NewSectionReader(b, 0, b.size) }
