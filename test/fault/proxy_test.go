package fault_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// proxy is a proxy between the programs and one server.
type proxy struct {
	t     *testing.T
	proxy *toxiproxy.Proxy
}

// The directions of a connection through a proxy.
const (
	toServer   = "upstream"
	fromServer = "downstream"
)

// newProxy starts a proxy for the server at host:port, on a free port.
func newProxy(t *testing.T, name, server string) *proxy {
	t.Helper()
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &proxy{t, toxiproxy.NewProxy(api, name, "127.0.0.1:0", server)}
	p.up()
	t.Cleanup(p.down)
	return p
}

// addr returns the address where the proxy listens while it is up.
func (p *proxy) addr() string { return p.proxy.Listen }

// down aborts all connections and refuses new ones.
func (p *proxy) down() { p.proxy.Stop() }

// up accepts connections again, on the same port.
func (p *proxy) up() {
	p.t.Helper()
	if err := p.proxy.Start(); err != nil {
		p.t.Fatalf("start the proxy of %s: %v", p.proxy.Name, err)
	}
}

// addToxic adds a toxic of toxiproxy to the connections in one direction. If toxicity is less than
// 1, it affects only that share of them.
func (p *proxy) addToxic(kind, direction string, toxicity float64, attributes map[string]any) {
	p.t.Helper()
	toxic, err := json.Marshal(map[string]any{"type": kind, "stream": direction, "toxicity": toxicity, "attributes": attributes})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.proxy.Toxics.AddToxicJson(bytes.NewReader(toxic)); err != nil {
		p.t.Fatalf("add %s to the proxy of %s: %v", toxic, p.proxy.Name, err)
	}
}

// removeToxic removes a toxic.
func (p *proxy) removeToxic(kind, direction string) {
	p.t.Helper()
	if err := p.proxy.Toxics.RemoveToxic(p.t.Context(), kind+"_"+direction); err != nil {
		p.t.Fatalf("remove %s from the proxy of %s: %v", kind, p.proxy.Name, err)
	}
}

// latency delays all data by the given time, which is the sum for both directions.
func (p *proxy) latency(milliseconds int) {
	p.t.Helper()
	p.addToxic("latency", toServer, 1, map[string]any{"latency": milliseconds / 2})
	p.addToxic("latency", fromServer, 1, map[string]any{"latency": milliseconds - milliseconds/2})
}

// reset resets connections at random. The given percentage of the transmitted pieces, in either
// direction, do not arrive and end their connection.
func (p *proxy) reset(percent float64, seed uint64) {
	p.t.Helper()
	for _, direction := range []string{toServer, fromServer} {
		// With this toxic, toxiproxy closes connections with a reset instead of a clean close.
		// Toxicity 0 prevents its other effects.
		p.addToxic("reset_peer", direction, 0, nil)
		p.addToxic("random_reset", direction, 1, map[string]any{"chance": percent / 100, "seed": seed})
	}
}

// resetCount returns the number of connections that reset has ended.
func (p *proxy) resetCount() (n int) {
	for _, direction := range []string{toServer, fromServer} {
		toxic := p.proxy.Toxics.GetToxic("random_reset_" + direction).Toxic.(*randomReset)
		toxic.mu.Lock()
		n += toxic.resets
		toxic.mu.Unlock()
	}
	return n
}

// removeAllToxics removes all toxics.
func (p *proxy) removeAllToxics() { p.proxy.Toxics.ResetToxics(p.t.Context()) }

// randomReset is a toxic that ends a connection at a random piece of the data. toxiproxy's own
// toxics choose connections when they are opened, which is rare for pooled connections.
type randomReset struct {
	Chance float64 `json:"chance"` // probability for each piece
	Seed   uint64  `json:"seed"`

	mu     sync.Mutex
	random *rand.Rand
	resets int // number of resets
}

// Pipe implements toxics.Toxic.
func (s *randomReset) Pipe(stub *toxics.ToxicStub) {
	for {
		select {
		case <-stub.Interrupt:
			return
		case piece := <-stub.Input:
			if piece == nil || s.shouldReset() {
				stub.Close()
				return
			}
			stub.Output <- piece
		}
	}
}

func (s *randomReset) shouldReset() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.random == nil {
		s.random = rand.New(rand.NewPCG(s.Seed, 0))
	}
	if s.random.Float64() >= s.Chance {
		return false
	}
	s.resets++
	return true
}
