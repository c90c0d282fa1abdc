package fault_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/internal/test/services"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Dev mode's data directory cannot be written for a while. During that time nothing more is
// embedded or summarised; afterwards all work is done, and no text was sent twice.
func TestNoProviderRequestsWhileDataDirIsUnwritable(t *testing.T) {
	t.Parallel()
	for name, newOutage := range map[string]func(t *testing.T) dataDirOutage{
		"full":                      fullDataDir,
		"read-only":                 readOnlyDataDir,
		"locked by another program": lockedDataDir,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newOutage(t).test(t)
		})
	}
}

// dataDirOutage is a data directory, with functions that make it unwritable and writable again.
type dataDirOutage struct {
	dir        string
	begin, end func()

	// failsLate is true if writes block for some seconds before they fail; requests go on during
	// that time.
	failsLate bool
}

// fullDataDir returns a data directory on its own disk, which the outage fills.
func fullDataDir(t *testing.T) dataDirOutage {
	dir := t.TempDir()
	d := newDisk(t, dir, 256<<20, uint32(os.Getuid()), uint32(os.Getgid()))
	t.Cleanup(d.remove)
	return dataDirOutage{dir: dir, begin: d.fill, end: d.clear}
}

// readOnlyDataDir returns a data directory whose database files the outage makes immutable, also
// for programs that have them open. The effect is that of a file system that is remounted read-only
// after an error.
func readOnlyDataDir(t *testing.T) dataDirOutage {
	dir := t.TempDir()
	attribute := func(change string, names ...string) error {
		return exec.Command("chattr", append([]string{change}, names...)...).Run()
	}
	tried, err := os.Create(filepath.Join(dir, "tried"))
	if err != nil {
		t.Fatal(err)
	}
	defer tried.Close()
	if err := attribute("+i", tried.Name()); err != nil {
		services.SkipOrFail(t, "cannot make files immutable (needs root on Linux): %v", err)
	}
	_, err = tried.WriteString("x")
	if err := attribute("-i", tried.Name()); err != nil {
		t.Error(err)
	}
	if err == nil {
		services.SkipOrFail(t, "this file system allows writes to an open file that is immutable")
	}
	database := []string{filepath.Join(dir, "gristmill.db"), filepath.Join(dir, "gristmill.db-wal")}
	change := func(how string) func() {
		return func() {
			if err := attribute(how, database...); err != nil {
				t.Errorf("chattr %s: %v", how, err)
			}
		}
	}
	t.Cleanup(func() { _ = attribute("-i", database...) }) // otherwise the directory cannot be removed
	return dataDirOutage{dir: dir, begin: change("+i"), end: change("-i")}
}

// lockedDataDir returns a data directory whose database this process locks against other writers.
func lockedDataDir(t *testing.T) dataDirOutage {
	dir := t.TempDir()
	lock := func(kind int16) {
		// WAL_WRITE_LOCK in SQLite's WAL index.
		const offset = 120
		index, err := os.OpenFile(filepath.Join(dir, "gristmill.db-shm"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { index.Close() }) // releases all locks of this process
		if err := syscall.FcntlFlock(index.Fd(), syscall.F_SETLKW, &syscall.Flock_t{Type: kind, Start: offset, Len: 1}); err != nil {
			t.Fatal(err)
		}
	}
	return dataDirOutage{dir: dir, begin: func() { lock(syscall.F_WRLCK) }, end: func() { lock(syscall.F_UNLCK) }, failsLate: true}
}

func (o dataDirOutage) test(t *testing.T) {
	provider := fakeprovider.Start(t, fakeprovider.Options{Latency: 50 * time.Millisecond, Dimensions: 64, RecordTexts: true})
	var mu sync.Mutex
	chats := map[string]int{}
	provider.SetScript(func(request fakeprovider.Request) fakeprovider.Fault {
		if request.Chat {
			mu.Lock()
			defer mu.Unlock()
			chats[strings.Join(request.Texts, "\n")]++
		}
		return nil
	})
	gate := newProviderGate(t, provider)
	gate.holdAll()
	dev := program.Start(t, []string{
		"GRISTMILL_OPENAI_BASE_URL=" + gate.URL + "/v1",
		"GRISTMILL_EMBEDDING_MODEL=fake",
		"GRISTMILL_EMBEDDING_DIMENSIONS=64",
		"GRISTMILL_SUMMARY_MODEL=fake-chat",
		"GRISTMILL_EMBEDDING_BATCH=4",       // smallBatch
		"GRISTMILL_EMBEDDING_CONCURRENCY=4", // fewInFlight
	}, "gristmill", "dev", "--addr", "127.0.0.1:0", "--data", o.dir)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(dev.LogWarnings())
		}
	})
	c := dev.Client("")
	var uploads audit.UploadLog
	files := newFiles(random(t), 12)
	for _, file := range files {
		if _, err := uploads.Upload(t.Context(), c, file.key, file.text); err != nil {
			t.Fatal(err)
		}
	}
	await.Within(t, time.Minute, "requests are in flight", func() bool { return gate.heldEmbeddings() > 0 && gate.heldRequests(chatsPath) > 0 })

	before := provider.Counts()
	o.begin()
	gate.release()
	await.Within(t, time.Minute, "a write fails", func() bool { return strings.Contains(dev.Output(), writesFail) })
	lasts := ifShort(2*time.Second, 45*time.Second)
	over := time.Now().Add(lasts)
	await.Within(t, 2*time.Minute, "the outage lasts", func() bool { return time.Now().After(over) })
	now := provider.Counts()
	o.end()
	texts, summaries := now.TextsAnswered-before.TextsAnswered, now.ChatRequests-before.ChatRequests
	t.Logf("%d texts and %d requests for summaries were answered during the outage", texts, summaries)
	if limit := maxOutageRequests(lasts); !o.failsLate && (texts > limit*smallBatch || summaries > limit) {
		t.Errorf("%d texts and %d requests for summaries were answered while nothing could be written, want at most %d and %d", texts, summaries, limit*smallBatch, limit)
	}
	await.Within(t, 3*time.Minute, "all jobs have ended", func() bool {
		for _, job := range audit.Jobs(t, c) {
			if !job.State.Ended() {
				return false
			}
		}
		return true
	})

	for _, job := range audit.Jobs(t, c) {
		if job.State != document.JobSucceeded {
			t.Errorf("job %s is %s: %s", job.ID, job.State, job.Tasks.Knowledge.Error+job.Tasks.Summary.Error)
		}
	}
	documents := audit.Documents(t, c)
	for _, file := range files {
		audit.CheckDocument(t, c, documents[file.key], file.text)
	}
	// In the long form a lease may expire, and the requests in flight under it are sent again.
	limit := ifShort(0, fewInFlight)
	if texts := countResent(t, provider.EmbeddedTexts()); texts > limit*smallBatch {
		t.Errorf("%d texts were embedded again, want at most %d", texts, limit*smallBatch)
	}
	mu.Lock()
	defer mu.Unlock()
	if sections := countResent(t, chats); sections > limit {
		t.Errorf("%d sections were summarised again, want at most %d", sections, limit)
	}
	t.Logf("%d texts were embedded, and %d sections summarised", len(provider.EmbeddedTexts()), len(chats))
}

// countResent returns the number of times that a text was sent which had been sent before.
func countResent(t *testing.T, sent map[string]int) (again int) {
	t.Helper()
	for text, times := range sent {
		if times > 1 && text != provider.ProbeText {
			t.Logf("sent %d times: %.100q", times, text)
			again += times - 1
		}
	}
	return again
}
