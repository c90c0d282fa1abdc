package llm

import (
	"net/http"
	"regexp"
	"strings"
)

// cause is why a provider answered something else than what was asked for.
type cause int

const (
	causeNotAModel    cause = iota // it is no model that answers there
	causeNoAPI                     // nothing is at this address, or it is not for this
	causeRedirected                // the address is another one
	causeUnknownModel              // the provider does not have the model
	causeWrongKey                  // the provider does not know the key
	causeForbidden                 // the key may not
	causeNoCredit                  // nobody pays for it
	causeRateLimited               // too much was asked of it
	causeOverloaded                // it fails, is overloaded, or not there yet
	causeTooLong                   // of the texts: one is, or all together are
	causeTooMany                   // of the texts: there are too many for one request
	causeWrongInput                // of the texts: anything else
)

const maxClassifiedBytes = 4 << 10 // bytes looked at of what a provider says

// The words by which providers tell causes apart that share a status. They are
// matched in lower case.
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

	// LM Studio answers so with status 200, others with 400.
	unknownPathPattern = regexp.MustCompile(`unexpected endpoint|(unknown|no such|invalid|unsupported|unrecognized|unrecognised) (endpoint|route|path|request url|url)\b|\b(endpoint|route|path) .{0,80}(not found|does not exist|not supported)|no route (for|matches|matched)`)

	wrongKeyPattern   = regexp.MustCompile(`invalid_api_key|invalid_authentication|api[ _-]?key.{0,40}(not valid|invalid|incorrect|missing|expired|required|not found)|(invalid|incorrect|missing|wrong|expired|no) api[ _-]?key|authentication (failed|error|required)|unauthenticated|unauthorized`)
	noCreditPattern   = regexp.MustCompile(`insufficient_quota|billing_hard_limit|billing_not_active|insufficient[ _](balance|credits?|funds)|not enough (credits?|balance)|out of credits?|exceeded your current quota|payment required|account .{0,40}(deactivated|suspended|arrears)`)
	rateLimitPattern  = regexp.MustCompile(`rate[ _-]?limit|too many requests|requests per (minute|second|day)|tokens per min|throttl`)
	overloadedPattern = regexp.MustCompile(`\bloading\b|overloaded|currently unavailable|temporarily|try again later|please try again|warming up|starting up|no capacity|at capacity|server is busy|service unavailable|internal (server )?error|timed? ?out|not ready`)
)

// cause decides by the status where that says enough, and else by the words.
func (p *errorResponse) cause() cause {
	said := strings.ToLower(truncate(p.message, maxClassifiedBytes)) + " " + truncate(p.codes, maxClassifiedBytes)
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
		case strings.Contains(said, "request too large"): // for the limit a minute, however long one waits
			return causeTooLong
		case noCreditPattern.MatchString(said) && p.header.Get("Retry-After") == "":
			return causeNoCredit
		}
		return causeRateLimited
	case status == http.StatusForbidden:
		if noCreditPattern.MatchString(said) {
			return causeNoCredit
		}
		return causeForbidden
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status == http.StatusGone, status == http.StatusNotImplemented,
		status == http.StatusProxyAuthRequired, status == http.StatusNetworkAuthenticationRequired:
		if unknownModelPattern.MatchString(said) {
			return causeUnknownModel
		}
		return causeNoAPI
	case status >= 500:
		// Some servers say so of the texts.
		if cause := inputCause(said); cause != causeWrongInput {
			return cause
		}
		return causeOverloaded
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status == http.StatusLocked, status == http.StatusFailedDependency, status == http.StatusTooEarly:
		return causeOverloaded
	default:
		return p.causeByMessage(said)
	}
}

// causeByMessage decides for 400, 413, 422 and their like, and for an error with
// status 200.
func (p *errorResponse) causeByMessage(said string) cause {
	switch cause := inputCause(said); {
	case wrongKeyPattern.MatchString(said):
		return causeWrongKey
	case noCreditPattern.MatchString(said):
		return causeNoCredit
	case cause != causeWrongInput:
		return cause
	case unknownModelPattern.MatchString(said):
		return causeUnknownModel
	case unknownPathPattern.MatchString(said):
		return causeNoAPI
	case rateLimitPattern.MatchString(said):
		return causeRateLimited
	case overloadedPattern.MatchString(said):
		return causeOverloaded
	case p.status == http.StatusRequestEntityTooLarge:
		return causeTooLong
	case p.status == 0: // an error with status 200, of which nothing more is known
		return causeOverloaded
	default:
		return causeWrongInput
	}
}

// inputCause tells apart what may be wrong with the texts.
func inputCause(said string) cause {
	switch {
	case tooManyPattern.MatchString(said):
		return causeTooMany
	case tooLongPattern.MatchString(said):
		return causeTooLong
	default:
		return causeWrongInput
	}
}
