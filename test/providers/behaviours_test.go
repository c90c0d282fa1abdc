package providers_test

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
)

// marker is contained in one text of one upload.
const marker = "unembeddable"

// behaviour is a behaviour of a provider. docs/providers.md has a row with the same name.
type behaviour struct {
	name            string
	env             []string
	script          func() fakeprovider.Script // returns a new script for each test
	endsOnceWaiting bool                       // the test ends the behaviour when a job waits because of it
}

// always returns a script with the same fault for every embedding request.
func always(fault fakeprovider.Fault) func() fakeprovider.Script {
	return onlyEmbeddings(func(fakeprovider.Request) fakeprovider.Fault { return fault })
}

// onlyEmbeddings returns a script that does not change chat requests.
func onlyEmbeddings(script fakeprovider.Script) func() fakeprovider.Script {
	return func() fakeprovider.Script {
		return func(r fakeprovider.Request) fakeprovider.Fault {
			if r.Chat {
				return nil
			}
			return script(r)
		}
	}
}

// onlyChat returns a script that does not change embedding requests.
func onlyChat(script fakeprovider.Script) func() fakeprovider.Script {
	return func() fakeprovider.Script {
		return func(r fakeprovider.Request) fakeprovider.Fault {
			if !r.Chat {
				return nil
			}
			return script(r)
		}
	}
}

// every returns a script with a fault for every nth embedding request.
func every(n int64, fault fakeprovider.Fault) func() fakeprovider.Script {
	return func() fakeprovider.Script {
		var seen atomic.Int64
		return onlyEmbeddings(func(fakeprovider.Request) fakeprovider.Fault {
			if seen.Add(1)%n == 0 {
				return fault
			}
			return nil
		})()
	}
}

// markedText returns a script with a fault for embedding requests that contain the marked text.
func markedText(fault fakeprovider.Fault) func() fakeprovider.Script {
	return onlyEmbeddings(func(r fakeprovider.Request) fakeprovider.Fault {
		if slices.ContainsFunc(r.Texts, hasMarker) {
			return fault
		}
		return nil
	})
}

// changedVector returns a script that changes the vector of the marked text.
func changedVector(change func([]float32) []float32) func() fakeprovider.Script {
	return onlyEmbeddings(func(r fakeprovider.Request) fakeprovider.Fault {
		i := slices.IndexFunc(r.Texts, hasMarker)
		if i < 0 {
			return nil
		}
		return func(a *fakeprovider.Answer) { a.Vectors[i].Vector = change(a.Vectors[i].Vector) }
	})
}

func hasMarker(text string) bool { return strings.Contains(text, marker) }

// faultWhen returns a script with a fault for the embedding requests for which holds returns true.
func faultWhen(holds func(fakeprovider.Request) bool, fault fakeprovider.Fault) func() fakeprovider.Script {
	return onlyEmbeddings(func(r fakeprovider.Request) fakeprovider.Fault {
		if holds(r) {
			return fault
		}
		return nil
	})
}

// textBytes returns the length of all texts in a request, in bytes.
func textBytes(r fakeprovider.Request) (n int) {
	for _, text := range r.Texts {
		n += len(text)
	}
	return n
}

var behaviours = []behaviour{
	{name: "slow: each answer takes 500 ms", script: always(fakeprovider.Slow(500 * time.Millisecond)), env: []string{"GRISTMILL_SEARCH_TIMEOUT=5s"}},
	{name: "500 to every third request", script: every(3, fakeprovider.Status(http.StatusInternalServerError, "oops"))},
	{name: "429 to every fifth request, `Retry-After: 1`", script: every(5, fakeprovider.RateLimit("1"))},
	{name: "`x-ratelimit-limit-tokens: 1`", script: always(fakeprovider.WithHeaders("X-RateLimit-Limit-Tokens", "1", "X-RateLimit-Remaining-Tokens", "1"))},
	{name: "floats although base64 was asked for", script: always(func(a *fakeprovider.Answer) { a.SendFloats, a.Correct = true, true })},
	{name: "negative usage", script: always(func(a *fakeprovider.Answer) { a.Usage, a.Correct = `{"prompt_tokens":-5,"total_tokens":-5}`, true })},
	{name: "numbers too large for half precision", script: always(fakeprovider.Scale(1e6))},
	{name: "vectors in another order", script: always(func(a *fakeprovider.Answer) { fakeprovider.WrongOrder(a); a.Correct = true })},
	{name: "400 to `encoding_format`", script: faultWhen(func(r fakeprovider.Request) bool { return r.Encoding != "" },
		fakeprovider.Status(http.StatusBadRequest, "Unsupported parameter: encoding_format"))},
	{name: "400 to `dimensions`", env: []string{"GRISTMILL_EMBEDDING_MODEL=text-embedding-3-small"},
		script: faultWhen(func(r fakeprovider.Request) bool { return r.Dimensions != 0 },
			fakeprovider.Status(http.StatusBadRequest, "This model does not support specifying dimensions."))},
	{name: "400 above 16 texts a request", script: faultWhen(func(r fakeprovider.Request) bool { return len(r.Texts) > 16 },
		fakeprovider.Status(http.StatusBadRequest, "batch size is larger than the maximum of 16"))},
	{name: "413 above 8 KB a request", script: faultWhen(func(r fakeprovider.Request) bool { return textBytes(r) > 8<<10 },
		fakeprovider.StatusWithBody(http.StatusRequestEntityTooLarge, "<html><title>413 Request Entity Too Large</title></html>", "Content-Type", "text/html"))},
	{name: "400 above 512 tokens a request", script: faultWhen(func(r fakeprovider.Request) bool { return textBytes(r)/4 > 512 },
		fakeprovider.Status(http.StatusBadRequest, "too many tokens in the request: the maximum is 512"))},
	{name: "vectors of a length that was not set", env: []string{"GRISTMILL_EMBEDDING_DIMENSIONS="}, script: always(nil)},

	{name: "503 with an error that is a string, for a while", endsOnceWaiting: true,
		script: always(fakeprovider.StatusWithBody(http.StatusServiceUnavailable, `{"error":"Model is loading"}`, "Content-Type", "application/json"))},
	{name: "503 with HTML, for a while", endsOnceWaiting: true,
		script: always(fakeprovider.StatusWithBody(http.StatusServiceUnavailable, "<html><title>503 Service Temporarily Unavailable</title></html>", "Content-Type", "text/html"))},
	{name: "500 without a body, for a while", endsOnceWaiting: true, script: always(fakeprovider.StatusWithBody(http.StatusInternalServerError, ""))},
	{name: "429 with `Retry-After` of three years, once", endsOnceWaiting: true, script: once(fakeprovider.RateLimit("94608000"))},
	{name: "200 with an error in it, for a while", endsOnceWaiting: true, script: always(fakeprovider.Raw(`{"error":{"message":"the engine is overloaded","type":"server_error"}}`))},
	{name: "200 with an HTML page, for a while", endsOnceWaiting: true, script: always(fakeprovider.Raw("<!doctype html><title>Sign in</title><p>Welcome"))},
	{name: "zeros in every vector, for a while", endsOnceWaiting: true, script: always(func(a *fakeprovider.Answer) {
		for i := range a.Vectors {
			clear(a.Vectors[i].Vector)
		}
	})},
	{name: "401 for a while", endsOnceWaiting: true, script: always(fakeprovider.Status(http.StatusUnauthorized, "Incorrect API key provided"))},
	{name: "402 for a while", endsOnceWaiting: true, script: always(fakeprovider.Status(http.StatusPaymentRequired, "Your balance is used up"))},
	{name: "403 for a while", endsOnceWaiting: true, script: always(fakeprovider.Status(http.StatusForbidden, "This key may not use this model"))},
	{name: "404 unknown model, for a while", endsOnceWaiting: true, script: always(fakeprovider.Status(http.StatusNotFound, "The model `fake` does not exist"))},
	{name: "no answer at all, for a while", endsOnceWaiting: true, script: always(fakeprovider.Hang)},

	{name: "400 to one text", script: markedText(fakeprovider.Status(http.StatusBadRequest, "invalid input"))},
	{name: "422 to one text", script: markedText(fakeprovider.StatusWithBody(http.StatusUnprocessableEntity, `{"detail":[{"msg":"string does not match","loc":["body","input"]}]}`))},
	{name: "500 to one text, always", script: markedText(fakeprovider.Status(http.StatusInternalServerError, "CUDA error"))},
	{name: "`null` in the vector of one text", script: onlyEmbeddings(func(r fakeprovider.Request) fakeprovider.Fault {
		i := slices.IndexFunc(r.Texts, hasMarker)
		if i < 0 {
			return nil
		}
		return func(a *fakeprovider.Answer) { a.SendFloats, a.NullVector = true, &i }
	})},
	{name: "zeros for one text", script: changedVector(func(vector []float32) []float32 { clear(vector); return vector })},
	{name: "a vector of another length for one text", script: changedVector(func(vector []float32) []float32 { return vector[1:] })},
	{name: "400 to one text that is too long", script: faultWhen(func(r fakeprovider.Request) bool {
		return slices.ContainsFunc(r.Texts, func(text string) bool { return hasMarker(text) && len(text) > 400 })
	}, fakeprovider.Status(http.StatusBadRequest, "This model's maximum context length is 100 tokens, however you requested more."))},

	{name: "chat: thoughts before the summary", script: onlyChat(func(fakeprovider.Request) fakeprovider.Fault {
		return func(a *fakeprovider.Answer) {
			a.Text, a.Correct = "<think>\nWhat is this about? I had better look.\n</think>\n\n"+a.Text, true
		}
	})},
	{name: "chat: nothing but thoughts", script: onlyChat(func(fakeprovider.Request) fakeprovider.Fault {
		return fakeprovider.ChatText("<think>\nWhat is this about? I had")
	})},
	{name: "chat: 400 to one section", script: onlyChat(func(r fakeprovider.Request) fakeprovider.Fault {
		if slices.ContainsFunc(r.Texts, hasMarker) {
			return fakeprovider.Status(http.StatusBadRequest, "the prompt was flagged by the content filter")
		}
		return nil
	})},
	{name: "chat: prose in place of JSON for several sections", script: onlyChat(func(r fakeprovider.Request) fakeprovider.Fault {
		if r.Format == "" {
			return nil
		}
		return fakeprovider.ChatText("The document is about a mill and its stones.")
	})},
	{name: "chat: half of the sections in an answer", script: onlyChat(func(fakeprovider.Request) fakeprovider.Fault {
		return func(a *fakeprovider.Answer) {
			a.Summaries, a.Correct = a.Summaries[:(len(a.Summaries)+1)/2], true
		}
	})},
	{name: "chat: 400 to `response_format`", script: onlyChat(func(r fakeprovider.Request) fakeprovider.Fault {
		if r.Format == "" {
			return nil
		}
		return fakeprovider.Status(http.StatusBadRequest, "response_format: Extra inputs are not permitted")
	})},
	{name: "chat: 401 for a while", endsOnceWaiting: true, script: onlyChat(func(fakeprovider.Request) fakeprovider.Fault {
		return fakeprovider.Status(http.StatusUnauthorized, "Incorrect API key provided")
	})},
}

// once returns a script with a fault for the first embedding request that is not a probe: the first
// with more than one text.
func once(fault fakeprovider.Fault) func() fakeprovider.Script {
	return func() fakeprovider.Script {
		var done atomic.Bool
		return onlyEmbeddings(func(r fakeprovider.Request) fakeprovider.Fault {
			if len(r.Texts) > 1 && done.CompareAndSwap(false, true) {
				return fault
			}
			return nil
		})()
	}
}
