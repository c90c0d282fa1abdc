package e2e_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/corpus"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/internal/upload"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// providerEnv returns settings for a fake provider with vectors of 64 dimensions.
func providerEnv(p *fakeprovider.Provider) []string {
	return []string{
		"GRISTMILL_OPENAI_BASE_URL=" + p.URL(),
		"GRISTMILL_EMBEDDING_MODEL=fake",
		"GRISTMILL_EMBEDDING_DIMENSIONS=64",
	}
}

// chatEnv is providerEnv with a model for summaries.
func chatEnv(p *fakeprovider.Provider) []string {
	return append(providerEnv(p), "GRISTMILL_SUMMARY_MODEL=fake-chat")
}

// copyCorpus copies the corpus to a directory that the test may change.
func copyCorpus(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(corpus.Dir(t))); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o700)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// edit appends a paragraph to the largest file of a corpus. It returns the heading above the
// paragraph.
func edit(t *testing.T, dir string) (heading string) {
	t.Helper()
	var largest string
	var size int64
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(largest)
	if err != nil {
		t.Fatal(err)
	}
	for piece, err := range markdown.Scan(bytes.NewReader(source), markdown.Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		if piece.Heading != nil {
			heading = piece.Heading.Text
		}
	}
	if heading == "" {
		t.Fatalf("%s has no heading", largest)
	}
	edited := strings.TrimRight(string(source), "\n") + "\n\nThe mill stands still on Sundays.\n"
	if err := os.WriteFile(largest, []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	return heading
}

// embeddedTwice returns the texts that were embedded more than once. Each process that starts may
// send one probe.
func embeddedTwice(embedded map[string]int) []string {
	const starts = 3
	var texts []string
	for text, n := range embedded {
		if n > 1 && (text != provider.ProbeText || n > starts) {
			texts = append(texts, text)
		}
	}
	return texts
}

// checkEdit checks that after an edit below heading only passages below it were sent, and none that
// had been sent before.
func checkEdit(t *testing.T, before, after map[string]int, heading string) {
	t.Helper()
	if len(embeddedTwice(after)) > 0 {
		t.Errorf("after the edit these texts were sent again: %q", embeddedTwice(after))
	}
	fresh := 0
	for text := range after {
		if before[text] > 0 {
			continue
		}
		fresh++
		if !strings.Contains(text, heading) {
			t.Errorf("editing %q sent a passage of another section: %.200q", heading, text)
		}
	}
	if fresh == 0 {
		t.Error("the edit sent nothing")
	}
}

func TestDevModeIngestsOnlyChanges(t *testing.T) {
	t.Parallel()
	provider := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 64, RecordTexts: true})
	dir, data := copyCorpus(t), t.TempDir()
	dev := func(more ...string) *program.Program {
		args := append([]string{"dev", "--addr", "127.0.0.1:0", "--data", data}, more...)
		return program.Start(t, providerEnv(provider), "gristmill", append(args, dir)...)
	}

	first := dev("--once")
	if status := first.Wait(); status != 0 {
		t.Fatalf("dev --once exited with %d:\n%s", status, first.Output())
	}
	sent := provider.EmbeddedTexts()
	if len(sent) == 0 || len(embeddedTwice(sent)) > 0 {
		t.Errorf("%d texts were embedded, these more than once: %q", len(sent), embeddedTwice(sent))
	}

	second := dev("--once")
	if status := second.Wait(); status != 0 {
		t.Fatalf("the second run exited with %d:\n%s", status, second.Output())
	}
	if now := provider.EmbeddedTexts(); len(now) != len(sent) || len(embeddedTwice(now)) > 0 {
		t.Errorf("the second run sent %d new texts, and these again: %q", len(now)-len(sent), embeddedTwice(now))
	}

	heading := edit(t, dir)
	third := dev()
	c := third.Client("")
	awaitJobs(t, c, func(jobs []document.Job) bool {
		return slices.ContainsFunc(jobs, func(j document.Job) bool { return j.Version == 2 && j.State.Ended() })
	})
	checkCorpus(t, c, dir)
	checkEdit(t, sent, provider.EmbeddedTexts(), heading)
	documents := audit.Documents(t, c)
	if jobs := audit.Jobs(t, c); len(jobs) != len(documents)+1 {
		t.Errorf("%d jobs for %d documents and one edit", len(jobs), len(documents))
	}
	if status := third.Stop(); status != 0 {
		t.Errorf("dev exited with %d:\n%s", status, third.Output())
	}
}

func TestDevModeFinishesAfterSIGKILL(t *testing.T) {
	t.Parallel()
	provider := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 64, RecordTexts: true, Latency: 20 * time.Millisecond})
	dir, data := corpus.Dir(t), t.TempDir()
	args := []string{"dev", "--addr", "127.0.0.1:0", "--data", data, dir}
	release := hangEveryNth(t, provider, dir)
	first := program.Start(t, providerEnv(provider), "gristmill", args...)
	c := first.Client("")
	awaitPartlyDone(t, c)
	first.Kill()
	release()

	second := program.Start(t, providerEnv(provider), "gristmill", append(args, "--once")...)
	if status := second.Wait(); status != 0 {
		t.Fatalf("after SIGKILL dev --once exited with %d:\n%s", status, second.Output())
	}
	third := program.Start(t, providerEnv(provider), "gristmill", "dev", "--addr", "127.0.0.1:0", "--data", data)
	checkCorpus(t, third.Client(""), dir)
	checkInFlight(t, provider)
}

// hangEveryNth makes every nth embedding request hang until release is called, so that some
// documents become ready and others keep running, even if there are only a few short ones.
func hangEveryNth(t *testing.T, server *fakeprovider.Provider, dir string) (release func()) {
	t.Helper()
	files, err := upload.Find([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	nth := int64(max(2, len(files)/16))
	var seen atomic.Int64
	server.SetScript(func(r fakeprovider.Request) fakeprovider.Fault {
		if r.Chat || slices.Contains(r.Texts, provider.ProbeText) || seen.Add(1)%nth != 0 {
			return nil
		}
		return fakeprovider.Hang
	})
	return func() { server.SetScript(nil) }
}

// awaitPartlyDone waits until a quarter of the documents is ready and others are running.
func awaitPartlyDone(t *testing.T, c *client.Client) {
	t.Helper()
	awaitJobs(t, c, func(jobs []document.Job) bool {
		ended, running := 0, 0
		for _, job := range jobs {
			switch {
			case job.Tasks.Knowledge.State.Ended():
				ended++
			case job.Tasks.Knowledge.State == document.JobRunning:
				running++
			}
		}
		return ended > 0 && running > 0 && ended >= len(jobs)/4
	})
}

// checkInFlight checks that no more texts were embedded twice than can have been in flight when a
// worker was killed.
func checkInFlight(t *testing.T, server *fakeprovider.Provider) {
	t.Helper()
	const requests, batch = 16, 64 // GRISTMILL_EMBEDDING_CONCURRENCY and _BATCH
	embedded := server.EmbeddedTexts()
	again := 0
	for text, n := range embedded {
		if text == provider.ProbeText { // sent by each program that starts
			continue
		}
		if n > 2 {
			t.Errorf("embedded %d times: %.80q", n, text)
		}
		again += n - 1
	}
	t.Logf("%d of %d texts were embedded twice", again, len(embedded))
	if again > requests*batch {
		t.Errorf("%d texts were embedded twice, want at most the %d that can have been in flight", again, requests*batch)
	}
	if len(embedded) == 0 {
		t.Error("nothing was embedded")
	}
}

// awaitJobs polls the jobs until wanted returns true.
func awaitJobs(t *testing.T, c *client.Client, wanted func([]document.Job) bool) {
	t.Helper()
	ctx := timeoutContext(t)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := c.Jobs(ctx, document.JobFilter{}, document.Page{Limit: 1000})
		if err == nil && wanted(list.Items) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the jobs did not reach the wanted state: %d jobs, error %v", len(list.Items), err)
		case <-tick.C:
		}
	}
}
