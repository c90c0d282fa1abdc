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

// traffic is one client that searches fifty times a second, one that edits,
// uploads and deletes documents all the time, and one that reads.
type traffic struct {
	env    *testEnv
	spaces spaceTracker
	stop   chan struct{}
	cancel context.CancelFunc // ends what is under way
	done   sync.WaitGroup

	stableID uuid.UUID // the first of the stable documents

	mu        sync.Mutex
	documents map[string]visibility // that have marks
	began     time.Time
	reads     int
	answers   int
	wrong     int // of these
	writes    int
	slowest   time.Duration
}

// visibility is what searches may and must see of a document.
type visibility struct {
	sent      int  // the newest version of which an upload has begun
	published int  // the newest that is known to be found
	deleting  bool // its deletion has begun
	deleted   bool // and is acknowledged
}

const (
	stableCount    = 5 // documents that nobody touches
	editedCount    = 3 // documents that are edited again and again
	transientCount = 3 // documents that come, and go when there are more
)

func editedKey(n int) string    { return fmt.Sprintf("moving/%d.md", n) }
func transientKey(n int) string { return fmt.Sprintf("passing/%d.md", n) }

// newTraffic uploads files, and documents that are to be found. Nobody searches
// or writes yet.
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

// start begins to search and to write. Traffic ends with the test, at the
// latest.
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
	if tr.env.t.Failed() { // what is under way may wait for the test
		tr.cancel()
	}
	tr.done.Wait()
	tr.cancel()
	took := time.Since(tr.began)
	tr.env.t.Logf("%d searches, %d of them answered wrongly, %d reads and %d writes in %s; the slowest search took %s",
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

// awaitAnswers waits until so many more searches have been answered.
func (tr *traffic) awaitAnswers(n int) {
	tr.env.t.Helper()
	tr.awaitMore("searches are answered", time.Minute, &tr.answers, n)
}

// awaitWrites waits until so many more writes have been done.
func (tr *traffic) awaitWrites(n int) {
	tr.env.t.Helper()
	tr.awaitMore("documents are written", 2*time.Minute, &tr.writes, n)
}

// awaitReads waits until the unmoved document has been read so many more times.
func (tr *traffic) awaitReads(n int) {
	tr.env.t.Helper()
	tr.awaitMore("a document is read", time.Minute, &tr.reads, n)
}

// awaitMore waits until a count has grown by so many, or the test has failed.
func (tr *traffic) awaitMore(what string, limit time.Duration, count *int, n int) {
	tr.env.t.Helper()
	now := func() int { tr.mu.Lock(); defer tr.mu.Unlock(); return *count }
	all := now() + n
	await.Within(tr.env.t, limit, what, func() bool { return now() >= all || tr.env.t.Failed() })
}

// write edits one document, uploads another and deletes a third, until end.
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

// put uploads a version of a document, waits until it can be found, and returns
// the document's id.
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

// setVisibility changes what searches may and must see of a document.
func (tr *traffic) setVisibility(key string, change func(*visibility)) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	s := tr.documents[key]
	change(&s)
	tr.documents[key] = s
}

// visibilities returns what searches may and must see now.
func (tr *traffic) visibilities() map[string]visibility {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return maps.Clone(tr.documents)
}
