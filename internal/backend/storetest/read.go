package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func reading(t *testing.T, open func(t *testing.T) Store) {
	s := open(t)
	ctx := tenantContext(t, tenant.Default)
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Document":           readsDocuments,
		"Document's version": readsTheVersionThatReadersSee,
		"Documents":          listsDocumentsNewestFirst,
		"Documents filter":   listsMatchingDocuments,
		"Documents by key":   listsDocumentsOfAPrefixByKey,
		"Documents growing":  listsNoDocumentTwiceWhileOthersArrive,
		"Passages":           listsPassagesInOrder,
		"Passages switch":    listsPassagesOfOneVersion,
		"Summary":            readsTheSummaryOfThePublishedVersion,
		"Job":                readsJobs,
		"Jobs":               listsJobsNewestFirst,
		"Delete":             deletesForEveryReaderAtOnce,
		"Cursors":            refusesForeignCursors,
		"Empty pages":        refusesEmptyPages,
		"Nothing":            answersNotFound,
	} {
		t.Run(name, func(t *testing.T) { test(t, ctx, s) })
	}
}

// compactJSON has comparisons take JSON for what it says, not how it is
// written.
func compactJSON() cmp.Option {
	return cmp.Transformer("JSON", func(text json.RawMessage) any {
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			return string(text)
		}
		return value
	})
}

func readDocument(t *testing.T, ctx context.Context, s Store, id uuid.UUID) document.Document {
	t.Helper()
	d, err := s.Document(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func readsDocuments(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "documents")
	upload := uploadOf(c, "dir/문서 £.md")
	upload.Title = "제목"
	upload.Metadata = json.RawMessage(`{"b": [1, "<&>"], "a": {"c": null}}`)
	upload.Size = 1 << 40
	accepted := acceptUpload(t, ctx, s, upload)

	got := readDocument(t, ctx, s, accepted.Document.ID)
	want := document.Document{
		ID: accepted.Document.ID, Collection: "documents", Key: upload.Key, Title: upload.Title,
		State: document.DocumentPending, Version: 1, Size: upload.Size, SHA256: upload.SHA256, MediaType: upload.MediaType,
		Metadata: upload.Metadata, CreatedAt: got.CreatedAt, UpdatedAt: got.CreatedAt, Object: upload.Object,
	}
	if diff := cmp.Diff(want, got, compactJSON()); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(got, accepted.Document, compactJSON()); diff != "" {
		t.Errorf("document that was accepted (-read +accepted):\n%s", diff)
	}
	if got.CreatedAt.IsZero() || got.CreatedAt.Location().String() != "UTC" {
		t.Errorf("created at %v, want a time in UTC", got.CreatedAt)
	}
}

func readsTheVersionThatReadersSee(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "versions")
	first, second := uploadOf(c, "a"), uploadOf(c, "a")
	second.Title, second.Size, second.MediaType = "Second", 2000, "text/plain"
	second.Metadata = json.RawMessage(`{"second":true}`)

	id := acceptUpload(t, ctx, s, first).Document.ID
	job := acceptUpload(t, ctx, s, second).Job // the newest, while none is live
	check := func(when string, version int, state document.DocumentState, want original.Upload) {
		t.Helper()
		d := readDocument(t, ctx, s, id)
		got := original.Upload{Collection: c, Key: d.Key, Title: d.Title, Metadata: d.Metadata,
			MediaType: d.MediaType, Object: d.Object, Size: d.Size, SHA256: d.SHA256}
		if diff := cmp.Diff(want, got, compactJSON()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
		if d.Version != version || d.State != state {
			t.Errorf("%s: got version %d, %s, want %d, %s", when, d.Version, d.State, version, state)
		}
	}
	check("while no version is live", 2, document.DocumentPending, second)
	publishJob(t, ctx, s, job, passageOf("two", 1, 0, 0))
	check("once the second is live", 2, document.DocumentReady, second)

	third := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	check("while a third is made", 2, document.DocumentReady, second)
	work := claimTask(t, ctx, s, third.Job, task.KindKnowledge)
	if err := s.RecordOutcome(ctx, work, task.Outcome{Verdict: task.VerdictFail, Error: "broken"}); err != nil {
		t.Fatal(err)
	}
	check("after the third failed", 2, document.DocumentReady, second)
	if d := readDocument(t, ctx, s, id); d.UpdatedAt.Before(d.CreatedAt) {
		t.Errorf("updated at %v, before it was created at %v", d.UpdatedAt, d.CreatedAt)
	}
}

// listAll follows a list to its end, at most limit items a page.
func listAll[T any](t *testing.T, limit int, list func(page document.Page) (document.List[T], error)) []T {
	t.Helper()
	items := []T{}
	page := document.Page{Limit: limit}
	for {
		got, err := list(page)
		if err != nil {
			t.Fatal(err)
		}
		if got.Items == nil {
			t.Fatal("items are nil, want a list, empty or not")
		}
		if len(got.Items) > limit || len(got.Items) == 0 && got.NextCursor != "" {
			t.Fatalf("got %d items and the cursor %q for a limit of %d", len(got.Items), got.NextCursor, limit)
		}
		items = append(items, got.Items...)
		if got.NextCursor == "" {
			return items
		}
		if len(items) > 1000 {
			t.Fatal("the list does not end")
		}
		page.Cursor = got.NextCursor
	}
}

func listDocuments(t *testing.T, ctx context.Context, s Store, filter document.DocumentFilter, limit int) []string {
	t.Helper()
	keys := []string{}
	for _, d := range listAll(t, limit, func(page document.Page) (document.List[document.Document], error) {
		return s.Documents(ctx, filter, page)
	}) {
		keys = append(keys, d.Key)
	}
	return keys
}

func listsDocumentsNewestFirst(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "listed")
	var want []string
	for i := range 7 {
		key := fmt.Sprint("key ", i)
		acceptUpload(t, ctx, s, uploadOf(c, key))
		want = append([]string{key}, want...)
	}
	acceptUpload(t, ctx, s, uploadOf(c, "key 3")) // a new version does not make a document new
	for limit := 1; limit <= 8; limit++ {
		got := listDocuments(t, ctx, s, document.DocumentFilter{Collection: "listed"}, limit)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d: keys (-want +got):\n%s", limit, diff)
		}
	}
	list, err := s.Documents(ctx, document.DocumentFilter{Collection: "listed"}, document.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(readDocument(t, ctx, s, list.Items[0].ID), list.Items[0], compactJSON()); diff != "" {
		t.Errorf("listed document (-alone +listed):\n%s", diff)
	}
}

func listsMatchingDocuments(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "filtered")
	publishDocument(t, ctx, s, uploadOf(c, "a/ready"), passageOf("filtered", 1, 0, 0))
	acceptUpload(t, ctx, s, uploadOf(c, "a/pending"))
	failed := acceptUpload(t, ctx, s, uploadOf(c, "b/failed"))
	work := claimTask(t, ctx, s, failed.Job, task.KindKnowledge)
	if err := s.RecordOutcome(ctx, work, task.Outcome{Verdict: task.VerdictFail, Error: "broken"}); err != nil {
		t.Fatal(err)
	}
	acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "filtered too"), "a/elsewhere"))

	for _, test := range []struct {
		filter document.DocumentFilter
		want   []string
	}{
		{document.DocumentFilter{}, []string{"b/failed", "a/pending", "a/ready"}},
		{document.DocumentFilter{KeyPrefix: "a/"}, []string{"a/pending", "a/ready"}},
		{document.DocumentFilter{KeyPrefix: "_/"}, []string{}},
		{document.DocumentFilter{KeyPrefix: "%"}, []string{}},
		{document.DocumentFilter{State: document.DocumentReady}, []string{"a/ready"}},
		{document.DocumentFilter{State: document.DocumentPending}, []string{"a/pending"}},
		{document.DocumentFilter{State: document.DocumentFailed}, []string{"b/failed"}},
		{document.DocumentFilter{State: document.DocumentDeleting}, []string{}},
		{document.DocumentFilter{State: document.DocumentFailed, KeyPrefix: "a/"}, []string{}},
	} {
		test.filter.Collection = "filtered"
		if diff := cmp.Diff(test.want, listDocuments(t, ctx, s, test.filter, 2)); diff != "" {
			t.Errorf("%+v: keys (-want +got):\n%s", test.filter, diff)
		}
	}
	if got := listDocuments(t, ctx, s, document.DocumentFilter{Collection: "never made"}, 10); len(got) > 0 {
		t.Errorf("unknown collection: got %q", got)
	}
	if got := listDocuments(t, ctx, s, document.DocumentFilter{}, 10); !slices.Contains(got, "a/elsewhere") || !slices.Contains(got, "a/ready") {
		t.Errorf("no filter: got %q, want those of every collection", got)
	}
}

// Bytewise, and not as a language or UTF-16 would have it; over all states and,
// without a collection, over all collections.
func listsDocumentsOfAPrefixByKey(t *testing.T, ctx context.Context, s Store) {
	c, other := ensureCollection(t, ctx, s, "by key"), ensureCollection(t, ctx, s, "by key too")
	want := []string{"p/", "p/A", "p/B", "p/_", "p/a", "p/a b", "p/aa", "p/z", "p/\u00e9", "p/\ud7ff", "p/\uff5e", "p/\U0001f33e"}
	for i := range want {
		key := want[(i*7+3)%len(want)]
		if i%3 == 0 {
			publishDocument(t, ctx, s, uploadOf(c, key), passageOf("by key", 1, 0, 0))
		} else {
			acceptUpload(t, ctx, s, uploadOf(c, key))
		}
	}
	for _, key := range []string{"p", "p.", "p0", "o/", "P/a"} { // around them
		acceptUpload(t, ctx, s, uploadOf(c, key))
	}
	if err := s.DeleteDocument(ctx, acceptUpload(t, ctx, s, uploadOf(c, "p/deleted")).Document.ID); err != nil {
		t.Fatal(err)
	}
	of := document.DocumentFilter{Collection: c.Name, KeyPrefix: "p/"}
	for _, limit := range []int{1, 2, 5, len(want), 100} {
		if diff := cmp.Diff(want, listDocuments(t, ctx, s, of, limit)); diff != "" {
			t.Errorf("limit %d: keys (-want +got):\n%s", limit, diff)
		}
	}
	first, second := acceptUpload(t, ctx, s, uploadOf(other, "p/a")), acceptUpload(t, ctx, s, uploadOf(other, "p/b"))
	var ids []uuid.UUID
	for _, d := range listAll(t, 1, func(page document.Page) (document.List[document.Document], error) {
		return s.Documents(ctx, document.DocumentFilter{KeyPrefix: "p/a"}, page)
	}) {
		ids = append(ids, d.ID)
	}
	if len(ids) != 4 || ids[1] != first.Document.ID || slices.Contains(ids, second.Document.ID) {
		t.Errorf("of both collections: got %v, want 4 with the younger of two of one key, %s, second", ids, first.Document.ID)
	}

	// What a page comes after is of its list.
	list, err := s.Documents(ctx, of, document.Page{Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	newest, err := s.Documents(ctx, document.DocumentFilter{Collection: c.Name}, document.Page{Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	for cursor, filter := range map[string]document.DocumentFilter{
		list.NextCursor:   {Collection: c.Name},
		newest.NextCursor: of,
	} {
		_, err := s.Documents(ctx, filter, document.Page{Limit: 3, Cursor: cursor})
		wantFault(t, err, fault.BadRequest)
	}
	_, err = s.Documents(ctx, document.DocumentFilter{Collection: c.Name, KeyPrefix: "o"}, document.Page{Limit: 3, Cursor: list.NextCursor})
	wantFault(t, err, fault.BadRequest)
}

func listsNoDocumentTwiceWhileOthersArrive(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "growing")
	want := []string{"key 4", "key 3", "key 2", "key 1", "key 0"}
	for _, key := range slices.Backward(want) {
		acceptUpload(t, ctx, s, uploadOf(c, key))
	}
	arrivals := 0
	got := []string{}
	for _, d := range listAll(t, 2, func(page document.Page) (document.List[document.Document], error) {
		list, err := s.Documents(ctx, document.DocumentFilter{Collection: "growing"}, page)
		acceptUpload(t, ctx, s, uploadOf(c, fmt.Sprint("arrival ", arrivals)))
		arrivals++
		return list, err
	}) {
		got = append(got, d.Key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func listPassages(t *testing.T, ctx context.Context, s Store, id uuid.UUID, limit int) []document.Passage {
	t.Helper()
	return listAll(t, limit, func(page document.Page) (document.List[document.Passage], error) {
		return s.Passages(ctx, id, page)
	})
}

func listsPassagesInOrder(t *testing.T, ctx context.Context, s Store) {
	accepted := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "passages"), "a"))
	id := accepted.Document.ID
	if got := listPassages(t, ctx, s, id, 10); len(got) > 0 {
		t.Errorf("before a version is live: got %v", got)
	}

	texts := []string{"one", "two", "one", "three", "one"}
	var passages []vector.EmbeddedPassage
	var want []document.Passage
	start := int64(0)
	for i, text := range texts {
		p := passageOf(text, 1, 0, 0)
		p.HeadingPath, p.Context = []string{"A", "B " + text}, "context of "+text
		passages = append(passages, p)
		want = append(want, document.Passage{Ordinal: i, Start: start, End: start + int64(len(text)),
			HeadingPath: p.HeadingPath, Context: p.Context, Content: text, Tokens: p.Tokens})
		start += int64(len(text)) + 1
	}
	publishJob(t, ctx, s, accepted.Job, passages...)
	for limit := 1; limit <= 6; limit++ {
		if diff := cmp.Diff(want, listPassages(t, ctx, s, id, limit)); diff != "" {
			t.Errorf("limit %d: passages (-want +got):\n%s", limit, diff)
		}
	}
}

func listsPassagesOfOneVersion(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "passages switch")
	accepted := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	id := accepted.Document.ID
	publishJob(t, ctx, s, accepted.Job, passageOf("old one", 1, 0, 0), passageOf("old two", 1, 0, 0))
	list, err := s.Passages(ctx, id, document.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}

	second := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	if got := listPassages(t, ctx, s, id, 10); len(got) != 2 {
		t.Errorf("while the second version is made: got %v", got)
	}
	publishJob(t, ctx, s, second.Job, passageOf("new one", 1, 0, 0), passageOf("new two", 1, 0, 0))
	_, err = s.Passages(ctx, id, document.Page{Limit: 1, Cursor: list.NextCursor})
	wantFault(t, err, fault.Conflict)
	if got := listPassages(t, ctx, s, id, 10); len(got) != 2 || got[0].Content != "new one" || got[1].Content != "new two" {
		t.Errorf("once the second version is live: got %v", got)
	}
}

func readsTheSummaryOfThePublishedVersion(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "summary")
	accepted := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	id := accepted.Document.ID
	wantNone := func(when string) {
		t.Helper()
		if got, err := s.Summary(ctx, id); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: got %v, %v, want a failure of kind not_found", when, got, err)
		}
	}
	wantNone("before anything is live")
	finishSummary(t, ctx, s, accepted.Job, "first")
	wantNone("before its version is live")
	publishJob(t, ctx, s, accepted.Job, passageOf("one", 1, 0, 0))
	want := document.Summary{DocumentID: id, Version: 1, Model: "test-summaries", Summary: "first"}
	check := func(when string) {
		t.Helper()
		got, err := s.Summary(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	check("once its version is live")

	second := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	finishSummary(t, ctx, s, second.Job, "second")
	check("while the second version is made")
	publishJob(t, ctx, s, second.Job, passageOf("two", 1, 0, 0))
	want.Version, want.Summary = 2, "second"
	check("once the second version is live")

	third := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	publishJob(t, ctx, s, third.Job, passageOf("three", 1, 0, 0))
	wantNone("while the live version has none")
}
