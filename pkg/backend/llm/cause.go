package llm

import (
	"net/http"
	"regexp"
	"strings"
)

// cause is why a provider answered something else than what was asked for.
type cause int

const (
	alien        cause = iota // it is no model that answers there
	noAPI                     // nothing is at this address, or it is not for this
	redirected                // the address is another one
	unknownModel              // the provider does not have the model
	wrongKey                  // the provider does not know the key
	forbidden                 // the key may not
	noCredit                  // nobody pays for it
	rateLimited               // too much was asked of it
	overloaded                // it fails, is overloaded, or not there yet
	tooLong                   // of the texts: one is, or all together are
	tooMany                   // of the texts: there are too many for one request
	wrongInput                // of the texts: anything else
)

const maxJudged = 4 << 10 // bytes looked at of what a provider says

// The words by which providers tell causes apart that share a status. They are
// matched in lower case.
var (
	// OpenAI, Azure, Mistral, Voyage, Cohere, Text Embeddings Inference, DashScope, Gemini.
	manyWords = regexp.MustCompile(`array too long|array_above_max_length|(maximum|max) (allowed )?(client )?batch[ _-]?size|batch[ _-]?size (limit|is invalid|exceeds)|` +
		`too many (inputs|texts|items|documents|strings)|number of (texts|inputs|items|documents)|` +
		`at most \d+ (items|texts|inputs|documents|requests)|\d+ requests can be in one batch`)

	// OpenAI, Azure, vLLM, SGLang, llama.cpp, Ollama, LM Studio, Text
	// Embeddings Inference, Infinity, Cohere, Jina, Voyage, Mistral, NIM, Gemini.
	longWords = regexp.MustCompile(`context[ _-]?(length|size|window)|n_ctx|string_above_max_length|max_tokens_per_request|` +
		`too large to process|request too large|too long|longer than|too many (input |prompt |total )*(tokens|characters)|` +
		`(tokens?|characters|length|input|prompt|text)\b.{0,80}\b(exceed\w*|greater than|over the|larger than) |exceed\w* .{0,60}\b(tokens?|characters|length)\b|` +
		`(less|fewer|more) than \d+ (tokens|characters)|at most \d+ (tokens|characters)|tokens? (limit|count is)|(max|maximum)( allowed)?( input| token| sequence)? ?(tokens|length)|` +
		`range of input length|input length|reduce (the|your|its) (length|prompt|input|number of tokens)|size of tensor a \(\d+\) must match`)

	modelWords = regexp.MustCompile(`model_not_found|model_not_supported|deploymentnotfound|unknown_model|invalid_model|no models? (is |are )?loaded|` +
		`\bmodels?\b.{0,120}(does not exist|do not exist|not found|not exist|is not available|not supported|is not a valid|unknown|not an embedding|does not support (embedding|chat))|` +
		`(unknown|no such|invalid|unsupported) model\b|unable to find model|deployment .{0,80}does not exist|does not support embedding|try pulling it`)

	// LM Studio answers so with status 200, others with 400.
	pathWords = regexp.MustCompile(`unexpected endpoint|(unknown|no such|invalid|unsupported|unrecognized|unrecognised) (endpoint|route|path|request url|url)\b|\b(endpoint|route|path) .{0,80}(not found|does not exist|not supported)|no route (for|matches|matched)`)

	keyWords    = regexp.MustCompile(`invalid_api_key|invalid_authentication|api[ _-]?key.{0,40}(not valid|invalid|incorrect|missing|expired|required|not found)|(invalid|incorrect|missing|wrong|expired|no) api[ _-]?key|authentication (failed|error|required)|unauthenticated|unauthorized`)
	creditWords = regexp.MustCompile(`insufficient_quota|billing_hard_limit|billing_not_active|insufficient[ _](balance|credits?|funds)|not enough (credits?|balance)|out of credits?|exceeded your current quota|payment required|account .{0,40}(deactivated|suspended|arrears)`)
	rateWords   = regexp.MustCompile(`rate[ _-]?limit|too many requests|requests per (minute|second|day)|tokens per min|throttl`)
	busyWords   = regexp.MustCompile(`\bloading\b|overloaded|currently unavailable|temporarily|try again later|please try again|warming up|starting up|no capacity|at capacity|server is busy|service unavailable|internal (server )?error|timed? ?out|not ready`)
)

// cause decides by the status where that says enough, and else by the words.
func (p *problem) cause() cause {
	said := strings.ToLower(truncate(p.message, maxJudged)) + " " + truncate(p.codes, maxJudged)
	switch status := p.status; {
	case p.alien != "":
		return alien
	case status >= 300 && status < 400:
		return redirected
	case status == http.StatusUnauthorized:
		return wrongKey
	case status == http.StatusPaymentRequired:
		return noCredit
	case status == http.StatusTooManyRequests:
		switch {
		case strings.Contains(said, "request too large"): // for the limit a minute, however long one waits
			return tooLong
		case creditWords.MatchString(said) && p.header.Get("Retry-After") == "":
			return noCredit
		}
		return rateLimited
	case status == http.StatusForbidden:
		if creditWords.MatchString(said) {
			return noCredit
		}
		return forbidden
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status == http.StatusGone, status == http.StatusNotImplemented,
		status == http.StatusProxyAuthRequired, status == http.StatusNetworkAuthenticationRequired:
		if modelWords.MatchString(said) {
			return unknownModel
		}
		return noAPI
	case status >= 500:
		// Some servers say so of the texts.
		if cause := inputCause(said); cause != wrongInput {
			return cause
		}
		return overloaded
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status == http.StatusLocked, status == http.StatusFailedDependency, status == http.StatusTooEarly:
		return overloaded
	default:
		return p.causeByWords(said)
	}
}

// causeByWords decides for 400, 413, 422 and their like, and for an error with
// status 200.
func (p *problem) causeByWords(said string) cause {
	switch cause := inputCause(said); {
	case keyWords.MatchString(said):
		return wrongKey
	case creditWords.MatchString(said):
		return noCredit
	case cause != wrongInput:
		return cause
	case modelWords.MatchString(said):
		return unknownModel
	case pathWords.MatchString(said):
		return noAPI
	case rateWords.MatchString(said):
		return rateLimited
	case busyWords.MatchString(said):
		return overloaded
	case p.status == http.StatusRequestEntityTooLarge:
		return tooLong
	case p.status == 0: // an error with status 200, of which nothing more is known
		return overloaded
	default:
		return wrongInput
	}
}

// inputCause tells apart what may be wrong with the texts.
func inputCause(said string) cause {
	switch {
	case manyWords.MatchString(said):
		return tooMany
	case longWords.MatchString(said):
		return tooLong
	default:
		return wrongInput
	}
}
