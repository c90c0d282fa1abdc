package llm

import (
	"errors"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync"
)

// Parameters that some servers refuse.
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

// paramPatterns match the names that servers use for a parameter that they refuse.
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

// refusedParams are the parameters that are not sent to a model because its server refuses them.
// The zero value is ready for use.
type refusedParams struct {
	mu    sync.Mutex
	names paramSet
}

// sendWithout sends a request without the parameters that are known to be refused, and sends it
// again without each parameter for which it is refused. The parameters are remembered when a
// request without them succeeds. do returns which of them it has sent.
func (p *refusedParams) sendWithout(do func(without paramSet) (sent []string, err error)) error {
	p.mu.Lock()
	without := maps.Clone(p.names)
	p.mu.Unlock()
	if without == nil {
		without = paramSet{}
	}
	changed := false
	for {
		sent, err := do(without)
		name := refusedParameter(err, sent)
		if name != "" {
			without[name], changed = true, true
			continue
		}
		if err == nil && changed {
			p.mu.Lock()
			if p.names == nil {
				p.names = paramSet{}
			}
			maps.Copy(p.names, without) // another request may have added more
			p.mu.Unlock()
		}
		return err
	}
}

// refusedParameter returns the sent parameter that an error is about, "" for none.
func refusedParameter(err error, sent []string) string {
	response, ok := errors.AsType[*errorResponse](err)
	if !ok || response.status < 400 || response.status == http.StatusUnauthorized || response.status == http.StatusTooManyRequests {
		return ""
	}
	text := strings.ToLower(truncate(response.message, maxClassifiedBytes)) + " " + response.codes
	if inputCause(text) != causeWrongInput {
		return ""
	}
	for _, name := range sent {
		about, _, _ := strings.Cut(name, " ")
		if response.param == about {
			return name
		}
	}
	// If several are named, the first is refused, and another is recommended.
	first, at := "", len(text)
	for _, name := range sent {
		if found := paramPatterns[name].FindStringIndex(text); found != nil && found[0] < at {
			first, at = name, found[0]
		}
	}
	return first
}
