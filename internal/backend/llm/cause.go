package llm

import (
	"net/http"
	"regexp"
	"strings"
)

// cause is the reason why a provider did not return what was requested.
type cause int

const (
	causeNotAModel    cause = iota // no model answers at this address
	causeNoAPI                     // the address has no API, or not the requested one
	causeRedirected                // the API has another address
	causeUnknownModel              // the provider does not have the model
	causeWrongKey                  // the provider does not accept the key
	causeForbidden                 // the key lacks a permission
	causeNoCredit                  // the account has no credit
	causeRateLimited               // too many requests or tokens
	causeOverloaded                // the provider fails, is overloaded or not ready
	causeTooLong                   // one text, or all together, are too long
	causeTooMany                   // too many texts in one request
	causeWrongInput                // anything else about the texts
)

const maxClassifiedBytes = 4 << 10 // bytes of a provider's message that are matched

// The patterns tell apart causes that share a status, by the words that providers use. They match
// lower-case text.
var (
	// OpenAI, Azure, Mistral, Voyage, Cohere, Text Embeddings Inference, DashScope, Gemini.
	tooManyPattern = regexp.MustCompile(`array too long|array_above_max_length|(maximum|max) (allowed )?(client )?batch[ _-]?size|batch[ _-]?size (limit|is invalid|exceeds)|` +
		`too many (inputs|texts|items|documents|strings)|number of (texts|inputs|items|documents)|` +
		`at most \d+ (items|texts|inputs|documents|requests)|\d+ requests can be in one batch`)

	// OpenAI, Azure, vLLM, SGLang, llama.cpp, Ollama, LM Studio, Text
	// Embeddings Inference, Infinity, Cohere, Jina, Voyage, Mistral, NIM, Gemini.
	tooLongPattern = regexp.MustCompile(`context[ _-]?(length|size|window)|n_ctx|string_above_max_length|max_tokens_per_request|` +
		`too large to process|request too large|too long|longer than|too many (input |prompt |total )*(tokens|characters)|` +
		`(tokens?|characters|length|input|prompt|text)\b.{0,80}\b(exceed\w*|greater than|over the|larger than) |exceed\w* .{0,60}\b(tokens?|characters|length)\b|` +
		`(less|fewer|more) than \d+ (tokens|characters)|at most \d+ (tokens|characters)|tokens? (limit|count is)|(max|maximum)( allowed)?( input| token| sequence)? ?(tokens|length)|` +
		`range of input length|input length|reduce (the|your|its) (length|prompt|input|number of tokens)|size of tensor a \(\d+\) must match`)

	unknownModelPattern = regexp.MustCompile(`model_not_found|model_not_supported|deploymentnotfound|unknown_model|invalid_model|no models? (is |are )?loaded|` +
		`\bmodels?\b.{0,120}(does not exist|do not exist|not found|not exist|is not available|not supported|is not a valid|unknown|not an embedding|does not support (embedding|chat))|` +
		`(unknown|no such|invalid|unsupported) model\b|unable to find model|deployment .{0,80}does not exist|does not support embedding|try pulling it`)

	// LM Studio answers like this with status 200, others with 400.
	unknownPathPattern = regexp.MustCompile(`unexpected endpoint|(unknown|no such|invalid|unsupported|unrecognized|unrecognised) (endpoint|route|path|request url|url)\b|\b(endpoint|route|path) .{0,80}(not found|does not exist|not supported)|no route (for|matches|matched)`)

	wrongKeyPattern   = regexp.MustCompile(`invalid_api_key|invalid_authentication|api[ _-]?key.{0,40}(not valid|invalid|incorrect|missing|expired|required|not found)|(invalid|incorrect|missing|wrong|expired|no) api[ _-]?key|authentication (failed|error|required)|unauthenticated|unauthorized`)
	noCreditPattern   = regexp.MustCompile(`insufficient_quota|billing_hard_limit|billing_not_active|insufficient[ _](balance|credits?|funds)|not enough (credits?|balance)|out of credits?|exceeded your current quota|payment required|account .{0,40}(deactivated|suspended|arrears)`)
	rateLimitPattern  = regexp.MustCompile(`rate[ _-]?limit|too many requests|requests per (minute|second|day)|tokens per min|throttl`)
	overloadedPattern = regexp.MustCompile(`\bloading\b|overloaded|currently unavailable|temporarily|try again later|please try again|warming up|starting up|no capacity|at capacity|server is busy|service unavailable|internal (server )?error|timed? ?out|not ready`)
)

// cause determines the cause by the status or, where the status is not enough, by the words.
func (p *errorResponse) cause() cause {
	text := strings.ToLower(truncate(p.message, maxClassifiedBytes)) + " " + truncate(p.codes, maxClassifiedBytes)
	switch status := p.status; {
	case p.notModelReason != "":
		return causeNotAModel
	case status >= 300 && status < 400:
		return causeRedirected
	case status == http.StatusUnauthorized:
		return causeWrongKey
	case status == http.StatusPaymentRequired:
		return causeNoCredit
	case status == http.StatusTooManyRequests:
		switch {
		case strings.Contains(text, "request too large"): // larger than the limit per minute, so waiting does not help
			return causeTooLong
		case noCreditPattern.MatchString(text) && p.header.Get("Retry-After") == "":
			return causeNoCredit
		}
		return causeRateLimited
	case status == http.StatusForbidden:
		if noCreditPattern.MatchString(text) {
			return causeNoCredit
		}
		return causeForbidden
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status == http.StatusGone, status == http.StatusNotImplemented,
		status == http.StatusProxyAuthRequired, status == http.StatusNetworkAuthenticationRequired:
		if unknownModelPattern.MatchString(text) {
			return causeUnknownModel
		}
		return causeNoAPI
	case status >= 500:
		// Some servers use 5xx for errors about the texts.
		if cause := inputCause(text); cause != causeWrongInput {
			return cause
		}
		return causeOverloaded
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status == http.StatusLocked, status == http.StatusFailedDependency, status == http.StatusTooEarly:
		return causeOverloaded
	default:
		return p.causeByMessage(text)
	}
}

// causeByMessage determines the cause by the words, for 400, 413, 422 and similar statuses, and for
// an error with status 200.
func (p *errorResponse) causeByMessage(text string) cause {
	switch cause := inputCause(text); {
	case wrongKeyPattern.MatchString(text):
		return causeWrongKey
	case noCreditPattern.MatchString(text):
		return causeNoCredit
	case cause != causeWrongInput:
		return cause
	case unknownModelPattern.MatchString(text):
		return causeUnknownModel
	case unknownPathPattern.MatchString(text):
		return causeNoAPI
	case rateLimitPattern.MatchString(text):
		return causeRateLimited
	case overloadedPattern.MatchString(text):
		return causeOverloaded
	case p.status == http.StatusRequestEntityTooLarge:
		return causeTooLong
	case p.status == 0: // an error with status 200 of unknown cause
		return causeOverloaded
	default:
		return causeWrongInput
	}
}

// inputCause tells apart the causes that are about the texts.
func inputCause(text string) cause {
	switch {
	case tooManyPattern.MatchString(text):
		return causeTooMany
	case tooLongPattern.MatchString(text):
		return causeTooLong
	default:
		return causeWrongInput
	}
}
