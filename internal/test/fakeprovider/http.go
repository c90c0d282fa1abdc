package fakeprovider

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
)

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.inFlight.Add(1)
	defer p.inFlight.Add(-1)
	if p.opts.APIKey != "" && r.Header.Get("Authorization") != "Bearer "+p.opts.APIKey {
		p.writeError(w, http.StatusUnauthorized, "Incorrect API key provided")
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "POST /v1/embeddings":
		p.serveEmbeddings(w, r)
	case "POST /v1/chat/completions":
		p.serveChat(w, r)
	case "GET /v1/models":
		p.serveModels(w)
	default:
		p.writeError(w, http.StatusNotFound, "no such page: "+r.Method+" "+r.URL.Path)
	}
}

// send sends the answer, or aborts the connection by panicking with http.ErrAbortHandler.
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
	case !answer.ok() && (answer.Raw != "" || answer.NoBody):
		p.countRefused()
		w.WriteHeader(answer.Status)
		_, _ = io.WriteString(w, answer.Raw)
		return
	case !answer.ok():
		p.writeError(w, answer.Status, answer.Message)
		return
	case answer.Raw != "":
		body = []byte(answer.Raw)
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if answer.Truncate {
		// Sends less than Content-Length says, so the server closes the connection.
		body = body[:len(body)/2]
	}
	_, _ = w.Write(body) // the client may have disconnected
}

// serveModels lists the embedding models.
func (p *Provider) serveModels(w http.ResponseWriter) {
	names := []string{"fake"}
	if p.opts.Models != nil {
		names = slices.Sorted(maps.Keys(p.opts.Models))
	}
	data := make([]any, len(names))
	for i, name := range names {
		data[i] = map[string]any{"id": name, "object": "model", "owned_by": "fakeprovider"}
	}
	writeJSON(w, map[string]any{"object": "list", "data": data})
}

// writeError answers with an error.
func (p *Provider) writeError(w http.ResponseWriter, status int, message string) {
	p.writeErrorBody(w, status, map[string]any{"message": message, "type": "fake"})
}

// writeModelNotFound answers like OpenAI does for an unknown model.
func (p *Provider) writeModelNotFound(w http.ResponseWriter, name string) {
	p.writeErrorBody(w, http.StatusNotFound, map[string]any{
		"message": fmt.Sprintf("The model `%s` does not exist or you do not have access to it.", name),
		"type":    "invalid_request_error",
		"param":   nil,
		"code":    "model_not_found",
	})
}

func (p *Provider) writeErrorBody(w http.ResponseWriter, status int, problem map[string]any) {
	p.countRefused()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": problem})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// tokensOf returns a rough count: four bytes per token.
func tokensOf(text string) int { return (len(text) + 3) / 4 }
