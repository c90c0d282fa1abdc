package reindex_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/test/audit"
	"github.com/seed-7a112592/gristmill/test/await"
)

// traffic is one client that searches fifty times a second, one that edits,
// uploads and deletes documents all the time, and one that reads.
type traffic struct {
	m      *mill
	spaces spaces
	stop   chan struct{}
	cancel context.CancelFunc // ends what is under way
	done   sync.WaitGroup

	unmoved uuid.UUID // the first of the stable documents

	mu        sync.Mutex
	documents map[string]shown // that have marks
	began     time.Time
	reads     int
	answers   int
	wrong     int // of these
	writes    int
	slowest   time.Duration
}

// shown is what searches may and must see of a document.
type shown struct {
	sent    int  // the newest version of which an upload has begun
	live    int  // the newest that is known to be found
	leaving bool // its deletion has begun
	gone    bool // and is acknowledged
}

const (
	stable  = 5 // documents that nobody touches
	moving  = 3 // documents that are edited again and again
	passing = 3 // documents that come, and go when there are more
)

func movingKey(n int) string  { return fmt.Sprintf("moving/%d.md", n) }
func passingKey(n int) string { return fmt.Sprintf("passing/%d.md", n) }

// newTraffic uploads files, and documents that are to be found. Nobody searches
// or writes yet.
func newTraffic(m *mill, files []file) *traffic {
	m.t.Helper()
	tr := &traffic{m: m, stop: make(chan struct{}), documents: map[string]shown{}}
	for i := range stable {
		files = append(files, markedFile(fmt.Sprintf(stableKeys+"%d.md", i), 1))
	}
	for i := range moving {
		files = append(files, markedFile(movingKey(i), 1))
	}
	m.upload(files)
	for _, f := range files[len(files)-stable-moving:] {
		tr.documents[f.key] = shown{sent: 1, live: 1}
	}
	tr.unmoved = audit.Documents(m.t, m.client())[unmovedKey].ID
	tr.spaces.turn(small)
	return tr
}

// start begins to search and to write. Traffic ends with the test, at the
// latest.
func (tr *traffic) start() {
	tr.began = time.Now()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tr.m.t.Context()))
	tr.cancel = cancel
	tr.done.Go(func() { tr.search(ctx) })
	tr.done.Go(func() { tr.write(ctx) })
	tr.done.Go(func() { tr.read(ctx) })
	tr.m.t.Cleanup(tr.end)
	tr.awaitAnswers(10)
}

// end ends all traffic.
func (tr *traffic) end() {
	if tr.ended() {
		return
	}
	close(tr.stop)
	if tr.m.t.Failed() { // what is under way may wait for the test
		tr.cancel()
	}
	tr.done.Wait()
	tr.cancel()
	took := time.Since(tr.began)
	tr.m.t.Logf("%d searches, %d of them answered wrongly, %d reads and %d writes in %s; the slowest search took %s",
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
	tr.m.t.Helper()
	tr.awaitMore("searches are answered", time.Minute, &tr.answers, n)
}

// awaitWrites waits until so many more writes have been done.
func (tr *traffic) awaitWrites(n int) {
	tr.m.t.Helper()
	tr.awaitMore("documents are written", 2*time.Minute, &tr.writes, n)
}

// awaitReads waits until the unmoved document has been read so many more times.
func (tr *traffic) awaitReads(n int) {
	tr.m.t.Helper()
	tr.awaitMore("a document is read", time.Minute, &tr.reads, n)
}

// awaitMore waits until a count has grown by so many, or the test has failed.
func (tr *traffic) awaitMore(what string, limit time.Duration, count *int, n int) {
	tr.m.t.Helper()
	now := func() int { tr.mu.Lock(); defer tr.mu.Unlock(); return *count }
	all := now() + n
	await.Within(tr.m.t, limit, what, func() bool { return now() >= all || tr.m.t.Failed() })
}

// write edits one document, uploads another and deletes a third, until end.
func (tr *traffic) write(ctx context.Context) {
	versions := map[string]int{}
	ids := map[string]uuid.UUID{}
	for n := 0; !tr.ended(); n++ {
		edited := movingKey(n % moving)
		versions[edited]++
		tr.put(ctx, edited, 1+versions[edited])
		added := passingKey(n)
		ids[added] = tr.put(ctx, added, 1)
		if n >= passing {
			removed := passingKey(n - passing)
			tr.remove(ctx, removed, ids[removed])
		}
	}
}

// put uploads a version of a document, waits until it can be found, and returns
// the document's id.
func (tr *traffic) put(ctx context.Context, key string, version int) uuid.UUID {
	tr.note(key, func(s *shown) { s.sent = version })
	id, err := tr.m.add(ctx, tr.m.client(), markedFile(key, version))
	if err != nil {
		tr.m.t.Error(err)
		return id
	}
	tr.note(key, func(s *shown) { s.live = version })
	tr.wrote()
	return id
}

// remove deletes a document.
func (tr *traffic) remove(ctx context.Context, key string, id uuid.UUID) {
	tr.note(key, func(s *shown) { s.leaving = true })
	if err := tr.m.books.Delete(ctx, tr.m.client(), key, id); err != nil {
		tr.m.t.Errorf("delete %s: %v", key, err)
		return
	}
	tr.note(key, func(s *shown) { s.gone = true })
	tr.wrote()
}

func (tr *traffic) wrote() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.writes++
}

// note changes what searches may and must see of a document.
func (tr *traffic) note(key string, change func(*shown)) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	s := tr.documents[key]
	change(&s)
	tr.documents[key] = s
}

// view returns what searches may and must see now.
func (tr *traffic) view() map[string]shown {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return maps.Clone(tr.documents)
}
