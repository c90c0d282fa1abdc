package llm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sashabaranov/go-openai"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// maxNumberBytes bounds the length of one number of a vector written as text, with a margin.
const maxNumberBytes = 32

// Embed returns one vector for each text, in order. Vectors have model.Dimensions finite numbers,
// not all zero, or any dimensions of the model if model.Dimensions is 0; see checkAndScale. Embed
// sends one request, or none if there are no texts. If the vectors have other dimensions, the error
// is fault.Misconfigured with a *provider.DimensionsError. If only some of the vectors are invalid,
// the error is fault.InputRejected with a *provider.InvalidVectorsError, and the valid vectors are
// returned with it, with nil for the invalid ones.
//
// fault.InputRejected says that the model does not accept these texts although it answers other
// requests: it answers 400, 413 or 422 about them, returns no valid vectors, or fails on them
// repeatedly (5xx, no response). It is fault.InputTooLong if the provider says that one text, or
// all together, are too long. Several texts may be accepted in smaller requests: halve them. A
// single text is not accepted in any request. Neither error counts for the breaker or holds the
// model, and neither is about the configuration or the availability of the provider: those are
// fault.Misconfigured, Unavailable and RateLimited, after which only waiting helps.
func (p *OpenAI) Embed(ctx context.Context, model document.Model, texts []string) ([][]float32, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	bytes := 0
	for _, text := range texts {
		bytes += len(text)
	}
	var vectors [][]float32
	err := p.call(ctx, request{
		operation: opEmbed,
		model:     model.Name,
		texts:     texts,
		bytes:     bytes,
		send: func(ctx context.Context, ex *exchange) (err error) {
			vectors, err = p.sendEmbeddings(ctx, ex, model, texts)
			return err
		},
		probe: func(ctx context.Context, ex *exchange) error {
			_, err := p.sendEmbeddings(ctx, ex, model, []string{provider.ProbeText})
			return err
		},
	})
	if err == nil {
		return vectors, nil
	}
	_, isInvalid := errors.AsType[*provider.InvalidVectorsError](err)
	_, wrongDimensions := errors.AsType[*provider.DimensionsError](err)
	if isInvalid {
		return vectors, fault.Wrap(fault.InputRejected, err, "%s", fault.As(err).Detail)
	}
	if wrongDimensions && len(texts) == 1 && texts[0] != provider.ProbeText {
		if refused := p.attributeWrongLength(ctx, model, fault.As(err)); refused != nil {
			return nil, refused
		}
	}
	if wrongDimensions { // the model answers, so it is not held: other collections may use the dimensions that it has
		return nil, fault.Wrap(fault.Misconfigured, err, "%s", fault.As(err).Detail)
	}
	return nil, err
}

// attributeWrongLength determines why the only vector of a response has other dimensions. If the
// model returns a right vector for a probe, the text is the cause: fault.InputRejected. Otherwise
// the model is the cause, and the result is nil. Any other error is why the cause cannot be
// determined.
func (p *OpenAI) attributeWrongLength(ctx context.Context, model document.Model, wrong *fault.Error) error {
	_, err := p.Embed(ctx, model, []string{provider.ProbeText})
	_, wrongDimensions := errors.AsType[*provider.DimensionsError](err)
	switch {
	case err == nil:
		return fault.New(fault.InputRejected, "%s", wrong.Detail) // no DimensionsError, which is about the model
	case wrongDimensions:
		return nil
	default:
		return err
	}
}

// sendEmbeddings sends the request without the parameters that the model refuses.
func (p *OpenAI) sendEmbeddings(ctx context.Context, ex *exchange, model document.Model, texts []string) ([][]float32, error) {
	var answer vectorAnswer
	err := p.limiter(model.Name).params.sendWithout(func(without paramSet) (sent []string, err error) {
		request := openai.EmbeddingRequest{
			Model: openai.EmbeddingModel(model.Name),
			// The texts are sent in ExtraBody, because go-openai would encode Input twice and
			// decode it once.
			ExtraBody: map[string]any{"input": texts},
		}
		if !without[paramEncoding] {
			request.EncodingFormat = openai.EmbeddingEncodingFormatBase64
			sent = append(sent, paramEncoding)
		}
		switch {
		case model.Dimensions == 0:
		case p.dimensions == SendDimensionsAlways:
			request.Dimensions = model.Dimensions
		case p.dimensions != SendDimensionsNever && takesDimensions(model.Name) && !without[paramDimensions]:
			request.Dimensions = model.Dimensions
			sent = append(sent, paramDimensions)
		}
		answer = vectorAnswer{}
		ex.vectors = &answer
		ex.maxBytes = maxAnswer + int64(len(texts))*int64(cmp.Or(model.Dimensions, vector.MaxDimensions))*maxNumberBytes
		_, err = p.client.CreateEmbeddings(ctx, request)
		return sent, err
	})
	if p.dimensions == SendDimensionsAlways && refusedParameter(err, []string{paramDimensions}) != "" {
		return nil, fault.Wrap(fault.Misconfigured, err, "%s does not accept the parameter dimensions for model %s: set GRISTMILL_EMBEDDING_SEND_DIMENSIONS=never", p.host, model.Name)
	}
	if err != nil {
		return nil, err
	}
	return p.orderVectors(answer, model, len(texts))
}

// SendDimensions says whether the parameter dimensions is sent. It asks a model that can shorten
// its vectors for vectors of these dimensions.
type SendDimensions string

const (
	SendDimensionsAuto   SendDimensions = "auto" // to models that are known to accept it, unless they refuse it
	SendDimensionsAlways SendDimensions = "always"
	SendDimensionsNever  SendDimensions = "never"
)

// takesDimensions reports whether the model can shorten its vectors. Servers refuse the parameter
// for other models.
func takesDimensions(model string) bool {
	return strings.HasPrefix(model, "text-embedding-3")
}

// orderVectors checks the response and returns its vectors in the order of the texts. If some are
// invalid, it returns the valid ones with a *provider.InvalidVectorsError.
func (p *OpenAI) orderVectors(answer vectorAnswer, model document.Model, texts int) ([][]float32, error) {
	if len(answer.Data) != texts {
		return nil, p.badAnswerError(model, "%d vectors for %d texts", len(answer.Data), texts)
	}
	ordered := make([]*encodedVector, texts)
	for i, d := range answer.Data {
		switch {
		case d.Index < 0 || d.Index >= texts:
			return nil, p.badAnswerError(model, "a vector with index %d for %d texts", d.Index, texts)
		case ordered[d.Index] != nil:
			return nil, p.badAnswerError(model, "two vectors with index %d", d.Index)
		}
		ordered[d.Index] = &answer.Data[i].Embedding
	}
	vectors, wrong := make([][]float32, texts), map[int]string{}
	dimensions, other := model.Dimensions, 0
	for i, v := range ordered {
		n := len(v.numbers)
		if dimensions == 0 {
			dimensions = n
		}
		switch err := v.checkAndScale(); {
		case err != nil:
			wrong[i] = fmt.Sprintf("a vector with %v", err)
		case n == dimensions:
			vectors[i] = v.numbers
		case model.Dimensions == 0: // it is unknown which of them are right
			return nil, p.badAnswerError(model, "vectors of %d and of %d dimensions", dimensions, n)
		default:
			wrong[i] = fmt.Sprintf("a vector of %d dimensions, not %d", n, dimensions)
			other = n
		}
	}
	if len(wrong) == 0 {
		return vectors, nil
	}
	if len(wrong) == texts && other > 0 {
		bad := p.badAnswerError(model, "vectors of %d dimensions, not %d", other, dimensions)
		bad.Err = &provider.DimensionsError{Model: model, Got: other}
		return nil, bad
	}
	bad := &provider.InvalidVectorsError{Reasons: wrong}
	e := p.badAnswerError(model, "%s", bad.FirstReason())
	if len(wrong) < texts {
		e.Err = bad
	}
	return vectors, e
}

func (p *OpenAI) badAnswerError(model document.Model, format string, args ...any) *fault.Error {
	e := fault.New(fault.BadResponse, format, args...)
	e.Detail = "model " + model.Name + " at " + p.host + " returned " + e.Detail
	return e
}
