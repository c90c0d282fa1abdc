package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/test/program"
)

const (
	uploadSize   = 64 * mebibyte
	uploadedHalf = 34 * mebibyte // of one, when the others are waited for
	uploadsRest  = time.Minute   // after which memory is looked at again
)

// uploadMemory is what the API has resident for each upload that is under way:
// all of them have sent more than half when one goes on. And what it has a minute
// after the last.
func uploadMemory(b *bench) {
	s := newSite(b, memoryDimensions, fakeprovider.Options{}, "GRISTMILL_UPLOAD_MEMORY="+strconv.Itoa(512*mebibyte))
	s.uploadOne("first.md", newGenerated(mebibyte)) // for connections and caches
	idle := rssMiB(b, s.api)
	var most, after float64
	for _, n := range []int{1, 8, 32} {
		resetPeak(b, s.api)
		before := rssMiB(b, s.api)
		s.uploadTogether(n)
		peak := peakMiB(b, s.api)
		select {
		case <-time.After(uploadsRest):
		case <-b.ctx.Done():
			b.Fatal(b.ctx.Err())
		}
		after = rssMiB(b, s.api)
		most = max(most, peak)
		b.note("%d uploads: %.1f MiB before, peak %.1f, %.1f for each; %.1f a minute later", n, before, peak, (peak-before)/float64(n), after)
		if n == 32 {
			b.report(result{"api, peak RSS for each of 32 uploads", (peak - idle) / float64(n), "MiB", atMost, 8})
		}
	}
	b.report(result{"api, RSS a minute after them over before", after / idle, "", atMost, 1.5})
}

// uploadTogether uploads n documents, all of which are under way at once.
func (s *site) uploadTogether(n int) {
	var half sync.WaitGroup
	half.Add(n)
	group, ctx := errgroup.WithContext(s.b.ctx)
	for i := range n {
		group.Go(func() error {
			body := io.MultiReader(io.LimitReader(newGenerated(uploadedHalf), uploadedHalf), &waiting{&half}, newGenerated(uploadSize-uploadedHalf))
			_, err := s.client.Upload(ctx, document.UploadRequest{Key: fmt.Sprintf("%d-%d.md", n, i), MediaType: "text/markdown"}, body)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		s.b.Fatalf("upload: %v\n%s", err, s.api.Output())
	}
}

// waiting is an empty reader that ends when all others are there.
type waiting struct{ others *sync.WaitGroup }

func (w *waiting) Read([]byte) (int, error) {
	w.others.Done()
	w.others.Wait()
	return 0, io.EOF
}

// resetPeak has the most memory that a program has had resident counted anew.
func resetPeak(b *bench, p *program.Program) {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.PID()), []byte("5"), 0); err != nil {
		b.Fatalf("memory of %s: %v", p.Name, err)
	}
}

// rssMiB is the memory that a program has resident now.
func rssMiB(b *bench, p *program.Program) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID()))
	if err != nil {
		b.Fatalf("memory of %s: %v", p.Name, err)
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return float64(pages*int64(os.Getpagesize())) / mebibyte
}
