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

// maxNumberBytes bounds one number of a vector written as text, with some slack.
const maxNumberBytes = 32

// Embed returns one vector of model.Dimensions finite numbers, not all zero,
// for each text, in order; see fit. They have the length that the model has where
// that is 0. It sends one request, or none for no texts. An answer of another
// length is fault.Misconfigured, with a *document.LengthError. Where only some of
// the vectors are wrong, it is fault.Refused with a *document.VectorsError; the
// others are returned beside it, with nil in the place of those.
//
// fault.Refused says that the model does not take these texts, although it
// answers other requests: it answers 400, 413 or 422 about them, or what is no
// answer, or fails over them again and again (5xx, a hang). It is
// fault.TooLong where the provider says that the length of one, or of all
// together, is why. Of several texts smaller requests may be taken: halve them.
// A single one is taken by no request as it is. Neither counts for the breaker
// or has the model held, and neither is ever about how the provider is
// configured or whether it is up: these are fault.Misconfigured, Unavailable
// and RateLimited, after which nothing but waiting helps.
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
	_, some := errors.AsType[*provider.InvalidVectorsError](err)
	_, length := errors.AsType[*provider.DimensionsError](err)
	if some {
		return vectors, fault.Wrap(fault.InputRejected, err, "%s", fault.As(err).Detail)
	}
	if length && len(texts) == 1 && texts[0] != provider.ProbeText {
		if refused := p.attributeWrongLength(ctx, model, fault.As(err)); refused != nil {
			return nil, refused
		}
	}
	if length { // the model answers, so it is not held: others may want this length
		return nil, fault.Wrap(fault.Misconfigured, err, "%s", fault.As(err).Detail)
	}
	return nil, err
}

// attributeWrongLength finds out whose fault it is that the one vector of an answer has
// another length: the text's, which is fault.Refused, where the model answers a
// probe with one that is right, and else the model's, which is nil. Another error
// is why that cannot be known.
func (p *OpenAI) attributeWrongLength(ctx context.Context, model document.Model, wrong *fault.Error) error {
	_, err := p.Embed(ctx, model, []string{provider.ProbeText})
	_, length := errors.AsType[*provider.DimensionsError](err)
	switch {
	case err == nil:
		return fault.New(fault.InputRejected, "%s", wrong.Detail) // and no LengthError, which is the model's
	case length:
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
			// Input, by a way that does not have go-openai encode it twice and
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
		return nil, fault.Wrap(fault.Misconfigured, err, "%s does not take the parameter dimensions for model %s: set GRISTMILL_EMBEDDING_SEND_DIMENSIONS=never", p.host, model.Name)
	}
	if err != nil {
		return nil, err
	}
	return p.orderVectors(answer, model, len(texts))
}

// SendDimensions says whether the parameter dimensions is sent, by which a
// model that can be shortened is asked for vectors of a length.
type SendDimensions string

const (
	SendDimensionsAuto   SendDimensions = "auto" // to models that are known to take it, unless they refuse it
	SendDimensionsAlways SendDimensions = "always"
	SendDimensionsNever  SendDimensions = "never"
)

// takesDimensions reports whether the model can be asked for shorter vectors.
// Servers refuse the parameter for models that cannot.
func takesDimensions(model string) bool {
	return strings.HasPrefix(model, "text-embedding-3")
}

// orderVectors checks the answer and returns its vectors in the order of the texts.
// Those that are right are returned beside a *document.VectorsError.
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
	length, other := model.Dimensions, 0
	for i, v := range ordered {
		n := len(v.numbers)
		if length == 0 {
			length = n
		}
		switch err := v.checkAndScale(); {
		case err != nil:
			wrong[i] = fmt.Sprintf("a vector with %v", err)
		case n == length:
			vectors[i] = v.numbers
		case model.Dimensions == 0: // nobody knows which of them is right
			return nil, p.badAnswerError(model, "vectors of %d and of %d dimensions", length, n)
		default:
			wrong[i] = fmt.Sprintf("a vector of %d dimensions, not %d", n, length)
			other = n
		}
	}
	if len(wrong) == 0 {
		return vectors, nil
	}
	if len(wrong) == texts && other > 0 {
		bad := p.badAnswerError(model, "vectors of %d dimensions, not %d", other, length)
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
	e.Detail = "model " + model.Name + " at " + p.host + " answered " + e.Detail
	return e
}
