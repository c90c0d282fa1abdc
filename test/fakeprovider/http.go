package fakeprovider

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
)

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.inFlight.Add(1)
	defer p.inFlight.Add(-1)
	if p.opts.APIKey != "" && r.Header.Get("Authorization") != "Bearer "+p.opts.APIKey {
		p.refuse(w, http.StatusUnauthorized, "Incorrect API key provided")
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "POST /v1/embeddings":
		p.serveEmbeddings(w, r)
	case "POST /v1/chat/completions":
		p.serveChat(w, r)
	case "GET /v1/models":
		writeJSON(w, map[string]any{"object": "list", "data": []any{
			map[string]any{"id": "fake", "object": "model", "owned_by": "fakeprovider"},
		}})
	default:
		p.refuse(w, http.StatusNotFound, "no such page: "+r.Method+" "+r.URL.Path)
	}
}

// send sends the answer as it stands after its fault, or breaks the connection
// off, which is what http.ErrAbortHandler is for.
func (p *Provider) send(ctx context.Context, w http.ResponseWriter, answer Answer, body []byte) {
	if answer.Hang {
		select {
		case <-ctx.Done():
		case <-p.closing:
		}
		panic(http.ErrAbortHandler)
	}
	if p.wait(ctx, answer.Delay) != nil {
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	switch {
	case !answer.ok():
		p.refuse(w, answer.Status, answer.Message)
		return
	case answer.Raw != "":
		body = []byte(answer.Raw)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if answer.Truncate {
		// Less than was announced: the server closes the connection.
		body = body[:len(body)/2]
	}
	_, _ = w.Write(body) // the client may have gone
}

// refuse answers an error.
func (p *Provider) refuse(w http.ResponseWriter, status int, message string) {
	p.mu.Lock()
	p.counts.Refused++
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": message, "type": "fake"}})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// tokensOf is a rough count: four bytes a token.
func tokensOf(text string) int { return (len(text) + 3) / 4 }
