package ingest

import (
	"context"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// maxRestoreTries is how often an upload is tried while other requests restore or delete the same
// original.
const maxRestoreTries = 3

// acceptOrRestore accepts an upload. If the document exists already with the same content, its
// original may be missing from object storage, or damaged. Then the object of the upload replaces
// it, and the tasks that have failed because of it run again.
func (s *Service) acceptOrRestore(ctx context.Context, upload original.Upload) (document.Accepted, error) {
	for try := 1; ; try++ {
		accepted, err := s.Store.AcceptUpload(ctx, upload)
		if err != nil || isNew(accepted) {
			return accepted, err
		}
		current, err := s.currentDocument(ctx, accepted)
		if err != nil || current.SHA256 != upload.SHA256 {
			return accepted, err
		}
		damage := s.checkOriginal(ctx, original.RefOf(current))
		if damage == nil {
			return accepted, nil
		}
		if !original.IsLost(damage) {
			return document.Accepted{}, damage
		}
		restored, err := s.Store.RestoreOriginal(ctx, current.ID, current.Object, upload)
		switch {
		case err == nil:
			s.Log.WarnContext(ctx, "original restored from an upload", "document", current.ID, "key", current.Key, "object", upload.Object, "damage", damage)
			restored.Replayed = accepted.Replayed
			return restored, nil
		case fault.Is(err, fault.Conflict) && accepted.Replayed:
			return accepted, nil // the document has other content now
		case fault.Is(err, fault.Conflict) && try < maxRestoreTries:
		default:
			return document.Accepted{}, err
		}
	}
}

// currentDocument returns the document of a result. For a replayed result, it loads the document as it
// is now, and returns a zero document if it was deleted.
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

// checkOriginal returns an error if the original is missing or damaged, or cannot be read.
func (s *Service) checkOriginal(ctx context.Context, of original.Ref) error {
	r, err := s.Originals.Open(ctx, of)
	if err != nil {
		return err
	}
	return r.Close()
}
