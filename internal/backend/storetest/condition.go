package storetest

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func acceptsUnderConditions(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "accept")
	onlyNew, onlyOld := document.Condition{NoneMatch: []string{document.AnyVersion}}, document.Condition{Match: []string{document.AnyVersion}}
	refuse := func(what string, upload original.Upload, condition document.Condition) {
		t.Helper()
		upload.Condition, upload.Object = condition, uuid.NewString()
		beginUpload(t, ctx, s, upload)
		if _, err := s.AcceptUpload(ctx, upload); !fault.Is(err, fault.PreconditionFailed) {
			t.Errorf("%s: %v, want %s", what, err, fault.PreconditionFailed)
		}
	}
	take := func(what string, upload original.Upload, condition document.Condition) document.Accepted {
		t.Helper()
		upload.Condition, upload.Object = condition, uuid.NewString()
		return acceptUpload(t, ctx, s, upload)
	}

	refuse("to replace what is not there", uploadOf(c, "conditional"), onlyOld)
	refuse("to replace a version of nothing", uploadOf(c, "conditional"), document.Condition{Match: []string{"a"}})
	one := uploadOf(c, "conditional")
	first := take("new", one, onlyNew)
	refuse("new, again", uploadOf(c, "conditional"), onlyNew)
	refuse("the same, again", one, onlyNew)
	if again := take("unchanged", one, document.Condition{Match: []string{one.SHA256}}); !again.Unchanged {
		t.Error("the same was accepted as another version")
	}

	// The condition is about the version uploaded last, whether it is live or not.
	two := uploadOf(c, "conditional")
	second := take("over the first", two, document.Condition{Match: []string{"a", one.SHA256}})
	if second.Document.ID != first.Document.ID || second.Document.Version != 2 {
		t.Errorf("got %+v, want the second version", second.Document)
	}
	refuse("over the first, which is no more the newest", uploadOf(c, "conditional"), document.Condition{Match: []string{one.SHA256}})
	refuse("unless it is the second", uploadOf(c, "conditional"), document.Condition{NoneMatch: []string{two.SHA256}})
	take("over any", uploadOf(c, "conditional"), onlyOld)

	if err := s.DeleteDocument(ctx, first.Document.ID); err != nil {
		t.Fatal(err)
	}
	refuse("over a deleted one", uploadOf(c, "conditional"), onlyOld)
	if third := take("new, after that", uploadOf(c, "conditional"), onlyNew); third.Document.ID == first.Document.ID {
		t.Error("a deleted document has a new version")
	}

	// Sent again under its idempotency key, it is the upload that was accepted.
	upload := uploadOf(c, "conditional and once")
	upload.IdempotencyKey, upload.Fingerprint = "conditional", "f"
	take("once", upload, onlyNew)
	if again := take("once more", upload, onlyNew); !again.Replayed {
		t.Error("the same request was not answered as the first time")
	}
}

// Of many who replace one version, one does.
func acceptsOneUnderAConditionAtOnce(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "accept")
	first := uploadOf(c, "conditional at once")
	acceptUpload(t, ctx, s, first)
	for what, condition := range map[string]document.Condition{
		"replaced": {Match: []string{first.SHA256}},
		"made":     {NoneMatch: []string{document.AnyVersion}},
	} {
		key := "conditional at once"
		if what == "made" {
			key = "made at once"
		}
		uploads := make([]original.Upload, 20)
		for i := range uploads {
			uploads[i] = uploadOf(c, key)
			uploads[i].Condition = condition
			beginUpload(t, ctx, s, uploads[i])
		}
		accepted := make([]bool, len(uploads))
		concurrently(t, len(uploads), func(i int) error {
			_, err := s.AcceptUpload(ctx, uploads[i])
			accepted[i] = err == nil
			if fault.Is(err, fault.PreconditionFailed) {
				return nil
			}
			return err
		})
		n := 0
		for _, ok := range accepted {
			if ok {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s %d times, want once", what, n)
		}
	}
}

func deletesUnderConditions(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "accept")
	one, two := uploadOf(c, "deleted on condition"), uploadOf(c, "deleted on condition")
	first := publishDocument(t, ctx, s, one, passageOf("one", 1, 0, 0))
	acceptUpload(t, ctx, s, two) // not live yet
	for what, condition := range map[string]document.Condition{
		"the live version, which is not the newest": {Match: []string{one.SHA256}},
		"any but the newest":                        {NoneMatch: []string{two.SHA256}},
		"none at all":                               {NoneMatch: []string{document.AnyVersion}},
	} {
		wantFault(t, s.DeleteDocument(ctx, first.Document.ID, condition), fault.PreconditionFailed)
		d, err := s.Document(ctx, first.Document.ID)
		if err != nil || d.State != document.DocumentReady {
			t.Errorf("%s: the document is %+v, %v", what, d, err)
		}
	}
	if err := s.DeleteDocument(ctx, first.Document.ID, document.Condition{Match: []string{two.SHA256}}); err != nil {
		t.Fatal(err)
	}
	wantFault(t, s.DeleteDocument(ctx, first.Document.ID, document.Condition{Match: []string{two.SHA256}}), fault.NotFound)
}
