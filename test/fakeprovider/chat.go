package fakeprovider

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"
)

func (p *Provider) serveChat(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.counts.ChatRequests++
	fault := p.chat.take()
	p.mu.Unlock()

	var request struct {
		Model    string `json:"model"`
		Messages []struct {
			Role    string `json:"role"`
			Content string `json:"content"`
		} `json:"messages"`
		MaxTokens           int `json:"max_tokens"`
		MaxCompletionTokens int `json:"max_completion_tokens"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		p.refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if len(request.Messages) == 0 {
		p.refuse(w, http.StatusBadRequest, "no messages")
		return
	}
	p.mu.Lock()
	p.chatTokens = append(p.chatTokens, request.MaxTokens)
	p.mu.Unlock()
	question := request.Messages[len(request.Messages)-1].Content
	answer := Answer{Header: http.Header{}, Text: summaryOf(question)}
	tokens := tokensOf(question) + tokensOf(answer.Text)
	if refusal := p.limits.take(tokens, answer.Header); refusal != nil {
		fault = refusal
	}
	texts := make([]string, len(request.Messages))
	for i, message := range request.Messages {
		texts[i] = message.Content
	}
	if scripted := p.scripted(Request{
		Chat: true, Model: request.Model, Key: keyOf(r), Texts: texts, MaxTokens: max(request.MaxTokens, request.MaxCompletionTokens),
	}); scripted != nil {
		fault = scripted
	}
	if fault != nil {
		fault(&answer)
	}
	body, err := json.Marshal(map[string]any{
		"object": "chat.completion",
		"model":  request.Model,
		"choices": []any{map[string]any{
			"index":         0,
			"finish_reason": "stop",
			"message":       map[string]any{"role": "assistant", "content": answer.Text},
		}},
		"usage": map[string]any{
			"prompt_tokens": tokensOf(question), "completion_tokens": tokensOf(answer.Text),
			"total_tokens": tokens,
		},
	})
	if err != nil {
		p.refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	if p.wait(r.Context(), p.opts.Latency) != nil {
		panic(http.ErrAbortHandler) // the client has gone, or the provider is closing
	}
	if fault == nil || answer.Right {
		p.mu.Lock()
		p.counts.ChatSummaries++
		p.mu.Unlock()
	}
	p.send(r.Context(), w, answer, body)
}

// ChatTokens returns how many tokens each answer to a chat could have so far.
func (p *Provider) ChatTokens() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.chatTokens)
}

// summaryOf is the summary of a question: its hash, and how it begins.
func summaryOf(question string) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(question))
	words := strings.Fields(question)
	return fmt.Sprintf("Summary %08x: %s", hash.Sum32(), strings.Join(words[:min(len(words), 12)], " "))
}
