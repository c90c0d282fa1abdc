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

// Uploads reserve what they may need before their bodies are read. One that
// finds no room waits a little, and is then refused unread.
func TestMemoryOfUploadsIsLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step, m := newService(t)
		const size = ingest.MinMemoryLimit/4 - 256<<10 // with what else an upload holds, a quarter
		var bodies []*io.PipeWriter
		done := make(chan error)
		begin := func(key string) {
			r, w := io.Pipe()
			bodies = append(bodies, w)
			go func() {
				_, err := step.Upload(tenantContext(t), document.UploadRequest{Key: key, MaxSize: size}, r)
				done <- err
			}()
			if _, err := io.WriteString(w, "text"); err != nil { // it has been let in
				t.Fatal(err)
			}
		}
		for i := range 4 {
			begin(fmt.Sprint(i))
		}

		began := time.Now()
		_, err := step.Upload(tenantContext(t), document.UploadRequest{Key: "late.md", MaxSize: 1}, unreadBody{t})
		f := fault.As(err)
		if f == nil || f.Kind != fault.Unavailable || f.RetryAfter <= 0 {
			t.Errorf("got %v, want it refused with a time to come again", err)
		}
		if waited := time.Since(began); waited != 5*time.Second {
			t.Errorf("waited %s for room, want 5 s", waited)
		}
		if len(m.notes) != 4 {
			t.Errorf("%d notes of 4 uploads", len(m.notes))
		}

		// One that waits is let in when another ends, also by failing.
		go func() {
			_, err := step.Upload(tenantContext(t), document.UploadRequest{Key: "patient.md", MaxSize: size}, io.LimitReader(endlessReader{}, size))
			done <- err
		}()
		synctest.Wait()
		_ = bodies[0].CloseWithError(io.ErrUnexpectedEOF) // never fails
		if err := <-done; err == nil {
			t.Error("a body that broke off was accepted")
		}
		for _, w := range bodies[1:] {
			_ = w.Close() // never fails
		}
		for range 4 {
			if err := <-done; err != nil && !fault.Is(err, fault.TooLarge) {
				t.Error(err)
			}
		}
		// All of it is free again.
		step.MaxBytes = 1 << 30
		if _, err := step.Upload(tenantContext(t), document.UploadRequest{Key: "large.md", MaxSize: ingest.MinMemoryLimit - 256<<10}, io.LimitReader(endlessReader{}, 100)); err != nil {
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

// An upload that is to replace something makes no collection.
func TestConditionsMakeNoCollection(t *testing.T) {
	t.Parallel()
	step, m := newService(t)
	request := document.UploadRequest{Key: "k.md", Condition: document.Condition{Match: []string{document.AnyVersion}}}
	_, err := step.Upload(tenantContext(t), request, strings.NewReader("text"))
	if !fault.Is(err, fault.PreconditionFailed) || m.collections+len(m.objects)+len(m.notes) != 0 {
		t.Errorf("got %v, want %s and nothing left", err, fault.PreconditionFailed)
	}
	request.Condition = document.Condition{NoneMatch: []string{document.AnyVersion}}
	if _, err := step.Upload(tenantContext(t), request, strings.NewReader("text")); err != nil || m.uploads[0].Condition.NoneMatch == nil {
		t.Errorf("a new document: %v, accepted %+v", err, m.uploads)
	}
}
