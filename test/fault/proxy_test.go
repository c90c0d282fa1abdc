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

// proxy stands between the programs and one server.
type proxy struct {
	t     *testing.T
	proxy *toxiproxy.Proxy
}

// The directions of a connection through a proxy.
const (
	toServer   = "upstream"
	fromServer = "downstream"
)

// newProxy returns a proxy before the server at an address, host:port, on a
// port of its own.
func newProxy(t *testing.T, name, server string) *proxy {
	t.Helper()
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &proxy{t, toxiproxy.NewProxy(api, name, "127.0.0.1:0", server)}
	p.up()
	t.Cleanup(p.down)
	return p
}

// addr is where the proxy listens while it is up.
func (p *proxy) addr() string { return p.proxy.Listen }

// down breaks every connection off and refuses new ones.
func (p *proxy) down() { p.proxy.Stop() }

// up takes connections again, on the same port.
func (p *proxy) up() {
	p.t.Helper()
	if err := p.proxy.Start(); err != nil {
		p.t.Fatalf("start the proxy of %s: %v", p.proxy.Name, err)
	}
}

// addToxic poisons every connection in one direction with a toxic of toxiproxy, a
// share of them if toxicity is less than 1.
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

// removeToxic takes a toxic away again.
func (p *proxy) removeToxic(kind, direction string) {
	p.t.Helper()
	if err := p.proxy.Toxics.RemoveToxic(p.t.Context(), kind+"_"+direction); err != nil {
		p.t.Fatalf("remove %s from the proxy of %s: %v", kind, p.proxy.Name, err)
	}
}

// latency delays whatever is sent, by that many milliseconds in both
// directions together.
func (p *proxy) latency(milliseconds int) {
	p.t.Helper()
	p.addToxic("latency", toServer, 1, map[string]any{"latency": milliseconds / 2})
	p.addToxic("latency", fromServer, 1, map[string]any{"latency": milliseconds - milliseconds/2})
}

// reset resets connections at random: a percentage of the pieces that are sent, in
// either direction, never arrive and end their connection.
func (p *proxy) reset(percent float64, seed uint64) {
	p.t.Helper()
	for _, direction := range []string{toServer, fromServer} {
		// toxiproxy closes a connection with a reset rather than in order when
		// this toxic is there; the toxicity keeps it from doing anything else.
		p.addToxic("reset_peer", direction, 0, nil)
		p.addToxic("strike", direction, 1, map[string]any{"chance": percent / 100, "seed": seed})
	}
}

// resetCount returns how many connections reset has ended.
func (p *proxy) resetCount() (n int) {
	for _, direction := range []string{toServer, fromServer} {
		toxic := p.proxy.Toxics.GetToxic("strike_" + direction).Toxic.(*randomReset)
		toxic.mu.Lock()
		n += toxic.resets
		toxic.mu.Unlock()
	}
	return n
}

// removeAllToxics takes all toxics away.
func (p *proxy) removeAllToxics() { p.proxy.Toxics.ResetToxics(p.t.Context()) }

// randomReset is a toxic that ends a connection at a random piece of what is sent.
// toxiproxy's own choose a connection once, when it begins, and pooled
// connections begin seldom.
type randomReset struct {
	Chance float64 `json:"chance"` // of each piece
	Seed   uint64  `json:"seed"`

	mu     sync.Mutex
	random *rand.Rand
	resets int // how often
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
