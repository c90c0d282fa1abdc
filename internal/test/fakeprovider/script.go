package fakeprovider

import (
	"net/http"
	"time"
)

// Request is what a Script looks at: a request for embeddings or for a chat
// completion.
type Request struct {
	Chat      bool
	Model     string
	Key       string   // bearer token, or that of the header api-key
	Texts     []string // to be embedded, or the contents of the messages
	Encoding  string   // encoding_format; empty when it was left out
	MaxTokens int      // of a chat completion, by either of the parameters' names

	// Dimensions is what was asked for; 0 when the parameter was left out.
	Dimensions int

	Format string // type of response_format; empty when it was left out
}

// Script decides what is wrong with the answer to a request, nil for nothing.
// It is called by several goroutines at once, for each request, before any
// other fault is looked for.
type Script func(Request) Fault

// SetScript has requests from now on follow the script; nil ends it.
func (p *Provider) SetScript(script Script) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = script
}

// scriptFault returns the fault that the script has for a request, or nil.
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

// StatusWithBody answers a status with a body that is sent as it is, and headers in pairs
// of name and value.
func StatusWithBody(status int, body string, headers ...string) Fault {
	return func(a *Answer) {
		Status(status, "", headers...)(a)
		a.Raw, a.NoBody = body, body == ""
	}
}

// WithHeaders adds headers, in pairs of name and value, to an answer that is right.
func WithHeaders(headers ...string) Fault {
	return func(a *Answer) {
		for i := 0; i+1 < len(headers); i += 2 {
			a.Header.Set(headers[i], headers[i+1])
		}
		a.Correct = true
	}
}

// Slow sends a right answer late.
func Slow(d time.Duration) Fault {
	return func(a *Answer) { a.Delay, a.Correct = d, true }
}

// Scale multiplies every number of every vector, which does not change where it
// points to.
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

// ChatText answers a chat completion with the given text. It counts as answered
// well.
func ChatText(text string) Fault {
	return func(a *Answer) { a.Text, a.Summaries, a.Correct = text, nil, true }
}
