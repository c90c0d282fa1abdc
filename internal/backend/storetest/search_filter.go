package storetest

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/vector"
)

func searchFiltersFurtherPlaces(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "also in filter")
	shared := passageOf("shared", 1, 0, 0)
	publishDocument(t, ctx, s, uploadOf(c, "public/a"), shared)
	publishDocument(t, ctx, s, uploadOf(c, "private/a"), shared)

	hits := nearest(t, ctx, s, c, vector.Query{KeyPrefix: "public/"})
	wantContents(t, hits, "shared")
	if hits[0].Key != "public/a" || len(hits[0].AlsoIn) > 0 {
		t.Errorf("got a hit in %q and %v, want it in public/a only", hits[0].Key, hits[0].AlsoIn)
	}
}

func searchFiltersByKeyPrefix(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "key prefix")
	for _, key := range []string{"docs/a", "docs/b", "docs", "Docs/c", "d_cs/e", "100%/f", "100x/g", "한국/문서", "한글", `back\slash`, "e\u0301", "\u00e9"} {
		publishDocument(t, ctx, s, uploadOf(c, key), passageOf("in "+key, 1, 0, 0))
	}
	for _, test := range []struct {
		prefix string
		want   []string
	}{
		{"docs/", []string{"docs/a", "docs/b"}},
		{"docs/a", []string{"docs/a"}},
		{"d_cs", []string{"d_cs/e"}},
		{"100%", []string{"100%/f"}},
		{"한", []string{"한국/문서", "한글"}},
		{"한국", []string{"한국/문서"}},
		{`back\`, []string{`back\slash`}},
		{"\u00e9", []string{"\u00e9"}},
		{"%", nil},
		{"' OR '1'='1", nil},
	} {
		got := map[string]bool{}
		for _, hit := range nearest(t, ctx, s, c, vector.Query{KeyPrefix: test.prefix}) {
			got[hit.Key] = true
		}
		want := map[string]bool{}
		for _, key := range test.want {
			want[key] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("prefix %q: keys (-want +got):\n%s", test.prefix, diff)
		}
	}
}

func searchFiltersByMetadata(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "metadata")
	upload := uploadOf(c, "a")
	upload.Metadata = json.RawMessage(`{
		"lang": "ko", "draft": false, "owner": null, "size": 1.50, "id": 9007199254740993, "quote": "a\"b\u00e9",
		"author": {"name": "Kim", "address": {"city": "Seoul", "zip": "04524"}},
		"tags": ["a", "b", 3, ["nested", "list"], {"k": 1, "l": 2}], "empty": {}, "none": []}`)
	publishDocument(t, ctx, s, upload, passageOf("tagged", 1, 0, 0))
	publishDocument(t, ctx, s, uploadOf(c, "b"), passageOf("bare", 1, 0, 0))

	for _, test := range []struct {
		metadata string
		want     bool
	}{
		{`{"lang": "ko"}`, true},
		{`{"lang": "KO"}`, false},
		{`{"lang": ["ko"]}`, false},
		{`{"missing": null}`, false},
		{`{"owner": null}`, true},
		{`{"owner": false}`, false},
		{`{"draft": false, "lang": "ko"}`, true},
		{`{"draft": false, "lang": "en"}`, false},
		{`{"draft": 0}`, false},
		{`{"size": 1.5}`, true},
		{`{"size": 15e-1}`, true},
		{`{"size": 0.0150E2}`, true},
		{`{"size": -1.5}`, false},
		{`{"size": "1.5"}`, false},
		{`{"size": 15}`, false},
		{`{"id": 9007199254740993}`, true},
		{`{"id": 9007199254740992}`, false},
		{`{"quote": "a\u0022b\u00e9"}`, true},
		{`{"quote": "a\"bé"}`, true},
		{`{"author": {"name": "Kim"}}`, true},
		{`{"author": {"address": {"city": "Seoul"}}}`, true},
		{`{"author": {"city": "Seoul"}}`, false},
		{`{"author": {}}`, true},
		{`{"author": []}`, false},
		{`{"author": "Kim"}`, false},
		{`{"tags": ["b"]}`, true},
		{`{"tags": [3, "a", "a"]}`, true},
		{`{"tags": ["c"]}`, false},
		{`{"tags": "a"}`, false},
		{`{"tags": []}`, true},
		{`{"tags": {}}`, false},
		{`{"tags": [["list"]]}`, true},
		{`{"tags": ["list"]}`, false},
		{`{"tags": [{"l": 2}]}`, true},
		{`{"tags": [{"l": 1}]}`, false},
		{`{"tags": [{}]}`, true},
		{`{"empty": {}}`, true},
		{`{"none": []}`, true},
		{`{"none": [[]]}`, false},
	} {
		want := []string{}
		if test.want {
			want = append(want, "tagged")
		}
		got := contents(nearest(t, ctx, s, c, vector.Query{Metadata: json.RawMessage(test.metadata)}))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("metadata %s: hits (-want +got):\n%s", test.metadata, diff)
		}
	}
	if got := nearest(t, ctx, s, c, vector.Query{Metadata: json.RawMessage(`{}`)}); len(got) != 2 {
		t.Errorf("metadata {}: got %q, want both", contents(got))
	}
	wantContents(t, nearest(t, ctx, s, c, vector.Query{KeyPrefix: "b", Metadata: json.RawMessage(`{"lang": "ko"}`)}))
}

// Which documents have some metadata is that of their published versions.
func searchFollowsMetadata(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "metadata follows")
	upload := func(key, metadata string) original.Upload {
		u := uploadOf(c, key)
		u.Metadata = json.RawMessage(metadata)
		return u
	}
	want := func(when, metadata string, contents ...string) {
		t.Helper()
		t.Log(when)
		wantContents(t, nearest(t, ctx, s, c, vector.Query{Metadata: json.RawMessage(metadata)}), contents...)
	}
	long, longer := strings.Repeat("l", 3000), strings.Repeat("l", 3001)
	id := publishDocument(t, ctx, s, upload("a", `{"n": 1, "kept": true, "`+long+`": "`+long+`"}`), passageOf("one", 1, 0, 0)).Document.ID
	publishDocument(t, ctx, s, upload("b", `{"n": 3, "kept": true}`), passageOf("other", 1, 0, 0))
	want("published", `{"n": 1}`, "one")
	want("long", `{"`+long+`": "`+long+`"}`, "one")
	want("longer", `{"`+long+`": "`+longer+`"}`)
	want("longer field", `{"`+longer+`": "`+long+`"}`)

	second := upload("a", `{"n": 2, "kept": true}`)
	accepted := acceptUpload(t, ctx, s, second)
	want("accepted", `{"n": 2}`)
	publishJob(t, ctx, s, accepted.Job, passageOf("two", 1, 0, 0))
	want("published again", `{"n": 2, "kept": true}`, "two")
	want("what it was", `{"n": 1}`)
	want("another", `{"n": 3}`, "other")
	want("more than are looked up", `{"n": 3, "kept": true, "a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7}`)

	if err := s.DeleteDocument(ctx, id); err != nil {
		t.Fatal(err)
	}
	want("deleted", `{"kept": true}`, "other")
	publishDocument(t, ctx, s, upload("a", `{"n": 1}`), passageOf("one", 1, 0, 0))
	want("under its key", `{"n": 1}`, "one")
}
