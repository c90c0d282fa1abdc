package postgres_test

import (
	"context"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A claim that was committed, but whose answer was lost with the connection, is
// the caller's all the same, once the server can be reached again, and has cost
// one attempt and no crash. It is not when another worker has the task by then.
func TestClaimWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind       task.Kind
		table, key string // of its row
		taken      bool   // by another worker meanwhile
	}{
		{task.KindKnowledge, "tasks", "document", false},
		{task.KindKnowledge, "tasks", "document", true},
		{task.KindReindex, "reindexes", "id", false},
		{task.KindReindex, "reindexes", "id", true},
	} {
		r, ctx := newClaimedStore(t)
		ref := task.Ref{Version: 1, Kind: test.kind}
		if test.kind == task.KindReindex {
			begun, err := r.BeginReindex(ctx, document.ReindexRequest{Collection: "c", Model: document.Model{Name: "next", Dimensions: 2}})
			if err != nil {
				t.Fatal(err)
			}
			ref.DocumentID = begun.ID
		} else {
			r.upload.Key = "another"
			accepted, err := upload(ctx, r.Store, r.upload)
			if err != nil {
				t.Fatal(err)
			}
			ref.DocumentID = accepted.Job.DocumentID
		}
		s := r.openLosingAnswer(t, test.table, test.key, ref.DocumentID, test.taken)
		work, err := s.Claim(ctx, ref, time.Hour)
		if test.taken {
			if !fault.Is(err, fault.Conflict) {
				t.Errorf("%s, taken: claimed as %+v, %v; want a conflict", test.kind, work, err)
			}
			continue
		}
		if err != nil || work.Attempt != 1 || work.Crashes != 0 {
			t.Errorf("%s: attempt %d, %d crashes, %v", test.kind, work.Attempt, work.Crashes, err)
		} else if err := r.RenewLease(ctx, work, time.Hour); err != nil {
			t.Errorf("%s: %v", test.kind, err)
		}
	}
}

// openLosingAnswer opens the store over a connection that breaks once the database
// has a lease of the row with the id, before its answer arrives; the next one
// breaks at once. Meanwhile the lease may be taken away.
func (r claimedStore) openLosingAnswer(t *testing.T, table, key string, id uuid.UUID, taken bool) *postgres.Store {
	t.Helper()
	server, err := url.Parse(r.app)
	if err != nil {
		t.Fatal(err)
	}
	owner := connect(t, r.owner)
	t.Cleanup(func() { owner.Close(context.Background()) })
	var mu sync.Mutex
	breaks := 0
	cut := proxyTo(t, server, func(client bool) error {
		mu.Lock()
		defer mu.Unlock()
		if client && 0 < breaks && breaks < 3 { // the first may be the broken one's goodbye
			breaks++
			return errTest
		}
		if client || breaks > 0 {
			return nil
		}
		var leased bool
		if err := owner.QueryRow(t.Context(), "SELECT count(lease) > 0 FROM "+table+" WHERE "+key+" = $1", id).Scan(&leased); err != nil || !leased {
			return err
		}
		breaks++
		if taken {
			if _, err := owner.Exec(t.Context(), "UPDATE "+table+" SET lease = gen_random_uuid() WHERE "+key+" = $1", id); err != nil {
				return err
			}
		}
		return errTest
	})
	s, err := postgres.Open(t.Context(), postgres.Config{URL: server.String(), MaxConns: 1, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cut)
	t.Cleanup(s.Close)
	return s
}
