package llm

import (
	"errors"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync"
)

// The parameters that some servers refuse.
const (
	paramEncoding            = "encoding_format"
	paramDimensions          = "dimensions"
	paramTemperature         = "temperature"
	paramMaxTokens           = "max_tokens"
	paramMaxCompletionTokens = "max_completion_tokens"

	// The two kinds of response_format.
	paramSchema = "response_format of json_schema"
	paramObject = "response_format of json_object"
)

// paramPatterns are how servers name a parameter that they refuse.
var paramPatterns = map[string]*regexp.Regexp{
	paramEncoding:            regexp.MustCompile(`encoding[_ ]?format|base64`),
	paramDimensions:          regexp.MustCompile(`dimensions?\b|matryoshka`),
	paramTemperature:         regexp.MustCompile(`temperature`),
	paramMaxTokens:           regexp.MustCompile(`\bmax_tokens`),
	paramMaxCompletionTokens: regexp.MustCompile(`max_completion_tokens`),
	paramSchema:              responseFormatPattern,
	paramObject:              responseFormatPattern,
}

var responseFormatPattern = regexp.MustCompile(`response[_ ]?format|json[_ ]?(schema|object|mode)|structured output|guided|grammar|response_schema`)

type paramSet map[string]bool

// refusedParams are those that a model does without, since its server refuses
// them. The zero value is ready to use.
type refusedParams struct {
	mu    sync.Mutex
	names paramSet
}

// sendWithout has a request sent without the parameters that are known to be refused,
// and again without each that it is refused for. They are remembered once a
// request without them is answered. do returns which of them it has sent.
func (p *refusedParams) sendWithout(do func(without paramSet) (sent []string, err error)) error {
	p.mu.Lock()
	without := maps.Clone(p.names)
	p.mu.Unlock()
	if without == nil {
		without = paramSet{}
	}
	news := false
	for {
		sent, err := do(without)
		name := refusedParameter(err, sent)
		if name != "" {
			without[name], news = true, true
			continue
		}
		if err == nil && news {
			p.mu.Lock()
			if p.names == nil {
				p.names = paramSet{}
			}
			maps.Copy(p.names, without) // another request may have learnt more
			p.mu.Unlock()
		}
		return err
	}
}

// refusedParameter returns which of the sent parameters an error is about,
// empty for none.
func refusedParameter(err error, sent []string) string {
	problem, ok := errors.AsType[*errorResponse](err)
	if !ok || problem.status < 400 || problem.status == http.StatusUnauthorized || problem.status == http.StatusTooManyRequests {
		return ""
	}
	said := strings.ToLower(truncate(problem.message, maxClassifiedBytes)) + " " + problem.codes
	if inputCause(said) != causeWrongInput {
		return ""
	}
	for _, name := range sent {
		about, _, _ := strings.Cut(name, " ")
		if problem.param == about {
			return name
		}
	}
	// Where several are named the first is refused, and another is advised.
	first, at := "", len(said)
	for _, name := range sent {
		if found := paramPatterns[name].FindStringIndex(said); found != nil && found[0] < at {
			first, at = name, found[0]
		}
	}
	return first
}
