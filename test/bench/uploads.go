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

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	uploadSize       = 64 * mebibyte
	uploadedHalf     = 34 * mebibyte // part of each upload that is sent before any continues
	idleAfterUploads = time.Minute   // time before memory is measured again
)

// measureUploadMemory measures the memory of the API server per running upload, when each has sent
// more than half of its body before any continues, and its memory one minute after the last upload.
func measureUploadMemory(b *bench) {
	s := newInstallation(b, memoryDimensions, fakeprovider.Options{}, "GRISTMILL_UPLOAD_MEMORY="+strconv.Itoa(512*mebibyte))
	s.uploadOne("first.md", newGeneratedDocument(mebibyte)) // opens connections and fills caches
	idle := rssMiB(b, s.api)
	var after float64
	for _, n := range []int{1, 8, 32} {
		resetPeak(b, s.api)
		before := rssMiB(b, s.api)
		s.uploadConcurrently(n)
		peak := peakMiB(b, s.api)
		select {
		case <-time.After(idleAfterUploads):
		case <-b.ctx.Done():
			b.Fatal(b.ctx.Err())
		}
		after = rssMiB(b, s.api)
		b.note("%d uploads: %.1f MiB before, peak %.1f, %.1f for each; %.1f a minute later", n, before, peak, (peak-before)/float64(n), after)
		if n == 32 {
			b.report(result{"api, peak RSS for each of 32 uploads", (peak - idle) / float64(n), "MiB", boundMax, 8})
		}
	}
	b.report(result{"api, RSS a minute after them over before", after / idle, "", boundMax, 1.5})
}

// uploadConcurrently uploads n documents at the same time.
func (s *installation) uploadConcurrently(n int) {
	var half sync.WaitGroup
	half.Add(n)
	group, ctx := errgroup.WithContext(s.b.ctx)
	for i := range n {
		group.Go(func() error {
			body := io.MultiReader(io.LimitReader(newGeneratedDocument(uploadedHalf), uploadedHalf), &barrierReader{&half}, newGeneratedDocument(uploadSize-uploadedHalf))
			_, err := s.client.Upload(ctx, document.UploadRequest{Key: fmt.Sprintf("%d-%d.md", n, i), MediaType: "text/markdown"}, body)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		s.b.Fatalf("upload: %v\n%s", err, s.api.Output())
	}
}

// barrierReader is an empty reader that ends when all uploads have reached it.
type barrierReader struct{ others *sync.WaitGroup }

func (w *barrierReader) Read([]byte) (int, error) {
	w.others.Done()
	w.others.Wait()
	return 0, io.EOF
}

// resetPeak resets the peak resident set of a program.
func resetPeak(b *bench, p *program.Program) {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.PID()), []byte("5"), 0); err != nil {
		b.Fatalf("memory of %s: %v", p.Name, err)
	}
}

// rssMiB returns the current resident set of a program in MiB.
func rssMiB(b *bench, p *program.Program) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID()))
	if err != nil {
		b.Fatalf("memory of %s: %v", p.Name, err)
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return float64(pages*int64(os.Getpagesize())) / mebibyte
}
