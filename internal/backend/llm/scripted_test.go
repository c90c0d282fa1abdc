package llm_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
)

// recordedRequest is a request that a scripted server received.
type recordedRequest struct {
	*http.Request
	Body  map[string]any
	Texts []string // texts to embed, or the messages of a chat completion
}

// holds reports whether a text of the request contains s.
func (a recordedRequest) holds(s string) bool {
	return strings.Contains(strings.Join(a.Texts, "\n"), s)
}

// newScriptedProvider starts a server that responds with answer, and returns a client of it and the
// count of requests. If answer returns false, the server responds like a provider.
func newScriptedProvider(t *testing.T, answer func(w http.ResponseWriter, r recordedRequest) bool, change ...func(*llm.OpenAIConfig)) (*llm.OpenAI, *atomic.Int64) {
	t.Helper()
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		a := recordedRequest{Request: r}
		_ = json.Unmarshal(body, &a.Body)
		inputs, _ := a.Body["input"].([]any)
		for _, input := range inputs {
			a.Texts = append(a.Texts, input.(string))
		}
		messages, _ := a.Body["messages"].([]any)
		for _, message := range messages {
			a.Texts = append(a.Texts, message.(map[string]any)["content"].(string))
		}
		if answer(w, a) {
			return
		}
		answerVectors(w, a)
	}))
	t.Cleanup(server.Close)
	quick := func(cfg *llm.OpenAIConfig) { cfg.Backoff = time.Millisecond }
	return newOpenAIAt(t, server.URL+"/v1", append([]func(*llm.OpenAIConfig){quick}, change...)...), &requests
}

// answerVectors responds like a provider, with vectors of 64 numbers.
func answerVectors(w http.ResponseWriter, a recordedRequest) {
	w.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(a.URL.Path, "/chat/completions") {
		fmt.Fprint(w, `{"choices":[{"message":{"content":"A summary."}}],"usage":{"total_tokens":9}}`)
		return
	}
	fmt.Fprint(w, vectors(len(a.Texts), strings.Repeat("0.5,", 63)+"0.5"))
}

// vectors returns a response body with n equal vectors.
func vectors(n int, numbers string) string {
	data := make([]string, n)
	for i := range data {
		data[i] = fmt.Sprintf(`{"index":%d,"embedding":[%s]}`, i, numbers)
	}
	return `{"object":"list","data":[` + strings.Join(data, ",") + `],"usage":{"prompt_tokens":5}}`
}
