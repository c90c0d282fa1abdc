package verify_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/pipeline/verify"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

func newScrubber(t *testing.T) (*verify.Scrubber, *fakeBackend) {
	t.Helper()
	v, m := newVerifier(t)
	s, err := verify.NewScrubber(verify.ScrubberConfig{Verifier: v, Store: m, Metrics: telemetry.NewMetrics()})
	if err != nil {
		t.Fatal(err)
	}
	return s, m
}

// An interrupted pass continues where it stopped, in any process. The next pass begins a day after
// the start of this one.
func TestScrubberContinues(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, m := newScrubber(t)
		for i := range 250 {
			m.addDocument("default", fmt.Sprint(i), sampleDocument(1))
		}
		opened := map[string]int{}
		m.opened = func(name string) {
			if opened[name]++; len(opened) == 150 {
				m.openErr = fault.New(fault.Unavailable, "down")
			}
		}
		if err := s.Scrub(t.Context()); err == nil {
			t.Fatal("no error while object storage is down")
		}
		if got := m.progress["default"]; got.Documents != 100 || got.Checkpoint != m.kept["default"][99].DocumentID {
			t.Fatalf("progress %+v, want the first 100 documents", got)
		}
		m.openErr = nil
		m.opened = func(name string) { opened[name]++ }
		other, _ := newScrubber(t) // in another process
		other.Store, other.Verifier.Store, other.Verifier.Objects = m, m, m
		for range 3 { // the second and third time do nothing: the next pass is not due
			if err := other.Scrub(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for i, k := range m.kept["default"] {
			want := 1
			if i >= 100 && i < 150 {
				want = 2
			}
			if n := opened[k.Original.Object]; n != want {
				t.Fatalf("document %d was verified %d times, want %d", i, n, want)
			}
		}
		if got := m.progress["default"]; got.Documents != 250 || got.Findings != 0 {
			t.Errorf("progress %+v, want 250 documents without findings", got)
		}
		if n := m.scans["default"]; n != 1 {
			t.Errorf("a pass scheduled %d garbage scans, want one", n)
		}
		<-time.After(25 * time.Hour) // on the bubble's clock
		if err := other.Scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := m.scans["default"]; n != 2 {
			t.Errorf("two passes scheduled %d garbage scans, want two", n)
		}
		if n := opened[m.kept["default"][0].Original.Object]; n != 2 {
			t.Errorf("a day later the first document was verified %d times, want twice", n)
		}
	})
}

// A scrub takes as long as its throttle says, including the overhead of small documents.
func TestScrubberIsThrottled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, m := newScrubber(t)
		s.Verifier.Throttle = verify.BytesPerSecond(1 << 20)
		text := sampleDocument(3000)
		m.addDocument("default", "large", text)
		for i := range 160 {
			m.addDocument("default", fmt.Sprint(i), sampleDocument(1))
		}
		start := time.Now()
		if err := s.Scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		least := time.Duration(float64(len(text)) / (1 << 20) * float64(time.Second))
		if took := time.Since(start); took < least+10*time.Second || took > least+11*time.Second {
			t.Errorf("took %s for %d bytes and 161 documents, want 10s to 11s more than %s", took, len(text), least)
		}
	})
}

func TestScrubberReportsFindings(t *testing.T) {
	t.Parallel()
	s, m := newScrubber(t)
	k := m.addDocument("default", "bad", sampleDocument(3))
	m.addDocument("other", "good", sampleDocument(3))
	delete(m.objects, k.Original.Object)
	if err := s.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.Metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`gristmill_verify_findings_total{kind="original_gone"} 1`, "gristmill_verified_documents_total 2",
		fmt.Sprint("gristmill_verified_bytes_total ", 2*len(sampleDocument(3))),
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the metrics do not contain %s", want)
		}
	}
	if d := m.kept["default"][0].Damage; !strings.Contains(d, "is missing") || !strings.Contains(d, "upload the document again") {
		t.Errorf("recorded damage %q, want a missing original and its remedy", d)
	}
}

// A panic while verifying one document does not end scrubbing in the process.
func TestScrubberSurvivesAPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, m := newScrubber(t)
		m.addDocument("default", "a", sampleDocument(3))
		var once sync.Once
		m.opened = func(string) { once.Do(func() { panic("a defect") }) }
		ctx, cancel := context.WithCancel(t.Context())
		done := goroutine.Start(func() error { s.Run(ctx); return nil })
		<-time.After(2 * time.Minute) // on the bubble's clock
		if m.verification().Documents != 1 {
			t.Error("no document was verified after the panic")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// One process scrubs at a time. Run ends with its context.
func TestOneProcessScrubsAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, m := newScrubber(t)
		m.addDocument("default", "a", sampleDocument(3))
		m.setLockTaken(true)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.Run(ctx); close(done) }()
		<-time.After(5 * time.Minute) // on the bubble's clock
		if m.verification() != (verification.Progress{}) {
			t.Error("scrubbed while another process held the lock")
		}
		m.setLockTaken(false)
		<-time.After(2 * time.Minute) // on the bubble's clock
		if m.verification().Documents != 1 {
			t.Error("did not scrub after the other process had released the lock")
		}
		cancel()
		<-done
	})
}
