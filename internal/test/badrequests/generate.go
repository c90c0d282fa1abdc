package badrequests

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
)

// generator generates requests that a server must refuse.
type generator struct {
	rand       *rand.Rand
	operations []operation
	key        string
}

// newGenerator returns a generator for the contract in an OpenAPI description. The requests carry
// the key unless it is empty.
func newGenerator(seed uint64, description []byte, key string) (*generator, error) {
	operations, err := readContract(description)
	if err != nil {
		return nil, err
	}
	for _, o := range operations {
		if o.body != nil { // chosen more often, because a body can have more flaws
			operations = append(operations, o, o, o)
		}
	}
	return &generator{rand: rand.New(rand.NewPCG(seed, 0)), operations: operations, key: key}, nil
}

// flaw makes a request invalid, regardless of its other parts.
type flaw struct {
	name      string
	appliesTo func(g *generator, o operation) bool // nil for every operation
	apply     func(g *generator, d *draft)
}

// next returns the next request.
func (g *generator) next() badRequest {
	d := g.validRequest(pick(g, g.operations))
	var fitting [][]flaw // by kind, so that a kind with many flaws is not chosen more often
	for _, kind := range [][]flaw{flawsOfRequests, flawsOfHTTP, flawsOfJSON, flawsOfUploads} {
		kind = slices.DeleteFunc(slices.Clone(kind), func(f flaw) bool { return f.appliesTo != nil && !f.appliesTo(g, d.operation) })
		if len(kind) > 0 {
			fitting = append(fitting, kind)
		}
	}
	for range 1 + g.rand.IntN(2) {
		f := pick(g, pick(g, fitting))
		f.apply(g, d)
		d.flaws = append(d.flaws, f.name)
	}
	g.addNoise(d)
	return d.request()
}

var pathParameter = regexp.MustCompile(`\{[^}]*\}`)

// validRequest returns a request without flaws, except that the ids in its path are unused.
func (g *generator) validRequest(o operation) *draft {
	d := &draft{operation: o, version: "HTTP/1.1", header: []string{"Host: gristmill.test"}}
	if o.method == "GET" && g.rand.IntN(10) == 0 {
		d.method = "HEAD"
	}
	d.path = g.unusedPath(o)
	if g.key != "" {
		d.setHeader("Authorization", "Bearer "+g.key)
	}
	switch {
	case o.takesDocument():
		d.param("key", "fuzz-"+g.unusedID()+".md")
		d.media, d.content = "text/markdown", []byte("# Fuzz\n\nGrain "+g.unusedID()+".\n")
	case o.takesForm():
		d.media, d.content = g.form(field("key", "fuzz-"+g.unusedID()+".md"), file("fuzz.md", "# Fuzz\n"))
	case o.jsonBody() != nil:
		d.media, d.content = "application/json", encode(g.validObject(o.jsonBody()))
	}
	return d
}

// unusedPath returns the path of the operation with unused ids.
func (g *generator) unusedPath(o operation) string {
	return pathParameter.ReplaceAllStringFunc(o.path, func(string) string { return g.unusedID() })
}

// unusedID returns a UUID of version 7 that no object has.
func (g *generator) unusedID() string {
	return fmt.Sprintf("ffffffff-%04x-7%03x-8%03x-%012x", g.rand.IntN(1<<16), g.rand.IntN(1<<12), g.rand.IntN(1<<12), g.rand.Int64N(1<<48))
}

// pick returns a random choice.
func pick[T any](g *generator, choices []T) T { return choices[g.rand.IntN(len(choices))] }

// noise are unusual header lines that do not make a request invalid.
var noise = []string{
	"X-Request-Id: \xff\xfe", "X-Request-Id: " + strings.Repeat("x", 5000), `X-Request-Id: {"a":1}`,
	"Idempotency-Key:", "Idempotency-Key: \xc3\x28", "Idempotency-Key: " + strings.Repeat("k", 5000), "Idempotency-Key: a, b",
	"Last-Event-ID: " + strings.Repeat("9", 5000), "Last-Event-ID: \x80", "Last-Event-ID: -1",
	"Range: bytes=9-1", "Range: cows=1-2", "Range: bytes=" + strings.Repeat("0-1,", 500), "If-Range: x", `If-None-Match: "`, "If-Modified-Since: never",
	"Accept: nonsense", "Accept: text/event-stream;q=2", "Accept-Encoding: gzip;q=x, *", "Accept-Language: \xf0\x9f\x8c\xbe",
	"Cookie: a=b; ; =", "Traceparent: 00-zz", "X-Forwarded-For: ::::", "Origin: null", "Content-Language: ???", "Connection: close", "Connection: upgrade",
	"Upgrade: websocket", "Expect: 100-continue", "X-Long: " + strings.Repeat("x", 64<<10), "X-HTTP-Method-Override: DELETE",
}

// addNoise adds up to three lines of noise, and sometimes 500 further headers.
func (g *generator) addNoise(d *draft) {
	for range g.rand.IntN(4) {
		d.header = append(d.header, pick(g, noise))
	}
	if g.rand.IntN(50) == 0 {
		for i := range 500 {
			d.header = append(d.header, fmt.Sprintf("X-Many-%d: x", i))
		}
	}
}
