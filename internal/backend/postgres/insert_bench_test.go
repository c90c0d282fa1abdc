package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

type adder func(ctx context.Context, tx pgx.Tx, space vector.Space, passages []vector.EmbeddedPassage) (int, error)

// BenchmarkAddPassages adds batches of new passages: as arrays, as the store does;
// by COPY into a temporary table; and by COPY straight into their own, which is
// possible only without row-level security, and of passages that are not there.
// It needs Linux, and the server on the same machine.
func BenchmarkAddPassages(b *testing.B) {
	for _, n := range []int{16, 64, 128, 256, 512, 1024} {
		b.Run(fmt.Sprintf("%d/arrays", n), func(b *testing.B) { benchAdd(b, n, postgres.InsertPassages) })
		b.Run(fmt.Sprintf("%d/temporary", n), func(b *testing.B) { benchAdd(b, n, copyViaTemporaryTable) })
		b.Run(fmt.Sprintf("%d/straight", n), func(b *testing.B) {
			benchAdd(b, n, copyStraight, "ALTER TABLE shared_passages DISABLE ROW LEVEL SECURITY")
		})
	}
}

// benchAdd reports the CPU time of the server and of the client for each passage.
func benchAdd(b *testing.B, n int, add adder, before ...string) {
	d := preparedDatabase(b)
	d.migrate(b)
	for _, statement := range before {
		execute(b, d.owner, statement)
	}
	s, err := postgres.Open(b.Context(), postgres.Config{URL: d.app, MaxConns: 1, Log: logger(b)})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	ctx := tenant.With(b.Context(), tenant.Default)
	space := vector.Space{ID: 1, Model: document.Model{Name: "bench", Dimensions: benchDimensions}}
	batch, written, server := benchBatch(n), 0, 0
	write := func() {
		renewBatch(batch, written)
		written += n
		if err := s.InTenant(ctx, func(tx pgx.Tx) error {
			if err := tx.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&server); err != nil {
				return err
			}
			added, err := add(ctx, tx, space, batch.New)
			if err == nil && added != n {
				err = fmt.Errorf("%d passages were added, want %d", added, n)
			}
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
	write() // statements are prepared
	serverBefore, clientBefore, first := serverCPU(b, server), clientCPU(), written
	for b.Loop() {
		write()
	}
	b.ReportMetric(float64((serverCPU(b, server)-serverBefore).Microseconds())/float64(written-first), "server-µs/passage")
	b.ReportMetric(float64((clientCPU()-clientBefore).Microseconds())/float64(written-first), "client-µs/passage")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(written-first), "µs/passage")
}

func copyViaTemporaryTable(ctx context.Context, tx pgx.Tx, space vector.Space, passages []vector.EmbeddedPassage) (int, error) {
	if _, err := tx.Exec(ctx, "CREATE TEMPORARY TABLE incoming (LIKE shared_passages INCLUDING DEFAULTS INCLUDING STORAGE) ON COMMIT DROP"); err != nil {
		return 0, err
	}
	if _, err := copyInto(ctx, tx, pgx.Identifier{"pg_temp", "incoming"}, space, passages); err != nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, "INSERT INTO shared_passages SELECT * FROM pg_temp.incoming ORDER BY hash ON CONFLICT DO NOTHING")
	return int(tag.RowsAffected()), err
}

func copyStraight(ctx context.Context, tx pgx.Tx, space vector.Space, passages []vector.EmbeddedPassage) (int, error) {
	return copyInto(ctx, tx, pgx.Identifier{"shared_passages"}, space, passages)
}

func copyInto(ctx context.Context, tx pgx.Tx, table pgx.Identifier, space vector.Space, passages []vector.EmbeddedPassage) (int, error) {
	columns := []string{"space", "hash", "tokens", "embedding", "title", "heading_path", "context", "content"}
	added, err := tx.Conn().CopyFrom(ctx, table, columns, pgx.CopyFromSlice(len(passages), func(i int) ([]any, error) {
		p := &passages[i]
		return []any{space.ID, p.Hash[:], p.Tokens, pgvector.NewHalfVector(p.Vector), p.Title, p.HeadingPath, p.Context, p.Content}, nil
	}))
	return int(added), err
}

func serverCPU(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		b.Fatal("needs a PostgreSQL on this machine, and Linux: ", err)
	}
	spent, err := strconv.ParseInt(string(bytes.Fields(text)[0]), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(spent)
}

func clientCPU() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage) // does not fail for ourselves
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
