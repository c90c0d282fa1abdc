package progress

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// TaskProgress is the progress that one attempt of a task last reported. The database says whether
// that attempt still runs.
type TaskProgress[P any] struct {
	Attempt  int `json:"attempt"`
	Progress P   `json:"progress"`
}

// Snapshot is the reported progress of a job's tasks; nil for a task without a report.
type Snapshot struct {
	Knowledge *TaskProgress[document.KnowledgeProgress]
	Summary   *TaskProgress[document.SummaryProgress]
}

// Progress returns what was last reported about a job of ctx's tenant. It returns an empty snapshot
// for a job of another tenant, for a job without reports, and for a job that ended over an hour
// ago. It returns fault.Unavailable if Redis cannot be reached.
func (l *Store) Progress(ctx context.Context, job uuid.UUID) (Snapshot, error) {
	owner, err := tenant.From(ctx)
	if err != nil {
		return Snapshot{}, fmt.Errorf("progress of job %s: %w", job, err)
	}
	var fields map[string]string
	err = l.guard.Do(ctx, "read progress", func(ctx context.Context) (err error) {
		fields, err = l.redis.HGetAll(ctx, jobKey(job)).Result()
		return err
	})
	if err != nil {
		return Snapshot{}, fmt.Errorf("progress of job %s: %w", job, err)
	}
	if fields["tenant"] != owner {
		return Snapshot{}, nil
	}
	var s Snapshot
	for kind, task := range map[task.Kind]any{task.KindKnowledge: &s.Knowledge, task.KindSummary: &s.Summary} {
		value, ok := fields[string(kind)]
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte(value), task); err != nil {
			return Snapshot{}, fmt.Errorf("progress of job %s: field %s: %w", job, kind, err)
		}
	}
	return s, nil
}
