// Package fault_test breaks the servers, the connections and the processes that the real programs
// depend on, and audits the result.
//
// The servers are separate sets that no other test uses; each server is reached through a proxy in
// this process. With -short, as in `make check`, the tests do less of everything; `make fault` runs
// all of it. Every random choice is derived from one seed, which is logged. -seed replays it.
package fault_test

import (
	"flag"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2/toxics"

	"github.com/seed-7a112592/gristmill/internal/test/program"
)

const seedEnv = "GRISTMILL_TEST_SEED"

var seed = flag.Uint64("seed", 0, "seed of every random choice; default: the value of "+seedEnv+", or a new seed")

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed, _ = strconv.ParseUint(os.Getenv(seedEnv), 10, 64) // 0 if it is not a number
	}
	if *seed == 0 {
		*seed = rand.Uint64N(1_000_000) + 1
	}
	toxics.Register("random_reset", new(randomReset))
	// Tests run in parallel, because most of their time is spent waiting for programs.
	_ = flag.Set("test.parallel", "6")
	go func() {
		interrupted := make(chan os.Signal, 1)
		signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
		<-interrupted
		clean()
		os.Exit(130)
	}()
	status := m.Run()
	clean()
	os.Exit(status)
}

func clean() {
	removeAllDisks()
	removeAllServers()
	program.RemoveBinaries()
}

// random returns the random generator of a test.
func random(t *testing.T) *rand.Rand {
	t.Logf("replay with -seed %d", *seed)
	name := fnv.New64a()
	_, _ = name.Write([]byte(t.Name()))
	return rand.New(rand.NewPCG(*seed, name.Sum64()))
}

// ifShort returns its first argument with -short, else the second.
func ifShort[T int | time.Duration](less, all T) T {
	if testing.Short() {
		return less
	}
	return all
}
