package fakeprovider

import (
	"net/http"
	"time"
)

// Request is the input of a Script: an embedding request or a chat request.
type Request struct {
	Chat      bool
	Model     string
	Key       string   // bearer token, or the value of the header api-key
	Texts     []string // texts to embed, or contents of the messages
	Encoding  string   // encoding_format; "" if the request has none
	MaxTokens int      // max_tokens or max_completion_tokens of a chat request

	// Dimensions is the requested length of vectors; 0 if the request has none.
	Dimensions int

	Format string // type of response_format; "" if the request has none
}

// Script returns the fault of a request, or nil. The provider calls it for every request, before it
// considers any other fault. It must be safe for concurrent use.
type Script func(Request) Fault

// SetScript sets the script for all following requests; nil for none.
func (p *Provider) SetScript(script Script) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = script
}

// scriptFault returns the script's fault for a request, or nil.
func (p *Provider) scriptFault(request Request) Fault {
	p.mu.Lock()
	script := p.script
	p.mu.Unlock()
	if script == nil {
		return nil
	}
	return script(request)
}

func keyOf(r *http.Request) string {
	const bearer = "Bearer "
	if h := r.Header.Get("Authorization"); len(h) > len(bearer) {
		return h[len(bearer):]
	}
	return r.Header.Get("Api-Key")
}

// StatusWithBody answers with a status, a body sent as it is, and headers given as pairs of name
// and value.
func StatusWithBody(status int, body string, headers ...string) Fault {
	return func(a *Answer) {
		Status(status, "", headers...)(a)
		a.Raw, a.NoBody = body, body == ""
	}
}

// WithHeaders adds headers, given as pairs of name and value, to a correct answer.
func WithHeaders(headers ...string) Fault {
	return func(a *Answer) {
		for i := 0; i+1 < len(headers); i += 2 {
			a.Header.Set(headers[i], headers[i+1])
		}
		a.Correct = true
	}
}

// Slow sends a correct answer after a delay.
func Slow(d time.Duration) Fault {
	return func(a *Answer) { a.Delay, a.Correct = d, true }
}

// Scale multiplies every number of every vector by factor, which does not change its direction.
func Scale(factor float32) Fault {
	return func(a *Answer) {
		for _, d := range a.Vectors {
			for i := range d.Vector {
				d.Vector[i] *= factor
			}
		}
		a.Correct = true
	}
}

// ChatText answers a chat request with the given text. The answer counts as correct.
func ChatText(text string) Fault {
	return func(a *Answer) { a.Text, a.Summaries, a.Correct = text, nil, true }
}
