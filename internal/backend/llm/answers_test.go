package llm_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// answer is a raw response of a server.
type answer struct {
	status int
	body   string
	header map[string]string
}

func (a answer) write(w http.ResponseWriter) {
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

func json200(body string) answer       { return answer{200, body, nil} }
func status(code int, b string) answer { return answer{code, b, nil} }
func page(code int, body string) answer {
	return answer{code, body, map[string]string{"Content-Type": "text/html"}}
}

// rateLimitedAnswer returns a response with status 200 and a Retry-After header.
func rateLimitedAnswer(body string) answer {
	return answer{200, body, map[string]string{"Retry-After": "30"}}
}

func packed(a answer, encoding string, pack func(io.Writer) io.WriteCloser) answer {
	var b bytes.Buffer
	w := pack(&b)
	_, _ = io.WriteString(w, a.body)
	_ = w.Close()
	return answer{a.status, b.String(), map[string]string{"Content-Encoding": encoding}}
}

func gzipped(a answer) answer {
	return packed(a, "gzip", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
}

// answers are responses of servers, with the expected kind of error. one is the kind for a request
// while other requests succeed; all is the kind for a request while all get this response.
var answers = []struct {
	name     string
	answer   answer
	one, all fault.Kind
	says     string
}{
	// The status counts, whatever the body contains.
	{"an error as a string", status(503, `{"error":"Model is loading"}`), fault.InputRejected, fault.Unavailable, "answered 503: Model is loading"},
	{"an error in an object", status(500, `{"error":{"message":{"text":"boom","reason":"out of memory"}}}`), fault.InputRejected, fault.Unavailable, "answered 500: out of memory"},
	{"a list of messages", status(500, `{"error":{"message":["one","two"]}}`), fault.InputRejected, fault.Unavailable, "answered 500: one; two"},
	{"a message alone", status(500, `{"object":"error","message":"boom","code":50001}`), fault.InputRejected, fault.Unavailable, "answered 500: boom"},
	{"a detail", status(502, `{"detail":"upstream is gone"}`), fault.InputRejected, fault.Unavailable, "upstream is gone"},
	{"a page", page(502, "<html><head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>"), fault.InputRejected, fault.Unavailable, "answered 502: 502 Bad Gateway"},
	{"a page without title", page(503, "<!DOCTYPE html><style>b{}</style><body>We&#39;ll be <b>right</b> back</body>"), fault.InputRejected, fault.Unavailable, "answered 503: We'll be right back"},
	{"nothing", status(500, ""), fault.InputRejected, fault.Unavailable, "answered 500"},
	{"null", status(500, "null"), fault.InputRejected, fault.Unavailable, "answered 500"},
	{"text", status(500, "Internal\nServer\x00\x1b[31m Error"), fault.InputRejected, fault.Unavailable, "answered 500: Internal Server [31m Error"},
	{"gzip", gzipped(status(503, `{"error":"Model is loading"}`)), fault.InputRejected, fault.Unavailable, "answered 503: Model is loading"},
	{"zlib", packed(status(503, `{"error":"loading"}`), "deflate", func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }), fault.InputRejected, fault.Unavailable, "loading"},
	{"deflate", packed(status(503, `{"error":"loading"}`), "deflate", func(w io.Writer) io.WriteCloser { f, _ := flate.NewWriter(w, 1); return f }), fault.InputRejected, fault.Unavailable, "loading"},
	{"broken gzip", answer{503, "no gzip", map[string]string{"Content-Encoding": "gzip"}}, fault.InputRejected, fault.Unavailable, "answered 503"},
	{"very much", status(500, strings.Repeat("x", 1<<20)), fault.InputRejected, fault.Unavailable, "answered 500: xxx"},
	{"deeply nested", status(500, strings.Repeat(`{"error":`, 5000)+`1`+strings.Repeat("}", 5000)), fault.InputRejected, fault.Unavailable, "answered 500"},

	// Errors about the texts.
	{"FastAPI", status(422, `{"detail":[{"loc":["body","input",3],"msg":"String should match pattern","type":"string_pattern_mismatch","input":"x"}]}`), fault.InputRejected, fault.Misconfigured, "body.input.3; String should match pattern"},
	{"OpenAI, long", status(400, `{"error":{"message":"This model's maximum context length is 8192 tokens, however you requested 10000 tokens (10000 in your prompt; 0 for the completion). Please reduce your prompt; or completion length.","type":"invalid_request_error","param":null,"code":null}}`), fault.InputTooLong, fault.Misconfigured, "8192"},
	{"OpenAI, long in all", status(400, `{"error":{"message":"Requested 350000 tokens, max 300000 tokens per request","type":"max_tokens_per_request","code":"max_tokens_per_request"}}`), fault.InputTooLong, fault.Misconfigured, "300000"},
	{"OpenAI, many", status(400, `{"error":{"message":"Invalid 'input': array too long. Expected an array with maximum length 2048, but got an array with length 3000 instead.","param":"input","code":"array_above_max_length"}}`), fault.InputRejected, fault.Misconfigured, "array too long"},
	{"Azure, many", status(400, `{"error":{"message":"Too many inputs. The max number of inputs is 16. We hope to increase the number of inputs per request soon."}}`), fault.InputRejected, fault.Misconfigured, "Too many inputs"},
	{"vLLM", status(400, `{"object":"error","message":"You passed 8193 input tokens and requested 0 output tokens. However, the model's context length is only 8192 tokens.","type":"BadRequestError","param":null,"code":400}`), fault.InputTooLong, fault.Misconfigured, "8193"},
	{"TEI, long", status(413, `{"error":"Input validation error: `+"`inputs`"+` must have less than 512 tokens. Given: 700","error_type":"Validation"}`), fault.InputTooLong, fault.Misconfigured, "512"},
	{"TEI, many", status(422, `{"error":"batch size 64 > maximum allowed batch size 32","error_type":"Validation"}`), fault.InputRejected, fault.Misconfigured, "batch size"},
	{"llama.cpp", status(500, `{"error":{"code":500,"message":"input (1024 tokens) is too large to process. increase the physical batch size (current batch size: 512)","type":"server_error"}}`), fault.InputTooLong, fault.Misconfigured, "too large"},
	{"llama.cpp, context", status(400, `{"error":{"code":400,"message":"the request exceeds the available context size. try increasing the context size or enable context shift","type":"exceed_context_size_error"}}`), fault.InputTooLong, fault.Misconfigured, "context"},
	{"llama-box", status(400, `{"error":{"code":400,"message":"Illegal param: prefill 744 tokens exceed n_ctx_per_seq"}}`), fault.InputTooLong, fault.Misconfigured, "744"},
	{"Ollama", status(400, `{"error":"the input length exceeds the context length"}`), fault.InputTooLong, fault.Misconfigured, "context length"},
	{"Mistral", status(400, `{"object":"error","message":"Input id 0 has 10000 tokens, exceeding max 8192 tokens.","code":3210}`), fault.InputTooLong, fault.Misconfigured, "8192"},
	{"Voyage", status(400, `{"detail":"Request to model 'voyage-3' failed. The max allowed tokens per submitted batch is 120000. Your batch has 150000 tokens after truncation. Please lower the number of tokens in the batch."}`), fault.InputTooLong, fault.Misconfigured, "120000"},
	{"Voyage, many", status(400, `{"detail":"The batch size limit is 128. Your batch size is 200."}`), fault.InputRejected, fault.Misconfigured, "128"},
	{"Cohere, many", status(400, `{"message":"invalid request: total number of texts must be at most 96 - received 128"}`), fault.InputRejected, fault.Misconfigured, "96"},
	{"Jina", status(422, `{"detail":"Single text cannot exceed 8194 tokens. 9000 tokens given."}`), fault.InputTooLong, fault.Misconfigured, "8194"},
	{"DashScope, many", status(400, `{"error":{"message":"<400> InternalError.Algo.InvalidParameter: Value error, batch size is invalid, it should not be larger than 10.: input.contents","code":"InvalidParameter"}}`), fault.InputRejected, fault.Misconfigured, "larger than 10"},
	{"DashScope, long", status(400, `{"error":{"message":"Range of input length should be [1, 8192]","code":"InvalidParameter"}}`), fault.InputTooLong, fault.Misconfigured, "8192"},
	{"NIM", status(400, `{"error":"Input length 600 exceeds maximum allowed token size 512"}`), fault.InputTooLong, fault.Misconfigured, "512"},
	{"sentence-transformers", status(500, `{"error":"The size of tensor a (600) must match the size of tensor b (512) at non-singleton dimension 1"}`), fault.InputTooLong, fault.Misconfigured, "tensor"},
	{"a proxy, long", page(413, "<html><title>413 Request Entity Too Large</title></html>"), fault.InputTooLong, fault.Misconfigured, "413"},
	{"more than a minute allows", status(429, `{"error":{"message":"Request too large for text-embedding-3-small on tokens per min (TPM): Limit 40000, Requested 51234.","type":"tokens","code":"rate_limit_exceeded"}}`), fault.InputTooLong, fault.Misconfigured, "40000"},

	// Errors about settings.
	{"401", status(401, `{"error":{"message":"Incorrect API key provided: `+secret+`"}}`), fault.InputRejected, fault.Misconfigured, "set GRISTMILL_OPENAI_API_KEY"},
	{"402", status(402, `{"error":"Insufficient balance"}`), fault.InputRejected, fault.Misconfigured, "no credit left"},
	{"403", status(403, `{"error":{"message":"Project does not have access to the model"}}`), fault.InputRejected, fault.Misconfigured, "check the permissions of the key in GRISTMILL_OPENAI_API_KEY"},
	{"404", status(404, "404 page not found"), fault.InputRejected, fault.Misconfigured, "set GRISTMILL_OPENAI_BASE_URL"},
	{"405", status(405, `{"detail":"Method Not Allowed"}`), fault.InputRejected, fault.Misconfigured, "set GRISTMILL_OPENAI_BASE_URL"},
	{"unknown model", status(404, `{"error":{"message":"The model 'x' does not exist","code":"model_not_found"}}`), fault.InputRejected, fault.Misconfigured, "GRISTMILL_EMBEDDING_MODEL"},
	{"unknown model, 400", status(400, `{"error":{"message":"Invalid model name passed","code":"model_not_found"}}`), fault.InputRejected, fault.Misconfigured, "GRISTMILL_EMBEDDING_MODEL"},
	{"not pulled", status(404, `{"error":"model \"x\" not found, try pulling it first"}`), fault.InputRejected, fault.Misconfigured, "GRISTMILL_EMBEDDING_MODEL"},
	{"no model loaded", status(400, `{"error":"No models loaded. Please load a model in the developer page."}`), fault.InputRejected, fault.Misconfigured, "GRISTMILL_EMBEDDING_MODEL"},
	{"no such path, 400", status(400, `{"error":"Unknown endpoint: POST /embeddings"}`), fault.InputRejected, fault.Misconfigured, "set GRISTMILL_OPENAI_BASE_URL"},
	{"no deployment", status(404, `{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}`), fault.InputRejected, fault.Misconfigured, "GRISTMILL_EMBEDDING_MODEL"},
	{"no embeddings", status(501, `{"error":{"message":"This server does not support embeddings. Start it with --embeddings","code":501}}`), fault.InputRejected, fault.Misconfigured, "GRISTMILL_EMBEDDING_MODEL"},
	{"no quota", status(429, `{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","code":"insufficient_quota"}}`), fault.InputRejected, fault.Misconfigured, "no credit left"},
	{"key that is not valid, 400", status(400, `[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]`), fault.InputRejected, fault.Misconfigured, "set GRISTMILL_OPENAI_API_KEY"},
	{"to another host", answer{302, "", map[string]string{"Location": "https://login.example.com/sso?token=" + secret}}, fault.InputRejected, fault.Misconfigured, "redirects to https://login.example.com/sso; set"},
	{"to another host, as it is", answer{308, "", map[string]string{"Location": "https://other.example.com/v1/embeddings"}}, fault.InputRejected, fault.Misconfigured, "https://other.example.com/v1/embeddings"},

	// A 200 that is not the response of a model.
	{"200, a page", page(200, "<html><title>Sign in to continue</title></html>"), fault.InputRejected, fault.Misconfigured, "answered with a web page instead of a model's response: Sign in to continue; set GRISTMILL_OPENAI_BASE_URL"},
	{"200, nothing", json200(""), fault.InputRejected, fault.Misconfigured, "answered with an empty body"},
	{"200, text", json200("Ollama is running"), fault.InputRejected, fault.Misconfigured, "not a JSON object"},
	{"200, another shape", json200(`{"embeddings":[[1,2]]}`), fault.InputRejected, fault.Misconfigured, "JSON of an unexpected shape"},
	{"200, vectors alone", json200(`[[1,2]]`), fault.InputRejected, fault.Misconfigured, "not a JSON object"},
	{"200, brotli", answer{200, "xyz", map[string]string{"Content-Encoding": "br"}}, fault.InputRejected, fault.Misconfigured, "content encoded as br"},

	// A 200 whose body is an error counts as that error.
	{"200, no such path", json200(`{"error":"Unexpected endpoint or method. (POST /embeddings). Returning 200 anyway"}`), fault.InputRejected, fault.Misconfigured, "set GRISTMILL_OPENAI_BASE_URL"},
	{"200, an error", json200(`{"error":"something went wrong"}`), fault.InputRejected, fault.Unavailable, "something went wrong"},
	{"200, an error with a code", json200(`{"error":{"message":"Provider returned error","code":502}}`), fault.InputRejected, fault.Unavailable, "Provider returned error"},
	{"200, loading", json200(`{"error":"Model is loading","estimated_time":20.0}`), fault.InputRejected, fault.Unavailable, "loading"},
	{"200, a limit", rateLimitedAnswer(`{"error":{"message":"Rate limit exceeded","code":429}}`), fault.RateLimited, fault.RateLimited, "Rate limit exceeded"},
	{"200, a limit in words", rateLimitedAnswer(`{"error":"Too many requests"}`), fault.RateLimited, fault.RateLimited, "Too many requests"},
	{"200, a key", json200(`{"error":{"message":"Invalid API key"}}`), fault.InputRejected, fault.Misconfigured, "set GRISTMILL_OPENAI_API_KEY"},
	{"200, gzip", gzipped(json200(`{"error":"the input length exceeds the context length"}`)), fault.InputTooLong, fault.Misconfigured, "context length"},
}

// Each response is sent for one text while other texts succeed, and for all texts.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range answers {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			one, _ := newScriptedProvider(t, func(w http.ResponseWriter, r recordedRequest) bool {
				if r.holds(poison) {
					test.answer.write(w)
				}
				return r.holds(poison)
			})
			all, _ := newScriptedProvider(t, func(w http.ResponseWriter, _ recordedRequest) bool {
				test.answer.write(w)
				return true
			})
			_, err := one.Embed(t.Context(), small, append(numberedTexts(1), poison))
			wantFailure(t, "one", err, test.one, test.says)
			_, err = all.Embed(t.Context(), small, numberedTexts(2))
			wantFailure(t, "all", err, test.all, test.says)
		})
	}
}

func wantFailure(t *testing.T, what string, err error, kind fault.Kind, says string) {
	t.Helper()
	e := fault.As(err)
	if e == nil || e.Kind != kind || !strings.Contains(e.Detail, says) {
		t.Fatalf("%s: got %v (%s), want %s: …%s…", what, err, fault.KindOf(err), kind, says)
	}
	if strings.Contains(err.Error(), secret) || strings.ContainsAny(e.Detail, "\x00\x1b\n") || len(e.Detail) > 1200 {
		t.Errorf("%s: %q contains a secret or control characters, or is too long", what, err)
	}
	if waits := kind == fault.Unavailable || kind == fault.Misconfigured || kind == fault.RateLimited; waits != (e.RetryAfter > 0) {
		t.Errorf("%s: RetryAfter is %s", what, e.RetryAfter)
	}
}

// The responses mean the same for summaries, but the errors name the settings for summaries.
func TestAnswersToSummaries(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		answer answer
		kind   fault.Kind
		says   string
	}{
		{status(503, `{"error":"Model is loading"}`), fault.Unavailable, "answered 503: Model is loading"},
		{status(401, ""), fault.Misconfigured, "set GRISTMILL_SUMMARY_API_KEY"},
		{status(404, `{"error":"model 'x' not found"}`), fault.Misconfigured, "GRISTMILL_SUMMARY_MODEL"},
		{page(200, "<html><title>Welcome</title>"), fault.Misconfigured, "set GRISTMILL_SUMMARY_BASE_URL"},
		{json200(`{"object":"list","data":[]}`), fault.Misconfigured, "JSON of an unexpected shape"},
		{rateLimitedAnswer(`{"error":{"message":"Rate limit exceeded","code":429}}`), fault.RateLimited, "Rate limit"},
		{gzipped(status(500, `{"error":"boom"}`)), fault.Unavailable, "boom"},
	} {
		o, _ := newScriptedProvider(t, func(w http.ResponseWriter, _ recordedRequest) bool {
			test.answer.write(w)
			return true
		})
		_, err := o.Summarise(t.Context(), "chat", "", []string{"a"})
		wantFailure(t, test.answer.body, err, test.kind, test.says)
	}
}

// Responses that are compressed without a request for it are decompressed.
func TestCompressedAnswers(t *testing.T) {
	t.Parallel()
	o, _ := newScriptedProvider(t, func(w http.ResponseWriter, r recordedRequest) bool {
		body := json200(vectors(len(r.Texts), strings.Repeat("0.5,", 63)+"0.5"))
		if strings.Contains(r.URL.Path, "chat") {
			body = json200(`{"choices":[{"message":{"content":"A summary."}}]}`)
		}
		gzipped(body).write(w)
		return true
	})
	wantEmbedded(t, o)
	if got, err := o.Summarise(t.Context(), "chat", "", []string{"a"}); err != nil || got != "A summary." {
		t.Errorf("got %q, %v", got, err)
	}
}

// A compressed response cannot exceed the size limit of responses.
func TestDecompressionBomb(t *testing.T) {
	t.Parallel()
	bomb := gzipped(json200(`{"data":[` + strings.Repeat(" ", 5<<20) + `]}`))
	o, _ := newScriptedProvider(t, func(w http.ResponseWriter, _ recordedRequest) bool {
		bomb.write(w)
		return true
	})
	_, err := o.Embed(t.Context(), small, numberedTexts(1))
	wantFailure(t, "bomb", err, fault.Misconfigured, "more than")
}

// A redirect within the host that keeps the method is followed. Frameworks send one to add a
// trailing slash.
func TestRedirectsWithinHost(t *testing.T) {
	t.Parallel()
	o, requests := newScriptedProvider(t, func(w http.ResponseWriter, r recordedRequest) bool {
		if strings.HasSuffix(r.URL.Path, "/") {
			return false
		}
		http.Redirect(w, r.Request, r.URL.Path+"/", http.StatusTemporaryRedirect)
		return true
	})
	wantEmbedded(t, o)
	if n := requests.Load(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
	loop, _ := newScriptedProvider(t, func(w http.ResponseWriter, r recordedRequest) bool {
		http.Redirect(w, r.Request, r.URL.Path, http.StatusTemporaryRedirect)
		return true
	})
	_, err := loop.Embed(t.Context(), small, numberedTexts(1))
	wantFailure(t, "redirect loop", err, fault.Misconfigured, "redirects to")
}

// Invalid counts of tokens affect neither the result nor the metrics.
func TestInvalidUsage(t *testing.T) {
	t.Parallel()
	for _, usage := range []string{`{"prompt_tokens":-5,"total_tokens":-5}`, `null`, `"12"`, `[]`, `{"prompt_tokens":"x","total_tokens":{}}`, `{"prompt_tokens":1e300,"total_tokens":1e300}`, `{"prompt_tokens":1.5,"total_tokens":1.5}`, `{"prompt_tokens":2000000000,"total_tokens":2000000000}`} {
		o, _ := newScriptedProvider(t, func(w http.ResponseWriter, r recordedRequest) bool {
			if strings.Contains(r.URL.Path, "chat") {
				fmt.Fprintf(w, `{"choices":[{"message":{"content":"A summary."}}],"usage":%s}`, usage)
			} else {
				fmt.Fprintf(w, `{"data":[{"index":0,"embedding":[%s0.5]}],"usage":%s}`, strings.Repeat("0.5,", 63), usage)
			}
			return true
		})
		for range 3 {
			if _, err := o.Embed(t.Context(), small, numberedTexts(1)); err != nil {
				t.Errorf("%s: %v", usage, err)
			}
			if _, err := o.Summarise(t.Context(), "chat", "", []string{"a"}); err != nil {
				t.Errorf("%s: %v", usage, err)
			}
		}
	}
}
