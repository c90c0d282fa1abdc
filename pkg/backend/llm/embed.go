package llm

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/sashabaranov/go-openai"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// maxNumber bounds one number of a vector written as text, with some slack.
const maxNumber = 32

// Embed returns one vector of model.Dimensions finite numbers, not all zero,
// for each text, in order; see fit. They have the length that the model has where
// that is 0. It sends one request, or none for no texts. An answer with anything
// wrong in it is fault.BadAnswer and yields nothing; where the length is wrong it
// is fault.Misconfigured, with a *document.LengthError.
//
// fault.Refused says that the model does not take these texts, although it
// answers other requests: it answers 400, 413 or 422 about them, or fails over
// them again and again (5xx, a hang, an answer that makes no sense). It is
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
			vectors, err = p.embedOnce(ctx, ex, model, texts)
			return err
		},
		probe: func(ctx context.Context, ex *exchange) error {
			_, err := p.embedOnce(ctx, ex, model, []string{ProbeText})
			return err
		},
	})
	if _, wrong := errors.AsType[*document.LengthError](err); wrong {
		// The model answers, so it is not held: others may want this length.
		return nil, fault.Wrap(fault.Misconfigured, err, "%s", fault.As(err).Detail)
	}
	if err != nil {
		return nil, err
	}
	return vectors, nil
}

// embedOnce sends the request without the parameters that the model refuses.
func (p *OpenAI) embedOnce(ctx context.Context, ex *exchange, model document.Model, texts []string) ([][]float32, error) {
	var answer vectorAnswer
	err := p.lane(model.Name).params.send(func(without set) (sent []string, err error) {
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
		case p.dimensions == Always:
			request.Dimensions = model.Dimensions
		case p.dimensions != Never && takesDimensions(model.Name) && !without[paramDimensions]:
			request.Dimensions = model.Dimensions
			sent = append(sent, paramDimensions)
		}
		answer = vectorAnswer{}
		ex.vectors = &answer
		ex.limit = maxAnswer + int64(len(texts))*int64(cmp.Or(model.Dimensions, document.MaxDimensions))*maxNumber
		_, err = p.client.CreateEmbeddings(ctx, request)
		return sent, err
	})
	if p.dimensions == Always && refusedParameter(err, []string{paramDimensions}) != "" {
		return nil, fault.Wrap(fault.Misconfigured, err, "%s does not take the parameter dimensions for model %s: set GRISTMILL_EMBEDDING_SEND_DIMENSIONS=never", p.host, model.Name)
	}
	if err != nil {
		return nil, err
	}
	return p.inOrder(answer, model, len(texts))
}

// SendDimensions says whether the parameter dimensions is sent, by which a
// model that can be shortened is asked for vectors of a length.
type SendDimensions string

const (
	Auto   SendDimensions = "auto" // to models that are known to take it, unless they refuse it
	Always SendDimensions = "always"
	Never  SendDimensions = "never"
)

// takesDimensions reports whether the model can be asked for shorter vectors.
// Servers refuse the parameter for models that cannot.
func takesDimensions(model string) bool {
	return strings.HasPrefix(model, "text-embedding-3")
}

// inOrder checks the answer and returns its vectors in the order of the texts.
func (p *OpenAI) inOrder(answer vectorAnswer, model document.Model, texts int) ([][]float32, error) {
	if len(answer.Data) != texts {
		return nil, p.badAnswer(model, "%d vectors for %d texts", len(answer.Data), texts)
	}
	vectors := make([][]float32, texts)
	length := model.Dimensions
	for _, d := range answer.Data {
		switch {
		case d.Index < 0 || d.Index >= texts:
			return nil, p.badAnswer(model, "a vector with index %d for %d texts", d.Index, texts)
		case vectors[d.Index] != nil:
			return nil, p.badAnswer(model, "two vectors with index %d", d.Index)
		case len(d.Embedding) == 0:
			return nil, p.badAnswer(model, "an empty vector for text %d", d.Index)
		case length == 0:
			length = len(d.Embedding)
		case len(d.Embedding) != length && model.Dimensions == 0:
			return nil, p.badAnswer(model, "vectors of %d and of %d dimensions", length, len(d.Embedding))
		case len(d.Embedding) != length:
			bad := p.badAnswer(model, "vectors of %d dimensions, not %d", len(d.Embedding), length)
			bad.Err = &document.LengthError{Model: model, Got: len(d.Embedding)}
			return nil, bad
		}
		if err := d.Embedding.fit(); err != nil {
			return nil, p.badAnswer(model, "a vector for text %d with %v", d.Index, err)
		}
		vectors[d.Index] = d.Embedding
	}
	return vectors, nil
}

func (p *OpenAI) badAnswer(model document.Model, format string, args ...any) *fault.Error {
	e := fault.New(fault.BadAnswer, format, args...)
	e.Detail = "model " + model.Name + " at " + p.host + " answered " + e.Detail
	return e
}
