package knowledge_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7a112592/gristmill/internal/embedding/embeddingtest"
	"github.com/seed-7a112592/gristmill/internal/pipeline/knowledge"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Concurrent documents with the same passages pay for each passage once.
func TestConcurrentDocumentsShareTheirPassages(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t)
	entered, proceed := make(chan struct{}, 1000), make(chan struct{})
	e.call = func(ctx context.Context, _ document.Model, _ []string) error {
		entered <- struct{}{}
		select {
		case <-proceed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	shared := sampleDocument("shared", 12)
	var wg sync.WaitGroup
	for i := range 8 {
		work := m.addObject(shared + sampleDocument(fmt.Sprint("own", i), 3))
		wg.Go(func() {
			if err := step.Run(t.Context(), work); err != nil {
				t.Error(err)
			}
		})
	}
	<-entered // one document holds in-flight locks, and the others must wait for it
	close(proceed)
	wg.Wait()
	if len(e.sentTwice()) > 0 {
		t.Errorf("sent twice: %q", e.sentTwice())
	}
	if len(m.published) != 8 {
		t.Errorf("%d of 8 documents published", len(m.published))
	}
}

// The same in several processes, which share only the store and in-flight locks. The provider takes
// longer than a lock lasts without renewal.
func TestProcessesShareTheirPassages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, m, e := newStep(t)
		e.call = func(context.Context, document.Model, []string) error { <-time.After(50 * time.Second); return nil } // on the bubble's clock
		locks := fakeLocks{mu: &sync.Mutex{}, held: map[string]heldLock{}}
		text := sampleDocument("shared", 12)
		var wg sync.WaitGroup
		for process := range 4 {
			locks.me = process + 1
			config := first.Config
			config.Process, config.BatchPassages = embeddingtest.NewProcessState(t, locks), 3+process
			step := mustStep(t, config)
			for i := range 3 {
				work := m.addObject(text + sampleDocument(fmt.Sprint("own", process, i), 3))
				wg.Go(func() {
					if err := step.Run(t.Context(), work); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if len(e.sentTwice()) > 0 || len(m.published) != 12 {
			t.Errorf("%d of 12 documents published; sent twice: %q", len(m.published), e.sentTwice())
		}
		if len(locks.held) > 0 {
			t.Errorf("locks are still held: %v", locks.held)
		}
	})
}

// The result of a look-up during another document's embedding must not be used after that embedding
// is complete.
func TestLookupResultIsNotUsedAfterTheLockIsReleased(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step, m, e := newStep(t)
		text := sampleDocument("shared", 3)
		one, two := m.addObject(text), m.addObject(text)
		embedding, lookup := make(chan struct{}), make(chan struct{})
		e.call = func(context.Context, document.Model, []string) error { <-embedding; return nil }
		go func() {
			if err := step.Run(t.Context(), one); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait() // the first document is being embedded
		m.lookedUp = func() { <-lookup }
		go func() {
			if err := step.Run(t.Context(), two); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait() // the second document has looked up its passages, or waits for the first
		close(embedding)
		synctest.Wait() // the first document is complete
		close(lookup)
		synctest.Wait()
		if len(e.sentTwice()) > 0 || len(m.published) != 2 {
			t.Errorf("%d of 2 documents published; sent twice: %q", len(m.published), e.sentTwice())
		}
	})
}

// If the document that embeds a passage fails, a document that waits for the passage embeds it.
func TestWaitingBatchTakesOverFromAFailedOne(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t, func(c *knowledge.Config) { c.BatchPassages = 100 })
	held, fail := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() { close(held) })
	failures := make(chan error, 1)
	failures <- errors.New("provider is down")
	e.call = func(context.Context, document.Model, []string) error {
		select {
		case err := <-failures:
			first()
			<-fail
			return err
		default:
			return nil
		}
	}
	text := sampleDocument("shared", 3)
	one, two := m.addObject(text), m.addObject(text)
	results := make(chan error, 2)
	go func() { results <- step.Run(t.Context(), one) }()
	<-held
	go func() { results <- step.Run(t.Context(), two) }()
	close(fail)
	failed := 0
	for range 2 {
		if err := <-results; err != nil {
			failed++
		}
	}
	if failed != 1 || len(m.published) != 1 {
		t.Errorf("%d runs failed and %d documents were published, want 1 and 1", failed, len(m.published))
	}
}
