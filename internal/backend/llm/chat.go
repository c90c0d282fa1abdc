package llm

import (
	"context"
	"strings"

	"github.com/sashabaranov/go-openai"

	"github.com/seed-7a112592/gristmill/internal/provider"
)

// newChatRequest returns the request for a chat completion. It passes the response to take.
func (p *OpenAI) newChatRequest(question openai.ChatCompletionRequest, take func(openai.ChatCompletionResponse) error) request {
	texts, bytes := make([]string, len(question.Messages)), 0
	for i, message := range question.Messages {
		texts[i] = message.Content
		bytes += len(message.Content)
	}
	probe := question
	probe.Messages = []openai.ChatCompletionMessage{{Role: openai.ChatMessageRoleUser, Content: provider.ProbeText}}
	probe.ResponseFormat = nil
	return request{
		operation: opSummarise,
		model:     question.Model,
		texts:     []string{strings.Join(texts, "\n")}, // one text: the request cannot be split
		bytes:     bytes,
		send: func(ctx context.Context, _ *exchange) error {
			answer, err := p.sendCompletion(ctx, question)
			if err != nil {
				return err
			}
			return take(answer)
		},
		probe: func(ctx context.Context, _ *exchange) error {
			_, err := p.sendCompletion(ctx, probe)
			return err
		},
	}
}

// sendCompletion sends the request without the parameters that the model refuses.
func (p *OpenAI) sendCompletion(ctx context.Context, question openai.ChatCompletionRequest) (answer openai.ChatCompletionResponse, err error) {
	err = p.limiter(question.Model).params.sendWithout(func(without paramSet) (sent []string, err error) {
		question := question
		limit := max(question.MaxTokens, question.MaxCompletionTokens)
		switch {
		case without[paramMaxTokens] && without[paramMaxCompletionTokens]:
			question.MaxTokens, question.MaxCompletionTokens = 0, 0
		case without[paramMaxTokens]:
			question.MaxTokens, question.MaxCompletionTokens = 0, limit
		case without[paramMaxCompletionTokens]:
			question.MaxTokens, question.MaxCompletionTokens = limit, 0
		}
		if question.MaxTokens > 0 {
			sent = append(sent, paramMaxTokens)
		}
		if question.MaxCompletionTokens > 0 {
			sent = append(sent, paramMaxCompletionTokens)
		}
		if without[paramTemperature] {
			question.Temperature = 0 // not sent
		} else if question.Temperature != 0 {
			sent = append(sent, paramTemperature)
		}
		if format := question.ResponseFormat; format != nil {
			switch {
			case !without[paramSchema]:
				sent = append(sent, paramSchema)
			case !without[paramObject]:
				question.ResponseFormat = &openai.ChatCompletionResponseFormat{Type: openai.ChatCompletionResponseFormatTypeJSONObject}
				sent = append(sent, paramObject)
			default:
				question.ResponseFormat = nil // the prompt also asks for JSON
			}
		}
		answer, err = p.client.CreateChatCompletion(ctx, question)
		return sent, err
	})
	return answer, err
}
