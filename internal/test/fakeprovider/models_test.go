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
	p := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 8, Models: map[string]int{"variable": 0, "fixed": 48}})
	for _, test := range []struct {
		model       string
		asked, want int
	}{
		{"variable", 0, 8},
		{"variable", 16, 16},
		{"fixed", 0, 48},
		{"fixed", 16, 48},
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
				t.Errorf("%s, asked for %d dimensions in %s, answered with %d, want %d", test.model, test.asked, encoding, got, test.want)
			}
		}
	}

	status, _, body := post(t, p, "/embeddings", map[string]any{"model": "unknown", "input": []string{"a"}})
	var refusal struct {
		Error struct{ Message, Type, Code string }
	}
	if err := json.Unmarshal(body, &refusal); err != nil || status != http.StatusNotFound ||
		refusal.Error.Code != "model_not_found" || refusal.Error.Type != "invalid_request_error" {
		t.Errorf("an unknown model was answered %d %s (%v)", status, body, err)
	}
	if got := p.Counts().RequestsRefused; got != 1 {
		t.Errorf("%d requests counted as refused, want 1", got)
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
	p.FailModel("failing", fakeprovider.Status(503, "overloaded"), 2)
	if got := statuses("healthy"); got != [3]int{200, 200, 200} {
		t.Errorf("the other model answered %v", got)
	}
	if got := statuses("failing"); got != [3]int{503, 503, 200} {
		t.Errorf("the failing model answered %v", got)
	}
	p.FailModel("failing", fakeprovider.Status(400, "no"), -1)
	if got := statuses("failing"); got != [3]int{400, 400, 400} {
		t.Errorf("with a permanent fault the model answered %v", got)
	}
	p.FailModel("failing", nil, 0)
	if got := statuses("failing"); got != [3]int{200, 200, 200} {
		t.Errorf("without a fault the model answered %v", got)
	}
}

func TestTextsOfDisconnectedClientsAreProcessed(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{Latency: time.Hour})
	ctx, disconnect := context.WithCancel(t.Context())
	defer disconnect()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL()+"/embeddings", strings.NewReader(`{"input":["a","b"]}`))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
		}
	}()
	await.Until(t, "the texts are counted as processed", func() bool { return p.Counts().TextsProcessed == 2 })
	disconnect()
	await.Until(t, "the provider notices that the client has disconnected", func() bool { return p.InFlight() == 0 })
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
		{Name: "other", Dimensions: 32}: {"b": 2}, // the dimensions of the answer, not of the request
	}
	if diff := cmp.Diff(want, p.EmbeddedTextsByModel()); diff != "" {
		t.Errorf("texts by model (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"a": 2, "b": 3}, p.EmbeddedTexts()); diff != "" {
		t.Errorf("texts of all models (-want +got):\n%s", diff)
	}
}
