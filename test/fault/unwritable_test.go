package fault_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/test/await"
	"github.com/seed-7a112592/gristmill/test/fakeprovider"
)

// While the database cannot be written to, nothing is bought but what is in
// flight when that begins; and what was bought is written when it can be.
func TestNothingIsBoughtWhileTheDatabaseCannotBeWritten(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]struct{ begin, end []string }{
		"read-only": {
			begin: []string{
				`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`,
				`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
			},
			end: []string{
				`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$`,
				`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
			},
		},
		// What PostgreSQL says when a file cannot grow. Tables that need not grow
		// go on, which is so on a full disk too.
		"disk full": {
			begin: []string{
				`CREATE FUNCTION public.full_disk() RETURNS trigger LANGUAGE plpgsql AS
				 $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$`,
				`CREATE TRIGGER full_disk BEFORE INSERT ON public.section_summaries EXECUTE FUNCTION public.full_disk()`,
				`CREATE TRIGGER full_disk BEFORE INSERT ON public.manifest EXECUTE FUNCTION public.full_disk()`,
			},
			end: []string{
				`DROP TRIGGER full_disk ON public.section_summaries`,
				`DROP TRIGGER full_disk ON public.manifest`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMill(t, sharedServers(t), fakeprovider.Options{Latency: 50 * time.Millisecond}, "GRISTMILL_WORKER_CONCURRENCY=4")
			owner := m.direct.Connect()
			run := func(statements []string) {
				t.Helper()
				for _, statement := range statements {
					if _, err := owner.Exec(t.Context(), statement, pgx.QueryExecModeSimpleProtocol); err != nil {
						t.Fatal(err)
					}
				}
			}
			m.gate.shut()
			m.startAll()
			files := newFiles(m.random, 12)
			m.uploadAll(files)
			await.Within(t, time.Minute, "requests are in flight", func() bool { return m.gate.held() > 0 })

			run(outage.begin)
			inFlight := m.gate.held()
			m.gate.lift()
			await.Within(t, time.Minute, "a write fails", func() bool {
				for _, p := range m.programs {
					if strings.Contains(p.Output(), "writes fail; what was bought is kept") {
						return true
					}
				}
				return false
			})
			// For longer than a write is tried again, in the whole form.
			over := time.Now().Add(short(5*time.Second, 45*time.Second))
			await.Within(t, 2*time.Minute, "the outage lasts", func() bool { return time.Now().After(over) })
			if got := m.provider.Counts().Texts; got > (inFlight+4*4)*batch {
				t.Errorf("%d texts were sent while nothing could be written, with %d requests in flight", got, inFlight)
			}
			run(outage.end)
			m.audit(3*time.Minute, 0)
		})
	}
}
