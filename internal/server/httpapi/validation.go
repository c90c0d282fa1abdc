package httpapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// maxJSONBytes is the maximum size of a JSON body.
const maxJSONBytes = 1 << 20

// jsonFormat reads and writes JSON bodies for huma.
var jsonFormat = huma.Format{Marshal: encodeJSON, Unmarshal: decodeJSON}

// encodeJSON writes v as JSON. It returns an error only if v cannot be encoded: a client that has
// disconnected is not an error.
func encodeJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, _ = w.Write(append(text, '\n'))
	return nil
}

// decodeJSON is json.Unmarshal with the position in its errors. It refuses bytes that are not UTF-8,
// which json.Unmarshal would replace, and NUL characters, which JSON allows and databases cannot
// store.
func decodeJSON(data []byte, v any) error {
	if err := document.CheckText(string(data)); err != nil {
		return err
	}
	err := json.Unmarshal(data, v)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("invalid JSON at byte %d: %w", syntax.Offset, err)
	}
	if err != nil {
		return err
	}
	if parsed, ok := v.(*any); ok {
		return checkStrings(*parsed)
	}
	return nil
}

// checkStrings checks the strings and names in a JSON value with document.CheckText.
func checkStrings(v any) error {
	switch v := v.(type) {
	case string:
		return document.CheckText(v)
	case []any:
		for _, item := range v {
			if err := checkStrings(item); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, item := range v {
			if err := cmp.Or(document.CheckText(name), checkStrings(item)); err != nil {
				return err
			}
		}
	}
	return nil
}

// statusOverrider is a huma.Context whose status can be changed after huma has set it.
type statusOverrider struct {
	humaContext
	status int // replaces huma's; 0 for none
}

type humaContext huma.Context

// SetStatus implements huma.Context.
func (o *statusOverrider) SetStatus(status int) {
	if o.status != 0 {
		status = o.status
	}
	o.humaContext.SetStatus(status)
}

// lacksContentType reports whether a request has a body and no Content-Type. Such a request is refused,
// because a page of another site can make a browser send it without a preflight request.
func lacksContentType(o *statusOverrider) bool {
	b, ok := o.BodyReader().(*requestBody)
	return o.Operation().RequestBody != nil && o.Header("Content-Type") == "" && !(ok && b.ended)
}

// convertHumaError turns errors that huma itself finds in a request into problems of the contract. In
// the contract an invalid request is 400, not 422.
func convertHumaError(ctx huma.Context, _ string, v any) (any, error) {
	found, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := newProblem(ctx.Context(), http.StatusBadRequest, fault.BadRequest, found.Detail)
	switch found.Status {
	case http.StatusRequestEntityTooLarge:
		p = newProblem(ctx.Context(), found.Status, fault.TooLarge, fmt.Sprintf("the request body is larger than %d bytes", maxJSONBytes))
	case http.StatusRequestTimeout:
		p = newProblem(ctx.Context(), found.Status, fault.RequestTimeout, "the request body is too slow: "+describeErrors(found))
	case http.StatusUnsupportedMediaType:
		p = newProblem(ctx.Context(), found.Status, fault.UnsupportedMediaType, "send the request body as application/json")
	default:
		p.Detail = describeErrors(found)
		for _, e := range found.Errors {
			if e.Location != "" {
				p.Errors = append(p.Errors, FieldError{Location: e.Location, Message: e.Message})
			}
		}
	}
	ctx.(*statusOverrider).status = p.Status
	ctx.SetHeader("Content-Type", problemMediaType)
	return p, nil
}

// describeErrors returns the first error and the number of the others.
func describeErrors(found *huma.ErrorModel) string {
	if len(found.Errors) == 0 {
		return found.Detail
	}
	first := found.Errors[0]
	detail := first.Message
	if first.Location != "" {
		detail = first.Location + ": " + first.Message
	}
	if more := len(found.Errors) - 1; more > 0 {
		detail += fmt.Sprintf(" (and %d more)", more)
	}
	return detail
}
