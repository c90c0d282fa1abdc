package httpapi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestCollectionSettings(t *testing.T) {
	t.Parallel()
	h := newHandler(t, configOf(t, newFake()))
	want := document.CollectionSettings{Name: "default", Model: "m", Dimensions: 3, Tokens: 400, Summaries: document.SummariesByModel}
	if diff := cmp.Diff(want, decode[document.CollectionSettings](t, do(h, "GET", "/v1/collections/default", "", ""))); diff != "" {
		t.Errorf("configured settings (-want +got):\n%s", diff)
	}
	for _, mode := range document.SummaryModes {
		want.Summaries = mode
		for _, w := range []string{`{"summaries":"` + string(mode) + `"}`, `{}`} {
			if diff := cmp.Diff(want, decode[document.CollectionSettings](t, do(h, "PATCH", "/v1/collections/default", "application/json", w))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", w, diff)
			}
		}
	}
	wantProblem(t, do(h, "PATCH", "/v1/collections/default", "application/json", `{"summaries":"never"}`), 400, "bad_request", "")
	wantProblem(t, do(h, "PATCH", "/v1/collections/other", "application/json", `{"summaries":"off"}`), 404, "not_found", "other")
	wantProblem(t, do(h, "GET", "/v1/collections/other", "", ""), 404, "not_found", "other")
}

func TestListCollections(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, configOf(t, f))
	f.summaries["other"] = document.SummariesOff
	got := decode[document.List[document.CollectionSettings]](t, do(h, "GET", "/v1/collections?limit=1", "", ""))
	if len(got.Items) != 1 || got.Items[0].Name != "default" || got.Items[0].Summaries != document.SummariesByModel || got.NextCursor != "other" {
		t.Errorf("got %+v, want the first of two collections", got)
	}
	wantProblem(t, do(h, "GET", "/v1/collections?cursor=x", "", ""), 400, "bad_request", "cursor")
	wantProblem(t, do(h, "GET", "/v1/collections?limit=0", "", ""), 400, "bad_request", "")
}

func TestRequestSummary(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, configOf(t, f))
	target := "/v1/documents/" + put(t, h, "a.md", "# one").Document.ID.String() + "/summary"
	w := do(h, "POST", target, "", "")
	job := decode[document.Job](t, w)
	if w.Code != 202 || w.Header().Get("Location") != "/v1/jobs/"+job.ID.String() {
		t.Errorf("got %d, Location %q, job %+v", w.Code, w.Header().Get("Location"), job)
	}
	f.summaries["default"] = document.SummariesOff
	wantProblem(t, do(h, "POST", target, "", ""), 409, "conflict", "off")
	wantProblem(t, do(h, "POST", "/v1/documents/"+uuid.NewString()+"/summary", "", ""), 404, "not_found", "")
}
