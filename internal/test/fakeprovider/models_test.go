package fakeprovider_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestModels(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 8, Models: map[string]int{"pliable": 0, "stubborn": 48}})
	for _, test := range []struct {
		model       string
		asked, want int
	}{
		{"pliable", 0, 8},
		{"pliable", 16, 16},
		{"stubborn", 0, 48},
		{"stubborn", 16, 48},
	} {
		for _, encoding := range []string{"base64", "float"} {
			status, _, body := post(t, p, "/embeddings", map[string]any{
				"model": test.model, "input": []string{"a"}, "encoding_format": encoding, "dimensions": test.asked,
			})
			var answer struct{ Data []datum }
			if err := json.Unmarshal(body, &answer); status != http.StatusOK || err != nil || len(answer.Data) != 1 {
				t.Fatalf("%s answered %d %s (%v)", test.model, status, body, err)
			}
			if got := len(floats(t, answer.Data[0])); got != test.want {
				t.Errorf("%s, asked for %d dimensions in %s, answered %d, want %d", test.model, test.asked, encoding, got, test.want)
			}
		}
	}

	status, _, body := post(t, p, "/embeddings", map[string]any{"model": "nobody", "input": []string{"a"}})
	var refusal struct {
		Error struct{ Message, Type, Code string }
	}
	if err := json.Unmarshal(body, &refusal); err != nil || status != http.StatusNotFound ||
		refusal.Error.Code != "model_not_found" || refusal.Error.Type != "invalid_request_error" {
		t.Errorf("a model that is not there was answered %d %s (%v)", status, body, err)
	}
	if got := p.Counts().RequestsRefused; got != 1 {
		t.Errorf("%d requests are counted as refused, want 1", got)
	}
}

func TestModelsAreListed(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{Models: map[string]int{"small": 0, "large": 0}})
	response, err := http.Get(p.URL() + "/models")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var list struct{ Data []struct{ ID string } }
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, model := range list.Data {
		names = append(names, model.ID)
	}
	if !slices.Equal(names, []string{"large", "small"}) {
		t.Errorf("listed %v", names)
	}
}

func TestOneModelFails(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 8})
	statuses := func(model string) (got [3]int) {
		for i := range got {
			got[i], _, _ = post(t, p, "/embeddings", map[string]any{"model": model, "input": []string{"a"}})
		}
		return got
	}
	p.FailModel("sick", fakeprovider.Status(503, "overloaded"), 2)
	if got := statuses("well"); got != [3]int{200, 200, 200} {
		t.Errorf("the other model answered %v", got)
	}
	if got := statuses("sick"); got != [3]int{503, 503, 200} {
		t.Errorf("it answered %v", got)
	}
	p.FailModel("sick", fakeprovider.Status(400, "no"), -1)
	if got := statuses("sick"); got != [3]int{400, 400, 400} {
		t.Errorf("until it is well again it answered %v", got)
	}
	p.FailModel("sick", nil, 0)
	if got := statuses("sick"); got != [3]int{200, 200, 200} {
		t.Errorf("well again it answered %v", got)
	}
}

func TestTextsOfClientsThatHaveGoneAreTaken(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{Latency: time.Hour})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL()+"/embeddings", strings.NewReader(`{"input":["a","b"]}`))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
		}
	}()
	await.Until(t, "the texts are taken", func() bool { return p.Counts().TextsProcessed == 2 })
	leave()
	await.Until(t, "the provider sees that the client has gone", func() bool { return p.InFlight() == 0 })
	if c := p.Counts(); c.TextsProcessed != 2 || c.TextsAnswered != 0 {
		t.Errorf("%+v", c)
	}
}

func TestTextsAreCountedByModel(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{RecordTexts: true, Models: map[string]int{"m": 0, "other": 32}})
	embed(t, p, "base64", 16, "a", "b")
	embed(t, p, "float", 64, "a")
	for range 2 {
		post(t, p, "/embeddings", map[string]any{"model": "other", "input": []string{"b"}, "dimensions": 16})
	}
	p.FailNext(fakeprovider.Status(500, "broken"), 1)
	post(t, p, "/embeddings", map[string]any{"model": "m", "input": []string{"never"}, "dimensions": 16})

	want := map[document.Model]map[string]int{
		{Name: "m", Dimensions: 16}:     {"a": 1, "b": 1},
		{Name: "m", Dimensions: 64}:     {"a": 1},
		{Name: "other", Dimensions: 32}: {"b": 2}, // what it answers, not what it was asked for
	}
	if diff := cmp.Diff(want, p.EmbeddedTextsByModel()); diff != "" {
		t.Errorf("by model (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"a": 2, "b": 3}, p.EmbeddedTexts()); diff != "" {
		t.Errorf("by all together (-want +got):\n%s", diff)
	}
}
