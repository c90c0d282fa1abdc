package embedding

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	defaultMaxInFlight = 64 // requests under way at most
	maxLateAnswers     = 256
	lateAnswerTTL      = time.Minute
)

// QueryEmbedder embeds the questions of people who wait, and may not wait for long.
// A request goes on when they have left, for as long as its embedder has it
// take: equal questions share it while it is under way, and for a minute the
// answer that nobody waited for.
type QueryEmbedder struct {
	Embedder    Embedder
	MaxInFlight int // under way at most; 64 where it is 0

	calls callGroup[[]float32]

	mu   sync.Mutex
	late map[string]lateAnswer
}

// lateAnswer is an answer that came when nobody waited for it.
type lateAnswer struct {
	vector []float32
	until  time.Time
}

// Embed returns the vector of one question. fault.Unavailable when too many are
// under way.
func (q *QueryEmbedder) Embed(ctx context.Context, model document.Model, question string) ([]float32, error) {
	owner, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%s %q %d %s", owner, model.Name, model.Dimensions, question)
	if vector := q.getLate(key); vector != nil {
		return vector, nil
	}
	if q.calls.count() >= cmp.Or(q.MaxInFlight, defaultMaxInFlight) && !q.calls.isRunning(key) {
		return nil, fault.New(fault.Unavailable, "too many questions wait for model %s", model.Name).WithRetryAfter(time.Second)
	}
	return q.calls.do(ctx, key, func(asking context.Context) ([]float32, error) {
		vectors, err := q.Embedder.Embed(asking, model, []string{question})
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil { // the first caller has left
			q.putLate(key, vectors[0])
		}
		return vectors[0], nil
	})
}

// getLate returns a late answer, nil where there is none.
func (q *QueryEmbedder) getLate(key string) []float32 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if answer, ok := q.late[key]; ok && time.Now().Before(answer.until) {
		return answer.vector
	}
	return nil
}

// putLate keeps a late answer. Those whose time is over go first, and else any.
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

// Close ends the requests under way.
func (q *QueryEmbedder) Close() error {
	q.calls.close()
	return nil
}
