package fakeprovider

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

func (p *Provider) serveEmbeddings(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.counts.EmbeddingRequests++
	fault := p.embeddingFaults.nextFault()
	p.mu.Unlock()

	var request struct {
		Model      string   `json:"model"`
		Input      []string `json:"input"`
		Encoding   string   `json:"encoding_format"`
		Dimensions int      `json:"dimensions"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		p.writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	if n := len(request.Input); n == 0 || n > p.opts.MaxTexts {
		p.writeError(w, http.StatusBadRequest, fmt.Sprintf("%d texts, want 1 to %d", n, p.opts.MaxTexts))
		return
	}
	if refusal := p.modelFault(request.Model); refusal != nil {
		fault = refusal
	}
	if scripted := p.scriptFault(Request{
		Model: request.Model, Key: keyOf(r), Texts: request.Input, Encoding: request.Encoding, Dimensions: request.Dimensions,
	}); scripted != nil {
		fault = scripted
	}
	if refusal := p.textFault(request.Input); refusal != nil {
		fault = refusal
	}
	fixed, known := p.opts.Models[request.Model]
	if !known && p.opts.Models != nil {
		p.writeModelNotFound(w, request.Model)
		return
	}
	dimensions := cmp.Or(fixed, request.Dimensions, p.opts.Dimensions)
	encoding := request.Encoding
	if p.opts.FloatsOnly {
		encoding = "float"
	}
	tokens := 0
	for _, text := range request.Input {
		tokens += tokensOf(text)
	}

	answer := Answer{Header: http.Header{}}
	if refusal := p.limits.consume(tokens, answer.Header); refusal != nil {
		fault = refusal
	}
	var body []byte
	if fault == nil && encoding == "base64" {
		body = p.base64Body(request.Input, dimensions, request.Model, tokens)
	} else {
		for i, text := range request.Input {
			answer.Vectors = append(answer.Vectors, IndexedVector{Index: i, Vector: p.vectors.floats(text, dimensions)})
		}
		if fault != nil {
			fault(&answer)
		}
		body = embeddingsBody(answer, encoding, request.Model, tokens)
	}
	if answer.ok() {
		p.countProcessed(len(request.Input))
		if p.simulateWork(r.Context(), len(request.Input)) != nil {
			panic(http.ErrAbortHandler) // the client has disconnected, or the provider is closing
		}
	}
	p.countAnswered(document.Model{Name: request.Model, Dimensions: dimensions}, request.Input, tokens, answer, fault)
	p.send(r.Context(), w, answer, body)
}

// base64Body returns an answer without faults. It does not create numbers, which would be slow.
func (p *Provider) base64Body(texts []string, dimensions int, model string, tokens int) []byte {
	b := make([]byte, 0, len(texts)*(dimensions*16/3+64)+256)
	b = append(b, `{"object":"list","data":[`...)
	for i, text := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"object":"embedding","index":`...)
		b = strconv.AppendInt(b, int64(i), 10)
		b = append(b, `,"embedding":"`...)
		b = p.vectors.appendBase64(b, text, dimensions)
		b = append(b, `"}`...)
	}
	return appendUsage(append(b, ']'), model, tokens)
}

func embeddingsBody(answer Answer, encoding, model string, tokens int) []byte {
	b := []byte(`{"object":"list","data":[`)
	for i, d := range answer.Vectors {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"object":"embedding","index":`...)
		b = strconv.AppendInt(b, int64(d.Index), 10)
		b = append(b, `,"embedding":`...)
		if encoding == "base64" && !answer.SendFloats {
			b = append(appendEncoded(append(b, '"'), d.Vector), '"')
		} else {
			b = append(b, '[')
			for j, x := range d.Vector {
				if j > 0 {
					b = append(b, ',')
				}
				if j == 0 && answer.NullVector != nil && *answer.NullVector == i {
					b = append(b, "null"...)
					continue
				}
				b = strconv.AppendFloat(b, float64(x), 'g', -1, 32)
			}
			b = append(b, ']')
		}
		b = append(b, '}')
	}
	if answer.Usage != "" {
		return fmt.Appendf(append(b, ']'), `,"model":%q,"usage":%s}`, model, answer.Usage)
	}
	return appendUsage(append(b, ']'), model, tokens)
}

func appendUsage(b []byte, model string, tokens int) []byte {
	return fmt.Appendf(b, `,"model":%q,"usage":{"prompt_tokens":%d,"total_tokens":%d}}`, model, tokens, tokens)
}
