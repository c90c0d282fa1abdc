package fault_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// smallBatch is the number of passages in a request of these tests, which makes many requests.
	// fewInFlight is the maximum number of embedding requests in flight, and also of chat requests.
	smallBatch  = 4
	fewInFlight = 4

	// writesFail is logged when writes have failed and provider requests stop.
	writesFail = "writes to the database fail"
)

// writeOutage is a way in which the database refuses writes.
type writeOutage struct {
	name   string
	newEnv func(t *testing.T, provider fakeprovider.Options, more ...string) (*testEnv, *disk) // nil for an environment on the shared servers
	begin  func(m *testEnv, d *disk)
	end    func(m *testEnv, d *disk)

	// Some writes succeed during the outage, so requests are sent.
	someWritesSucceed bool

	reindex bool // test a reindex too
}

// While the database cannot be written, only the requests in flight at the start of the outage are
// answered, for passages and for summaries, for uploads and for a reindex. Their results are
// written when writes succeed again.
func TestNoProviderRequestsWhileDatabaseIsUnwritable(t *testing.T) {
	t.Parallel()
	for _, u := range []writeOutage{{
		name: "read-only",
		begin: func(m *testEnv, _ *disk) {
			m.execAsOwner(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`, endConnections)
		},
		end: func(m *testEnv, _ *disk) {
			m.execAsOwner(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$`, endConnections)
		},
	}, {
		name:   "full disk",
		newEnv: newTestEnvOnDisk,
		begin:  func(_ *testEnv, d *disk) { d.fill() },
		end:    func(_ *testEnv, d *disk) { d.clear() },

		reindex: true,
	}, {
		// Cuts in transactions, in their commits and in the answers to commits. What was committed
		// then is written a second time.
		name:              "connections are cut",
		begin:             func(m *testEnv, _ *disk) { m.postgres.reset(10, m.random.Uint64()) },
		end:               func(m *testEnv, _ *disk) { m.postgres.removeAllToxics() },
		someWritesSucceed: true,
	}} {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			u.test(t)
		})
	}
}

// endConnections makes all programs reconnect.
const endConnections = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`

// execAsOwner runs statements as the superuser, in turn, on one connection.
func (m *testEnv) execAsOwner(statements ...string) {
	m.t.Helper()
	conn := m.direct.Connect()
	defer conn.Close(m.t.Context())
	for _, statement := range append([]string{"SET default_transaction_read_only = off"}, statements...) {
		if _, err := conn.Exec(m.t.Context(), statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (u writeOutage) test(t *testing.T) {
	newEnv := u.newEnv
	if newEnv == nil {
		newEnv = func(t *testing.T, provider fakeprovider.Options, more ...string) (*testEnv, *disk) {
			return newTestEnv(t, sharedServers(t), provider, more...), nil
		}
	}
	m, d := newEnv(t, fakeprovider.Options{Latency: 50 * time.Millisecond},
		"GRISTMILL_EMBEDDING_BATCH=4",       // smallBatch
		"GRISTMILL_EMBEDDING_CONCURRENCY=4", // fewInFlight
	)
	m.gate.holdAll()
	m.startAll()
	m.uploadAll(newFiles(m.random, 12))
	await.Within(t, time.Minute, "requests are in flight", func() bool { return m.gate.heldEmbeddings() > 0 && m.gate.heldRequests(chatsPath) > 0 })
	u.runOutage(m, d, "worker-knowledge", "worker-summary")
	audit.AwaitIdle(t, m.direct, 3*time.Minute)
	m.checkEmbeddedOnce()

	if u.reindex {
		m.gate.holdEmbeddings()
		if _, err := m.client().BeginReindex(t.Context(), document.ReindexRequest{
			Collection: "default", Model: document.Model{Name: "other", Dimensions: 64},
		}); err != nil {
			t.Fatal(err)
		}
		await.Within(t, time.Minute, "requests of the reindex are in flight", func() bool { return m.gate.heldEmbeddings() > 0 })
		u.runOutage(m, d, "worker-knowledge")
		audit.AwaitIdle(t, m.direct, 3*time.Minute)
		m.checkEmbeddedOnce()
	}
	m.audit(time.Minute, 0)
}

// runOutage makes the database unwritable for a while. It expects a closed gate with waiting
// requests of the programs. Until the end of the outage, the provider may answer only the requests
// that were in flight at its start.
func (u writeOutage) runOutage(m *testEnv, d *disk, programs ...string) {
	t := m.t
	t.Helper()
	failed := map[string]int{}
	for _, name := range programs {
		failed[name] = m.countLogged(name, writesFail)
	}
	before := m.provider.Counts()
	u.begin(m, d)
	held, chats := m.gate.heldEmbeddings(), m.gate.heldRequests(chatsPath)
	m.gate.release()
	for _, name := range programs {
		await.Within(t, time.Minute, "a write of "+name+" fails", func() bool { return m.countLogged(name, writesFail) > failed[name] })
	}
	// In the long form the outage is longer than the time for which a write is retried.
	lasts := ifShort(2*time.Second, 45*time.Second)
	over := time.Now().Add(lasts)
	await.Within(t, 2*time.Minute, "the outage lasts", func() bool { return time.Now().After(over) })
	now := m.provider.Counts()
	u.end(m, d)

	texts, summaries := now.TextsAnswered-before.TextsAnswered, now.ChatRequests-before.ChatRequests
	t.Logf("%d texts and %d requests for summaries were answered during the outage, with %d and %d requests in flight", texts, summaries, held, chats)
	if limit := maxOutageRequests(lasts); !u.someWritesSucceed && (texts > limit*smallBatch || summaries > limit) {
		t.Errorf("%d texts and %d requests for summaries were answered while nothing could be written, want at most %d and %d", texts, summaries, limit*smallBatch, limit)
	}
}

// maxOutageRequests returns the number of requests that may be answered during an outage: those in
// flight at its start, those sent before the first write has failed, and occasional ones that test
// whether writes succeed again.
func maxOutageRequests(lasts time.Duration) int {
	return 3*fewInFlight + int(lasts/(15*time.Second))
}

// checkEmbeddedOnce checks that each model embedded every passage only once, and that no summary
// was generated that is not stored.
func (m *testEnv) checkEmbeddedOnce() {
	m.t.Helper()
	texts, again := 0, 0
	for _, of := range m.provider.EmbeddedTextsByModel() {
		for text, times := range of {
			if text != provider.ProbeText {
				texts++
				again += times - 1
			}
		}
	}
	needed := m.direct.QueryInt(`SELECT count(*) FROM section_summaries`)
	made := m.provider.Counts().ChatSummaries
	m.t.Logf("%d texts were embedded, %d of them again; %d summaries were generated for %d sections", texts, again, made, needed)
	if again > 0 {
		m.t.Errorf("%d texts were embedded again", again)
	}
	if made > needed {
		m.t.Errorf("%d summaries were generated, but only %d are stored", made, needed)
	}
}
