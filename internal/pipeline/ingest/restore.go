package ingest

import (
	"context"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// maxRestoreTries is how often an original is looked at that others restore or
// delete at the same time.
const maxRestoreTries = 3

// acceptOrRestore has the store accept an upload. One that is there already may
// be gone from object storage, or damaged there: then the upload's object takes
// the place of that one, and what has failed for it is done again.
func (s *Service) acceptOrRestore(ctx context.Context, upload original.Upload) (document.Accepted, error) {
	for try := 1; ; try++ {
		accepted, err := s.Store.AcceptUpload(ctx, upload)
		if err != nil || isNew(accepted) {
			return accepted, err
		}
		there, err := s.currentDocument(ctx, accepted)
		if err != nil || there.SHA256 != upload.SHA256 {
			return accepted, err
		}
		damage := s.checkOriginal(ctx, original.RefOf(there))
		if damage == nil {
			return accepted, nil
		}
		if !original.IsLost(damage) {
			return document.Accepted{}, damage
		}
		restored, err := s.Store.RestoreOriginal(ctx, there.ID, there.Object, upload)
		switch {
		case err == nil:
			s.Log.WarnContext(ctx, "original is restored from an upload", "document", there.ID, "key", there.Key, "object", upload.Object, "damage", damage)
			restored.Replayed = accepted.Replayed
			return restored, nil
		case fault.Is(err, fault.Conflict) && accepted.Replayed:
			return accepted, nil // the document has become another
		case fault.Is(err, fault.Conflict) && try < maxRestoreTries:
		default:
			return document.Accepted{}, err
		}
	}
}

// currentDocument returns the document of an answer; of one that was given before, as it
// is now, or a zero document when it is gone.
func (s *Service) currentDocument(ctx context.Context, accepted document.Accepted) (document.Document, error) {
	if !accepted.Replayed {
		return accepted.Document, nil
	}
	d, err := s.Store.Document(ctx, accepted.Document.ID)
	if fault.Is(err, fault.NotFound) {
		return document.Document{}, nil
	}
	return d, err
}

// checkOriginal returns what is wrong with an original.
func (s *Service) checkOriginal(ctx context.Context, of original.Ref) error {
	r, err := s.Originals.Open(ctx, of)
	if err != nil {
		return err
	}
	return r.Close()
}
