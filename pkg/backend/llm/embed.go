package llm

import (
	"context"
	"strings"

	"github.com/sashabaranov/go-openai"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// maxNumber bounds one number of a vector written as text, with some slack.
const maxNumber = 32

// Embed returns one vector of model.Dimensions finite numbers, not all zero,
// for each text, in order. It sends one request, or none for no texts. An
// answer with anything wrong in it is fault.BadAnswer and yields nothing.
func (p *OpenAI) Embed(ctx context.Context, model document.Model, texts []string) ([][]float32, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	request := openai.EmbeddingRequest{
		Model:          openai.EmbeddingModel(model.Name),
		EncodingFormat: openai.EmbeddingEncodingFormatBase64,
		// Input, by a way that does not have go-openai encode it twice and
		// decode it once.
		ExtraBody: map[string]any{"input": texts},
	}
	if takesDimensions(model.Name) {
		request.Dimensions = model.Dimensions
	}

	bytes := 0
	for _, text := range texts {
		bytes += len(text)
	}
	var vectors [][]float32
	err := p.call(ctx, opEmbed, model.Name, bytes, func(ctx context.Context, ex *exchange) error {
		var answer vectorAnswer
		ex.vectors = &answer
		ex.limit = maxAnswer + int64(len(texts))*int64(model.Dimensions)*maxNumber
		if _, err := p.client.CreateEmbeddings(ctx, request); err != nil {
			return err
		}
		ex.tokens = answer.Usage.PromptTokens
		var err error
		vectors, err = p.inOrder(answer, model, len(texts))
		return err
	})
	if err != nil {
		return nil, err
	}
	return vectors, nil
}

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
	for _, d := range answer.Data {
		switch {
		case d.Index < 0 || d.Index >= texts:
			return nil, p.badAnswer(model, "a vector with index %d for %d texts", d.Index, texts)
		case vectors[d.Index] != nil:
			return nil, p.badAnswer(model, "two vectors with index %d", d.Index)
		case len(d.Embedding) == 0:
			return nil, p.badAnswer(model, "an empty vector for text %d", d.Index)
		case len(d.Embedding) != model.Dimensions:
			return nil, p.badAnswer(model, "%[1]d dimensions, want %[2]d; set GRISTMILL_EMBEDDING_DIMENSIONS=%[1]d, or have a reindex make it --dimensions %[1]d",
				len(d.Embedding), model.Dimensions)
		}
		if err := d.Embedding.check(); err != nil {
			return nil, p.badAnswer(model, "a vector for text %d with %v", d.Index, err)
		}
		vectors[d.Index] = d.Embedding
	}
	return vectors, nil
}

func (p *OpenAI) badAnswer(model document.Model, format string, args ...any) error {
	e := fault.New(fault.BadAnswer, format, args...)
	e.Detail = "model " + model.Name + " at " + p.host + " answered " + e.Detail
	return e
}
