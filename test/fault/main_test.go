// Package fault_test breaks the servers, the connections and the processes
// under the real programs, and audits what is left.
//
// The servers are sets of their own, which other tests do not use; each server
// is reached through a proxy in this process. With -short there is less of
// everything, for `make check`; `make fault` runs it all. Every random choice
// follows from one seed, which is logged; -seed replays it.
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

var seed = flag.Uint64("seed", 0, "of every random choice; without it that of "+seedEnv+", or a new one")

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed, _ = strconv.ParseUint(os.Getenv(seedEnv), 10, 64) // no number is none
	}
	if *seed == 0 {
		*seed = rand.Uint64N(1_000_000) + 1
	}
	toxics.Register("strike", new(randomReset))
	// Most of what these tests do is wait for each other's programs.
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

// random returns the choices of a test.
func random(t *testing.T) *rand.Rand {
	t.Logf("replay with -seed %d", *seed)
	name := fnv.New64a()
	_, _ = name.Write([]byte(t.Name()))
	return rand.New(rand.NewPCG(*seed, name.Sum64()))
}

// ifShort returns the first of two amounts with -short, else the second.
func ifShort[T int | time.Duration](less, all T) T {
	if testing.Short() {
		return less
	}
	return all
}
