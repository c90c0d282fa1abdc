package embedding

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

const (
	defaultQuestions = 64 // requests under way at most
	maxLate          = 256
	keepLate         = time.Minute
)

// Questions embeds the questions of people who wait, and may not wait for long.
// A request goes on when they have left, for as long as its embedder has it
// take: equal questions share it while it is under way, and for a minute the
// answer that nobody waited for.
type Questions struct {
	Embedder Embedder
	Requests int // under way at most; 64 where it is 0

	asking shared[[]float32]

	mu   sync.Mutex
	late map[string]late
}

// late is an answer that came when nobody waited for it.
type late struct {
	vector []float32
	until  time.Time
}

// Embed returns the vector of one question. fault.Unavailable when too many are
// under way.
func (q *Questions) Embed(ctx context.Context, model document.Model, question string) ([]float32, error) {
	owner, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%s %q %d %s", owner, model.Name, model.Dimensions, question)
	if vector := q.take(key); vector != nil {
		return vector, nil
	}
	if q.asking.underWay() >= cmp.Or(q.Requests, defaultQuestions) && !q.asking.has(key) {
		return nil, fault.New(fault.Unavailable, "too many questions wait for model %s", model.Name).After(time.Second)
	}
	return q.asking.do(ctx, key, func(asking context.Context) ([]float32, error) {
		vectors, err := q.Embedder.Embed(asking, model, []string{question})
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil { // the first caller has left
			q.keep(key, vectors[0])
		}
		return vectors[0], nil
	})
}

// take returns a late answer, nil where there is none.
func (q *Questions) take(key string) []float32 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if answer, ok := q.late[key]; ok && time.Now().Before(answer.until) {
		return answer.vector
	}
	return nil
}

// keep keeps a late answer. Those whose time is over go first, and else any.
func (q *Questions) keep(key string, vector []float32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for other, answer := range q.late {
		if now.After(answer.until) {
			delete(q.late, other)
		}
	}
	for other := range q.late {
		if len(q.late) < maxLate {
			break
		}
		delete(q.late, other)
	}
	if q.late == nil {
		q.late = map[string]late{}
	}
	q.late[key] = late{vector, now.Add(keepLate)}
}

// Close ends the requests under way.
func (q *Questions) Close() error {
	q.asking.close()
	return nil
}
