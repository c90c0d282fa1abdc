package badrequests

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Request is a request with at least one flaw.
type Request struct {
	Flaws  []string // what is wrong, for people
	Method string
	Bytes  []byte // as they go over the wire
	Ends   bool   // the client closes its side after them

	// Alien requests are not the HTTP that the server's library speaks: it
	// answers in its own words, or closes the connection.
	Alien bool
	// Unclean requests name a path in a roundabout way: they may be sent on to
	// the clean one.
	Unclean bool
}

// String shows the request to whoever has to find out what happened.
func (r Request) String() string {
	shown := r.Bytes
	if len(shown) > 1000 {
		shown = slices.Concat(shown[:1000], []byte("…"))
	}
	return fmt.Sprintf("flaws: %s\n%q", strings.Join(r.Flaws, "; "), shown)
}

// draft is a request in the making.
type draft struct {
	operation
	flaws   []string
	path    string   // escaped
	query   []string // name=value, escaped
	version string
	header  []string // lines
	media   string   // of the body; empty for none
	content []byte
	framing func(content []byte) (lines []string, sent []byte) // nil for a Content-Length that is right
	kept    float64                                            // of the head; all of it if zero
	ends    bool
	alien   bool
	unclean bool
}

// set puts a line in the place of those that begin with the same name.
func (d *draft) set(name, value string) {
	d.unset(name)
	d.header = append(d.header, name+": "+value)
}

func (d *draft) unset(name string) {
	d.header = slices.DeleteFunc(d.header, func(line string) bool { return strings.HasPrefix(line, name+":") })
}

// param sets a query parameter.
func (d *draft) param(name, escaped string) {
	d.query = slices.DeleteFunc(d.query, func(pair string) bool { return strings.HasPrefix(pair, name+"=") })
	d.query = append(d.query, name+"="+escaped)
}

// request writes the draft down.
func (d *draft) request() Request {
	target := d.path
	if len(d.query) > 0 {
		target += "?" + strings.Join(d.query, "&")
	}
	var lines []string
	content := d.content
	if d.media != "" {
		lines = append(lines, "Content-Type: "+d.media)
	}
	switch {
	case d.framing != nil:
		more, sent := d.framing(content)
		lines, content = append(lines, more...), sent
	case d.media != "" || len(content) > 0:
		lines = append(lines, fmt.Sprintf("Content-Length: %d", len(content)))
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\n", d.method, target, d.version)
	for _, line := range slices.Concat(d.header, lines) {
		b.WriteString(line + "\r\n")
	}
	if d.kept > 0 {
		b.Truncate(int(d.kept * float64(b.Len())))
	} else {
		b.WriteString("\r\n")
		b.Write(content)
	}
	return Request{Flaws: d.flaws, Method: d.method, Bytes: b.Bytes(), Ends: d.ends, Alien: d.alien, Unclean: d.unclean}
}
