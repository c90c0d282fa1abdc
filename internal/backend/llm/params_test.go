package llm_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A parameter that a server refuses is no longer sent after the first refusal.
func TestRefusedParameters(t *testing.T) {
	t.Parallel()
	shortened := document.Model{Name: "text-embedding-3-custom", Dimensions: 64}
	for _, test := range []struct {
		name    string
		refused []string // parameters
		body    string   // %s is the parameter
		status  int
		chat    string // model of a chat request; if empty, embeddings are requested
	}{
		{"OpenAI", []string{"encoding_format"}, `{"error":{"message":"Unrecognized request argument supplied: %s","type":"invalid_request_error"}}`, 400, ""},
		{"by param", []string{"dimensions"}, `{"error":{"message":"not supported","param":"%s"}}`, 400, ""},
		{"both", []string{"encoding_format", "dimensions"}, `{"error":"unknown field %s"}`, 422, ""},
		{"FastAPI", []string{"encoding_format"}, `{"detail":[{"type":"extra_forbidden","loc":["body","%s"],"msg":"Extra inputs are not permitted"}]}`, 422, ""},
		{"vLLM", []string{"dimensions"}, `{"object":"error","message":"Model \"x\" does not support matryoshka representation, changing output dimensions will lead to poor results."}`, 400, ""},
		{"LiteLLM", []string{"encoding_format"}, `{"error":{"message":"litellm.UnsupportedParamsError: provider does not support parameters: {'%s': 'base64'}"}}`, 400, ""},
		{"a server's 500", []string{"encoding_format"}, `{"error":"base64 is not implemented"}`, 500, ""},
		{"max_tokens", []string{"max_tokens"}, `{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","param":"max_tokens","code":"unsupported_parameter"}}`, 400, "gpt-x"},
		{"max_completion_tokens", []string{"max_tokens", "max_completion_tokens"}, `{"error":{"message":"Unrecognized request argument supplied: %s"}}`, 400, "gpt-x"},
		{"temperature", []string{"temperature"}, `{"error":{"message":"Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.","param":"temperature","code":"unsupported_value"}}`, 400, "gpt-x"},
		{"all", []string{"temperature", "max_tokens", "max_completion_tokens"}, `{"error":"%s: unknown"}`, 400, "gpt-x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o, requests := newScriptedProvider(t, func(w http.ResponseWriter, r recordedRequest) bool {
				for _, parameter := range test.refused {
					if _, sent := r.Body[parameter]; sent {
						w.WriteHeader(test.status)
						if strings.Contains(test.body, "%s") {
							fmt.Fprintf(w, test.body, parameter)
						} else {
							fmt.Fprint(w, test.body)
						}
						return true
					}
				}
				return false
			})
			for range 5 {
				var err error
				if test.chat != "" {
					_, err = o.Summarise(t.Context(), test.chat, "", []string{"a"})
				} else {
					_, err = o.Embed(t.Context(), shortened, numberedTexts(2))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if n := int(requests.Load()); n != 5+len(test.refused) {
				t.Errorf("%d requests for 5 responses: want each parameter refused once", n)
			}
		})
	}
}

// A setting determines whether dimensions is sent, for any model.
func TestSendDimensions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		send  llm.SendDimensions
		model string
		want  bool
	}{
		{"", "text-embedding-3-small", true}, {"", "other", false},
		{llm.SendDimensionsAuto, "text-embedding-3-small", true}, {llm.SendDimensionsAuto, "other", false},
		{llm.SendDimensionsAlways, "text-embedding-3-small", true}, {llm.SendDimensionsAlways, "other", true},
		{llm.SendDimensionsNever, "text-embedding-3-small", false}, {llm.SendDimensionsNever, "other", false},
	} {
		var mu sync.Mutex
		var sent []any
		o, _ := newScriptedProvider(t, func(_ http.ResponseWriter, r recordedRequest) bool {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, r.Body["dimensions"])
			return false
		}, func(c *llm.OpenAIConfig) { c.Dimensions = test.send })
		if _, err := o.Embed(t.Context(), document.Model{Name: test.model, Dimensions: 64}, numberedTexts(1)); err != nil {
			t.Fatal(err)
		}
		var want any
		if test.want {
			want = 64.0
		}
		if !slices.Equal(sent, []any{want}) {
			t.Errorf("%s, %s: sent %v, want %v", test.send, test.model, sent, want)
		}
	}
	o, _ := newScriptedProvider(t, func(w http.ResponseWriter, r recordedRequest) bool {
		http.Error(w, `{"error":"dimensions is not supported"}`, 400)
		return true
	}, func(c *llm.OpenAIConfig) { c.Dimensions = llm.SendDimensionsAlways })
	_, err := o.Embed(t.Context(), small, numberedTexts(1))
	wantFailure(t, "always, but refused", err, fault.Misconfigured, "set GRISTMILL_EMBEDDING_SEND_DIMENSIONS=never")
}
