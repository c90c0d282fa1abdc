package fault_test

import (
	"sync"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
)

// Programs are killed at random moments while documents are uploaded. Nothing is lost, and few
// passages are embedded twice.
func TestKills(t *testing.T) {
	t.Parallel()
	kills := ifShort(6, 20)
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{Latency: 20 * time.Millisecond, TextsPerSecond: 300})
	running := map[string]*program.Program{}
	for _, name := range programs {
		running[name] = m.start(name)
	}
	files := newFiles(m.random, ifShort(60, 200))
	var uploads sync.WaitGroup
	uploads.Go(func() { m.uploadAll(files) })

	victims := make([]string, kills)
	for i := range victims {
		victims[i] = programs[i%len(programs)]
	}
	m.random.Shuffle(kills, func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })

	// Each moment is chosen by the progress of the work, plus a random part of the duration of a
	// batch.
	all := countPassages(t, files)
	for kill := range kills {
		progress := all * (kill*100 + m.random.IntN(100)) / (kills * 100)
		await.Within(t, 3*time.Minute, "enough work is done for the next kill", func() bool { return m.provider.Counts().TextsAnswered >= progress })
		<-time.After(time.Duration(m.random.IntN(100)) * time.Millisecond)
		victim := victims[kill]
		t.Logf("kill %d: %s after %d passages", kill+1, victim, m.provider.Counts().TextsAnswered)
		running[victim].Kill()
		running[victim] = m.start(victim)
	}
	uploads.Wait()
	m.audit(5*time.Minute, kills*maxBatchPassages)
}
