package knowledge_test

import (
	"context"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Batches are embedded and written in their own goroutines.
func TestPanicInABatchFailsTheRun(t *testing.T) {
	t.Parallel()
	for name, defect := range map[string]func(*fakeBackend, *fakeEmbedder){
		"while embedding": func(_ *fakeBackend, e *fakeEmbedder) {
			e.call = func(context.Context, document.Model, []string) error { panic("a defect") }
		},
		"while writing": func(m *fakeBackend, _ *fakeEmbedder) {
			m.writeErr = func(int64) error { panic("a defect") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step, m, e := newStep(t)
			work := m.addObject(sampleDocument("grain", 9))
			defect(m, e)
			if err := step.Run(t.Context(), work); !fault.Is(err, fault.Internal) || fault.As(err) == nil {
				t.Fatalf("got %v, want the panic", err)
			}
			m.writeErr, e.call = nil, nil
			if err := step.Run(t.Context(), work); err != nil { // no in-flight lock is still held
				t.Fatal(err)
			}
		})
	}
}
