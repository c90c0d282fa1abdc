package badrequests

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// badRequest is a request with at least one flaw.
type badRequest struct {
	flaws       []string // names of the flaws, for error messages
	method      string
	bytes       []byte // the request as sent
	closesWrite bool   // the client closes its side of the connection after sending

	// malformedHTTP requests are not valid HTTP for net/http: it answers itself, or closes the
	// connection.
	malformedHTTP bool
	// uncleanPath requests name a path that is not clean: the server may redirect them to the clean
	// one.
	uncleanPath bool
}

// String returns the flaws and the beginning of the request, for error messages.
func (r badRequest) String() string {
	shown := r.bytes
	if len(shown) > 1000 {
		shown = slices.Concat(shown[:1000], []byte("…"))
	}
	return fmt.Sprintf("flaws: %s\n%q", strings.Join(r.flaws, "; "), shown)
}

// draft is a request before it is encoded.
type draft struct {
	operation
	flaws         []string
	path          string   // escaped
	query         []string // name=value, escaped
	version       string
	header        []string // lines
	media         string   // of the body; empty for none
	content       []byte
	framing       func(content []byte) (lines []string, sent []byte) // nil for a correct Content-Length
	headFraction  float64                                            // part of the head that is sent; 0 for all of it
	closesWrite   bool
	malformedHTTP bool
	uncleanPath   bool
}

// setHeader replaces the header lines with this name.
func (d *draft) setHeader(name, value string) {
	d.removeHeader(name)
	d.header = append(d.header, name+": "+value)
}

func (d *draft) removeHeader(name string) {
	d.header = slices.DeleteFunc(d.header, func(line string) bool { return strings.HasPrefix(line, name+":") })
}

// param sets a query parameter to an escaped value.
func (d *draft) param(name, escaped string) {
	d.query = slices.DeleteFunc(d.query, func(pair string) bool { return strings.HasPrefix(pair, name+"=") })
	d.query = append(d.query, name+"="+escaped)
}

// request encodes the draft.
func (d *draft) request() badRequest {
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
	if d.headFraction > 0 {
		b.Truncate(int(d.headFraction * float64(b.Len())))
	} else {
		b.WriteString("\r\n")
		b.Write(content)
	}
	return badRequest{flaws: d.flaws, method: d.method, bytes: b.Bytes(), closesWrite: d.closesWrite, malformedHTTP: d.malformedHTTP, uncleanPath: d.uncleanPath}
}
