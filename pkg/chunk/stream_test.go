package chunk

import (
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// repeat returns a reader of n bytes that repeats s.
func repeat(s string, n int64) io.Reader {
	return io.LimitReader(&repeater{s: s}, n)
}

type repeater struct {
	s  string
	at int
}

func (r *repeater) Read(p []byte) (n int, err error) {
	for n < len(p) {
		k := copy(p[n:], r.s[r.at:])
		r.at = (r.at + k) % len(r.s)
		n += k
	}
	return n, nil
}

// notifyingReader calls afterRead with the number of bytes of each read.
type notifyingReader struct {
	io.Reader
	afterRead func(n int)
}

func (w notifyingReader) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.afterRead(n)
	return n, err
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMemoryIsBounded splits documents of 2 MiB, each with one kind of content, and measures the
// heap. It is not parallel, because other tests use the heap too.
func TestMemoryIsBounded(t *testing.T) {
	const size, bound = 2 << 20, 1 << 20
	count := func(s string) int { return (len(s) + 3) / 4 } // fast, and additive enough for this test
	for _, tt := range []struct{ name, unit string }{
		{"one line", "a line of words that never ends "},
		{"one word", "x"},
		{"spaces", " "},
		{"line endings", "\n"},
		{"carriage returns", "\r"},
		{"one paragraph", "a line of words\n"},
		{"one fence", "```\nfor {}\n\n"},
		{"one table", "|a|\n|-|\n|b|\n|c|\n"},
		{"one list", "- item\n\n  more\n"},
		{"quotes", strings.Repeat(">", 1<<20) + "\n"},
		{"brackets", "["},
		{"definitions", "[a]: b\n"},
		{"headings", "# a heading of some words\n"},
		{"sections", "# a\n\nSome text.\n\n## b\n\nMore text.\n\n"},
		{"html", "<!-- a "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := heapInUse()
			peak, at := before, 0
			source := notifyingReader{repeat(tt.unit, size), func(n int) {
				if at/(size/8) < (at+n)/(size/8) {
					peak = max(peak, heapInUse())
				}
				at += n
			}}
			for p, err := range Split(source, Options{Count: count}) {
				if err != nil {
					t.Fatal(err)
				}
				if len(p.Content) > maxTokenBytes*defaultTokens {
					t.Fatalf("passage %d has %d bytes, want %d at most", p.Ordinal, len(p.Content), maxTokenBytes*defaultTokens)
				}
			}
			if at != size {
				t.Errorf("%d bytes were read, want %d", at, size)
			}
			if peak > before+bound {
				t.Errorf("the heap grew by %d KiB, want %d KiB at most", (peak-before)>>10, bound>>10)
			}
		})
	}
}

func TestReadError(t *testing.T) {
	t.Parallel()
	lost := errors.New("connection lost")
	r := io.MultiReader(strings.NewReader(strings.Repeat("# a\n\nSome text.\n\n", 9)), iotest.ErrReader(lost))
	failed := false
	for p, err := range Split(r, Options{Tokens: 8}) {
		switch {
		case failed:
			t.Errorf("Split yielded %v, %v after the error", p, err)
		case err != nil:
			failed = true
			if !errors.Is(err, lost) || !strings.Contains(err.Error(), "byte 153") {
				t.Errorf("got error %v, want one that wraps %q and names byte 153", err, lost)
			}
		}
	}
	if !failed {
		t.Error("the error was not yielded")
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	for range Split(repeat("# a\n\nSome text.\n\n", math.MaxInt64), Options{}) {
		break
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, opt := range []Options{{}, {Tokens: -1, Overlap: -1}, {Tokens: 10, Overlap: 1000}, {Count: func(string) int { return 0 }}} {
		all := collect(t, strings.NewReader(strings.Repeat("Some words in a line. ", 1500)), opt)
		if len(all) < 2 {
			t.Errorf("%d tokens, overlap %d: %d passages, want at least 2", opt.Tokens, opt.Overlap, len(all))
		}
	}
}
