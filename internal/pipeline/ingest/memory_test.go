package ingest_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/ingest"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Uploads reserve the memory that they may need before their bodies are read. An upload that gets no
// memory waits a little and is then refused, without reading its body.
func TestMemoryOfUploadsIsLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service, m := newService(t)
		const size = ingest.MinMemoryLimit/4 - 256<<10 // with the overhead, a quarter of the memory
		var bodies []*io.PipeWriter
		done := make(chan error)
		begin := func(key string) {
			r, w := io.Pipe()
			bodies = append(bodies, w)
			go func() {
				_, err := service.Upload(tenantContext(t), document.UploadRequest{Key: key, MaxSize: size}, r)
				done <- err
			}()
			if _, err := io.WriteString(w, "text"); err != nil { // returns after the upload has its memory
				t.Fatal(err)
			}
		}
		for i := range 4 {
			begin(fmt.Sprint(i))
		}

		start := time.Now()
		_, err := service.Upload(tenantContext(t), document.UploadRequest{Key: "late.md", MaxSize: 1}, unreadBody{t})
		f := fault.As(err)
		if f == nil || f.Kind != fault.Unavailable || f.RetryAfter <= 0 {
			t.Errorf("got %v, want unavailable with a delay", err)
		}
		if waited := time.Since(start); waited != 5*time.Second {
			t.Errorf("waited %s for memory, want 5s", waited)
		}
		if len(m.notes) != 4 {
			t.Errorf("%d notes of uploads, want 4", len(m.notes))
		}

		// A waiting upload gets its memory when another upload ends, even with an error.
		go func() {
			_, err := service.Upload(tenantContext(t), document.UploadRequest{Key: "waiting.md", MaxSize: size}, io.LimitReader(endlessReader{}, size))
			done <- err
		}()
		synctest.Wait()
		_ = bodies[0].CloseWithError(io.ErrUnexpectedEOF) // never fails
		if err := <-done; err == nil {
			t.Error("an interrupted body was accepted")
		}
		for _, w := range bodies[1:] {
			_ = w.Close() // never fails
		}
		for range 4 {
			if err := <-done; err != nil && !fault.Is(err, fault.TooLarge) {
				t.Error(err)
			}
		}
		// All memory is free again.
		service.MaxBytes = 1 << 30
		if _, err := service.Upload(tenantContext(t), document.UploadRequest{Key: "large.md", MaxSize: ingest.MinMemoryLimit - 256<<10}, io.LimitReader(endlessReader{}, 100)); err != nil {
			t.Error(err)
		}
	})
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// An upload that must replace a document creates no collection.
func TestConditionalUploadCreatesNoCollection(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	request := document.UploadRequest{Key: "k.md", Condition: document.Condition{Match: []string{document.AnyVersion}}}
	_, err := service.Upload(tenantContext(t), request, strings.NewReader("text"))
	if !fault.Is(err, fault.PreconditionFailed) || m.collections+len(m.objects)+len(m.notes) != 0 {
		t.Errorf("got %v, want %s and nothing stored", err, fault.PreconditionFailed)
	}
	request.Condition = document.Condition{NoneMatch: []string{document.AnyVersion}}
	if _, err := service.Upload(tenantContext(t), request, strings.NewReader("text")); err != nil || m.uploads[0].Condition.NoneMatch == nil {
		t.Errorf("a new document: got error %v, accepted %+v", err, m.uploads)
	}
}
