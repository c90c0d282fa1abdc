package fakeprovider

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

func (p *Provider) serveChat(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.counts.ChatRequests++
	fault := p.chatFaults.nextFault()
	p.mu.Unlock()

	var request struct {
		Model    string `json:"model"`
		Messages []struct {
			Role    string `json:"role"`
			Content string `json:"content"`
		} `json:"messages"`
		MaxTokens           int `json:"max_tokens"`
		MaxCompletionTokens int `json:"max_completion_tokens"`
		ResponseFormat      struct {
			Type string `json:"type"`
		} `json:"response_format"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		p.writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	if len(request.Messages) == 0 {
		p.writeError(w, http.StatusBadRequest, "no messages")
		return
	}
	p.mu.Lock()
	p.chatTokens = append(p.chatTokens, request.MaxTokens)
	p.mu.Unlock()
	question := request.Messages[len(request.Messages)-1].Content
	answer := Answer{Header: http.Header{}, Finish: "stop"}
	if strings.Contains(request.Messages[0].Content, `{"summaries":[`) {
		answer.Summaries = summariesOf(question)
	} else {
		answer.Text = summaryOf(question)
	}
	in := 0
	for _, message := range request.Messages {
		in += tokensOf(message.Content)
	}
	tokens := in + tokensOf(answer.text())
	if refusal := p.limits.consume(tokens, answer.Header); refusal != nil {
		fault = refusal
	}
	texts := make([]string, len(request.Messages))
	for i, message := range request.Messages {
		texts[i] = message.Content
	}
	if scripted := p.scriptFault(Request{
		Chat: true, Format: request.ResponseFormat.Type, Model: request.Model, Key: keyOf(r), Texts: texts, MaxTokens: max(request.MaxTokens, request.MaxCompletionTokens),
	}); scripted != nil {
		fault = scripted
	}
	if fault != nil {
		fault(&answer)
	}
	text := answer.text()
	if limit := max(request.MaxTokens, request.MaxCompletionTokens); limit > 0 && tokensOf(text) > limit {
		text, answer.Finish = text[:4*limit], "length"
	}
	body, err := json.Marshal(map[string]any{
		"object": "chat.completion",
		"model":  request.Model,
		"choices": []any{map[string]any{
			"index":         0,
			"finish_reason": answer.Finish,
			"message":       map[string]any{"role": "assistant", "content": text},
		}},
		"usage": map[string]any{
			"prompt_tokens": in, "completion_tokens": tokensOf(text), "total_tokens": in + tokensOf(text),
		},
	})
	if err != nil {
		p.writeError(w, http.StatusInternalServerError, err.Error())
		return
	}
	if p.wait(r.Context(), p.opts.Latency) != nil {
		panic(http.ErrAbortHandler) // the client has disconnected, or the provider is closing
	}
	if fault == nil || answer.Correct {
		p.mu.Lock()
		p.counts.ChatSummaries += max(1, len(answer.Summaries))
		p.counts.ChatInputTokens += in
		p.counts.ChatOutputTokens += tokensOf(text)
		p.mu.Unlock()
	}
	p.send(r.Context(), w, answer, body)
}

// ChatTokens returns max_tokens of every chat request so far.
func (p *Provider) ChatTokens() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.chatTokens)
}

// SectionSummary is an entry of an answer that summarises several sections.
type SectionSummary struct {
	Section string `json:"section"`
	Summary string `json:"summary"`
}

var sectionTag = regexp.MustCompile(`(?s)<section-([0-9a-f-]+)>\n(.*?)\n</section-([0-9a-f-]+)>`)

// summariesOf returns the summaries of the sections in a question.
func summariesOf(question string) []SectionSummary {
	summaries := []SectionSummary{}
	for _, section := range sectionTag.FindAllStringSubmatch(question, -1) {
		summaries = append(summaries, SectionSummary{section[1], summaryOf(section[2])})
	}
	return summaries
}

// text returns the text of the answer: Text, followed by Summaries as JSON if there are any.
func (a *Answer) text() string {
	if a.Summaries == nil {
		return a.Text
	}
	list, _ := json.Marshal(map[string]any{"summaries": a.Summaries})
	return a.Text + string(list)
}

// summaryOf returns the summary of a question: its hash and its first words.
func summaryOf(question string) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(question))
	words := strings.Fields(question)
	return fmt.Sprintf("Summary %08x: %s", hash.Sum32(), strings.Join(words[:min(len(words), 12)], " "))
}
