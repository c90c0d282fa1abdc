package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

// ScrubberStore also holds the progress of the scrubber.
type ScrubberStore interface {
	Store
	TenantsToVerify(ctx context.Context, age time.Duration) ([]string, error)
	VerificationProgress(ctx context.Context) (verification.Progress, error)
	SaveVerificationProgress(ctx context.Context, v verification.Progress) error
	ScheduleGarbageScan(ctx context.Context) error
	TryWithLock(ctx context.Context, name string, fn func(ctx context.Context) error) error
}

// ScrubberConfig is what a Scrubber needs.
type ScrubberConfig struct {
	Verifier *Verifier // with a Throttle
	Store    ScrubberStore
	Metrics  *telemetry.Metrics
}

// Scrubber verifies the documents of all tenants slowly, one pass after another. The database holds
// its progress, so any process continues where another one has stopped.
type Scrubber struct{ ScrubberConfig }

// NewScrubber returns a Scrubber, or an error that names what config lacks.
func NewScrubber(config ScrubberConfig) (*Scrubber, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &Scrubber{config}, nil
}

const (
	// scrubInterval is the time between two looks for work.
	scrubInterval = time.Minute

	// passInterval is the minimum time between the starts of two passes.
	passInterval = 24 * time.Hour
)

// Run scrubs until ctx ends. Any number of processes may call it; one of them scrubs at a time.
func (s *Scrubber) Run(ctx context.Context) {
	ticker := time.NewTicker(scrubInterval)
	defer ticker.Stop()
	for {
		if err := goroutine.Try(func() error { return s.Store.TryWithLock(ctx, "verify", s.Scrub) }); err != nil && ctx.Err() == nil {
			s.Verifier.Log.WarnContext(ctx, "documents cannot be verified now; trying again soon", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Scrub continues the passes of all tenants to their ends.
func (s *Scrubber) Scrub(ctx context.Context) error {
	tenants, err := s.Store.TenantsToVerify(ctx, passInterval)
	if err != nil {
		return fmt.Errorf("list tenants to verify: %w", err)
	}
	var errs []error
	for _, id := range tenants {
		if err := s.continuePass(telemetry.WithTenant(ctx, id)); err != nil {
			errs = append(errs, fmt.Errorf("verify documents of tenant %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// continuePass continues the pass of ctx's tenant, or begins the next one when it is due. It saves
// its progress after each page.
func (s *Scrubber) continuePass(ctx context.Context) error {
	v, err := s.Store.VerificationProgress(ctx)
	if err != nil {
		return err
	}
	if v.Checkpoint == uuid.Nil {
		if time.Since(v.StartedAt) < passInterval {
			return nil
		}
		v = verification.Progress{StartedAt: time.Now().UTC()}
		if err := s.Store.ScheduleGarbageScan(ctx); err != nil { // the garbage collector does the scan
			return err
		}
	}
	for {
		var tally Tally
		last, err := s.Verifier.VerifyPage(ctx, verification.Filter{}, v.Checkpoint, func(f verification.Finding) error {
			s.reportFinding(ctx, f)
			tally.Findings++
			return nil
		}, &tally)
		if err != nil {
			return err
		}
		v.Checkpoint = last
		v.Documents += tally.Documents
		v.Bytes += tally.Bytes
		v.Findings += tally.Findings
		s.Metrics.ObserveVerifiedDocuments(tally.Documents, tally.Bytes)
		if err := s.Store.SaveVerificationProgress(ctx, v); err != nil {
			return err
		}
		if last == uuid.Nil {
			s.Verifier.Log.InfoContext(ctx, "all documents verified", "documents", v.Documents, "bytes", v.Bytes,
				"findings", v.Findings, "took", time.Since(v.StartedAt).Round(time.Second))
			return nil
		}
	}
}

func (s *Scrubber) reportFinding(ctx context.Context, f verification.Finding) {
	s.Metrics.ObserveFinding(string(f.Kind))
	what := "document is damaged"
	if f.Kind == verification.FindingOriginalUnreadable {
		what = "original cannot be read"
	}
	s.Verifier.Log.ErrorContext(ctx, what, "kind", f.Kind, "document", f.DocumentID, "key", f.Key, "version", f.Version,
		"object", f.Object, "detail", f.Detail, "remedy", f.Remedy)
}
