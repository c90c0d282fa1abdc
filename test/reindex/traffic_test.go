package reindex_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/await"
)

// traffic consists of a client that searches fifty times a second, one that edits, uploads and
// deletes documents continuously, and one that reads a document.
type traffic struct {
	env    *testEnv
	spaces spaceTracker
	stop   chan struct{}
	cancel context.CancelFunc // aborts running requests
	done   sync.WaitGroup

	stableID uuid.UUID // id of the first stable document

	mu        sync.Mutex
	documents map[string]visibility // documents with marks
	began     time.Time
	reads     int
	answers   int
	wrong     int // wrong answers
	writes    int
	slowest   time.Duration
}

// visibility is what searches may and must see of a document.
type visibility struct {
	sent      int  // the newest version of which an upload has started
	published int  // the newest version that searches must find
	deleting  bool // its deletion has started
	deleted   bool // its deletion is acknowledged
}

const (
	stableCount    = 5 // number of documents that do not change
	editedCount    = 3 // number of documents that are edited repeatedly
	transientCount = 3 // number of documents above which the oldest added one is deleted
)

func editedKey(n int) string    { return fmt.Sprintf("moving/%d.md", n) }
func transientKey(n int) string { return fmt.Sprintf("passing/%d.md", n) }

// newTraffic uploads files and the marked documents. It does not start the traffic.
func newTraffic(m *testEnv, files []file) *traffic {
	m.t.Helper()
	tr := &traffic{env: m, stop: make(chan struct{}), documents: map[string]visibility{}}
	for i := range stableCount {
		files = append(files, markedFile(fmt.Sprintf(stableKeys+"%d.md", i), 1))
	}
	for i := range editedCount {
		files = append(files, markedFile(editedKey(i), 1))
	}
	m.upload(files)
	for _, f := range files[len(files)-stableCount-editedCount:] {
		tr.documents[f.key] = visibility{sent: 1, published: 1}
	}
	tr.stableID = audit.Documents(m.t, m.client())[stableKey].ID
	tr.spaces.expectSwitch(smallModel)
	return tr
}

// start starts the traffic. It ends with the test at the latest.
func (tr *traffic) start() {
	tr.began = time.Now()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tr.env.t.Context()))
	tr.cancel = cancel
	tr.done.Go(func() { tr.search(ctx) })
	tr.done.Go(func() { tr.write(ctx) })
	tr.done.Go(func() { tr.read(ctx) })
	tr.env.t.Cleanup(tr.end)
	tr.awaitAnswers(10)
}

// end ends all traffic.
func (tr *traffic) end() {
	if tr.ended() {
		return
	}
	close(tr.stop)
	if tr.env.t.Failed() { // running requests may wait for something that the test no longer does
		tr.cancel()
	}
	tr.done.Wait()
	tr.cancel()
	took := time.Since(tr.began)
	tr.env.t.Logf("%d searches, %d of them with wrong answers, %d reads and %d writes in %s; the slowest search took %s",
		tr.answers, tr.wrong, tr.reads, tr.writes, took.Round(time.Millisecond), tr.slowest.Round(time.Millisecond))
}

func (tr *traffic) ended() bool {
	select {
	case <-tr.stop:
		return true
	default:
		return false
	}
}

// awaitAnswers waits until n more searches have been answered.
func (tr *traffic) awaitAnswers(n int) {
	tr.env.t.Helper()
	tr.awaitMore("searches are answered", time.Minute, &tr.answers, n)
}

// awaitWrites waits until n more writes are done.
func (tr *traffic) awaitWrites(n int) {
	tr.env.t.Helper()
	tr.awaitMore("documents are written", 2*time.Minute, &tr.writes, n)
}

// awaitReads waits until the stable document has been read n more times.
func (tr *traffic) awaitReads(n int) {
	tr.env.t.Helper()
	tr.awaitMore("a document is read", time.Minute, &tr.reads, n)
}

// awaitMore waits until a count has grown by n, or the test has failed.
func (tr *traffic) awaitMore(what string, limit time.Duration, count *int, n int) {
	tr.env.t.Helper()
	now := func() int { tr.mu.Lock(); defer tr.mu.Unlock(); return *count }
	all := now() + n
	await.Within(tr.env.t, limit, what, func() bool { return now() >= all || tr.env.t.Failed() })
}

// write edits one document, uploads another and deletes a third, repeatedly until end.
func (tr *traffic) write(ctx context.Context) {
	versions := map[string]int{}
	ids := map[string]uuid.UUID{}
	for n := 0; !tr.ended(); n++ {
		edited := editedKey(n % editedCount)
		versions[edited]++
		tr.put(ctx, edited, 1+versions[edited])
		added := transientKey(n)
		ids[added] = tr.put(ctx, added, 1)
		if n >= transientCount {
			removed := transientKey(n - transientCount)
			tr.remove(ctx, removed, ids[removed])
		}
	}
}

// put uploads a version of a document, waits until searches find it, and returns the id of the
// document.
func (tr *traffic) put(ctx context.Context, key string, version int) uuid.UUID {
	tr.setVisibility(key, func(s *visibility) { s.sent = version })
	id, err := tr.env.uploadAndWait(ctx, tr.env.client(), markedFile(key, version))
	if err != nil {
		tr.env.t.Error(err)
		return id
	}
	tr.setVisibility(key, func(s *visibility) { s.published = version })
	tr.countWrite()
	return id
}

// remove deletes a document.
func (tr *traffic) remove(ctx context.Context, key string, id uuid.UUID) {
	tr.setVisibility(key, func(s *visibility) { s.deleting = true })
	if err := tr.env.uploads.Delete(ctx, tr.env.client(), key, id); err != nil {
		tr.env.t.Errorf("delete %s: %v", key, err)
		return
	}
	tr.setVisibility(key, func(s *visibility) { s.deleted = true })
	tr.countWrite()
}

func (tr *traffic) countWrite() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.writes++
}

// setVisibility changes the visibility of a document.
func (tr *traffic) setVisibility(key string, change func(*visibility)) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	s := tr.documents[key]
	change(&s)
	tr.documents[key] = s
}

// visibilities returns the current visibility of all documents.
func (tr *traffic) visibilities() map[string]visibility {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return maps.Clone(tr.documents)
}
