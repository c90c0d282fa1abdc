package embedding

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	defaultMaxInFlight = 64 // provider requests
	maxLateAnswers     = 256
	lateAnswerTTL      = time.Minute
)

// QueryConfig is what a QueryEmbedder needs.
type QueryConfig struct {
	Embedder    Embedder
	MaxInFlight int `zero:"ok"` // maximum number of running requests; 0 means 64
}

// QueryEmbedder embeds questions for people who wait only a short time. A provider request
// continues when its caller has left, within the time limit of the embedder: equal questions of a
// tenant share it while it runs, and its late answer is kept for a minute.
type QueryEmbedder struct {
	QueryConfig

	calls callGroup[[]float32]

	mu   sync.Mutex
	late map[string]lateAnswer
}

// lateAnswer is an answer that arrived after its first caller had left.
type lateAnswer struct {
	vector []float32
	until  time.Time
}

// NewQueryEmbedder returns a QueryEmbedder, or an error that names what config lacks. Callers must
// close it.
func NewQueryEmbedder(config QueryConfig) (*QueryEmbedder, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	config.MaxInFlight = cmp.Or(config.MaxInFlight, defaultMaxInFlight)
	return &QueryEmbedder{QueryConfig: config}, nil
}

// Embed returns the vector of one question. It returns fault.Unavailable if too many requests are
// running.
func (q *QueryEmbedder) Embed(ctx context.Context, model document.Model, question string) ([]float32, error) {
	owner, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%s %q %d %s", owner, model.Name, model.Dimensions, question)
	if vector := q.getLate(key); vector != nil {
		return vector, nil
	}
	if q.calls.count() >= q.MaxInFlight && !q.calls.isRunning(key) {
		return nil, fault.New(fault.Unavailable, "too many questions are waiting for model %s", model.Name).WithRetryAfter(time.Second)
	}
	return q.calls.do(ctx, key, func(callCtx context.Context) ([]float32, error) {
		vectors, err := q.Embedder.Embed(callCtx, model, []string{question})
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil { // the first caller has left
			q.putLate(key, vectors[0])
		}
		return vectors[0], nil
	})
}

// getLate returns a late answer, or nil if there is none.
func (q *QueryEmbedder) getLate(key string) []float32 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if answer, ok := q.late[key]; ok && time.Now().Before(answer.until) {
		return answer.vector
	}
	return nil
}

// putLate stores a late answer. It drops expired answers, and any others while there are too many.
func (q *QueryEmbedder) putLate(key string, vector []float32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for other, answer := range q.late {
		if now.After(answer.until) {
			delete(q.late, other)
		}
	}
	for other := range q.late {
		if len(q.late) < maxLateAnswers {
			break
		}
		delete(q.late, other)
	}
	if q.late == nil {
		q.late = map[string]lateAnswer{}
	}
	q.late[key] = lateAnswer{vector, now.Add(lateAnswerTTL)}
}

// Close cancels the running requests.
func (q *QueryEmbedder) Close() error {
	q.calls.close()
	return nil
}
