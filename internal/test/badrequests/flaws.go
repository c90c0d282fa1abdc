package badrequests

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

func isPrivate(_ *generator, o operation) bool { return !o.public }

func hasID(_ *generator, o operation) bool {
	return slices.ContainsFunc(o.paramsIn("path"), func(p parameter) bool { return p.Schema.Format == "uuid" })
}

// badValues are invalid values of the named query parameters.
var badValues = map[string][]string{
	"cursor": {"x", "%20", "////", "eyJ9", strings.Repeat("A", 5000)},
	"wait":   {"x", "-1s", "5", "1s1", "99999999999h"},
}

func hasBadValues(_ *generator, o operation) bool {
	return slices.ContainsFunc(o.paramsIn("query"), func(p parameter) bool { return len(invalidValuesOf(p)) > 0 })
}

// invalidValuesOf returns values that the parameter must refuse, escaped.
func invalidValuesOf(p parameter) []string {
	values := slices.Clone(badValues[p.Name])
	switch {
	case p.Schema.hasType("integer"):
		values = append(values, "x", "1.5", "1e1", "0x10", "--1", "99999999999999999999", "%2B", "NaN")
		if p.Schema.Maximum != nil {
			values = append(values, strconv.Itoa(int(*p.Schema.Maximum)+1))
		}
		if p.Schema.Minimum != nil {
			values = append(values, strconv.Itoa(int(*p.Schema.Minimum)-1))
		}
	case p.Schema.Format == "uuid":
		values = append(values, "x", "null", "0", strings.Repeat("f", 31), strings.Repeat("-", 36))
	case len(p.Schema.Enum) > 0:
		values = append(values, "nonsense", "0", "QUEUED", "%20ready")
	}
	return values
}

// nonTextValues are strings that no text may contain, escaped.
var nonTextValues = []string{"%ff", "%c3%28", "a%00b", "%ed%a0%80", "%f8%88%80%80%80"}

// flawsOfRequests are flaws that the server's own handlers must find.
var flawsOfRequests = []flaw{
	{"an unknown parameter", isPrivate, func(g *generator, d *draft) {
		d.query = append(d.query, pick(g, []string{"nothing=1", "Limit=1", "limit%20=1", "%F0%9F%8C%BE=1", "__proto__=1", strings.Repeat("n", 3000) + "=1"}))
	}},
	{"a parameter given twice", nil, func(g *generator, d *draft) {
		name := "limit"
		if known := d.paramsIn("query"); len(known) > 0 {
			name = pick(g, known).Name
		}
		d.query = append(d.query, name+"=1", name+"=1")
	}},
	{"a malformed query", nil, func(g *generator, d *draft) {
		d.query = append(d.query, pick(g, []string{"%zz", "%", "a=%f", "a;b", "key=%e", "%%"}))
	}},
	{"a query that is not UTF-8 text", nil, func(g *generator, d *draft) {
		pair := []string{"key", "x"}
		pair[g.rand.IntN(2)] = pick(g, nonTextValues)
		d.query = append(d.query, strings.Join(pair, "="))
	}},
	{"an invalid parameter value", hasBadValues, func(g *generator, d *draft) {
		p := pick(g, slices.DeleteFunc(d.paramsIn("query"), func(p parameter) bool { return len(invalidValuesOf(p)) == 0 }))
		d.param(p.Name, pick(g, invalidValuesOf(p)))
	}},
	{"a malformed id", hasID, func(g *generator, d *draft) {
		bad := []string{
			"x", "null", "-1", "%00", "%ff", "%2e%2e", "..%2f..", "%7B%7D", "*", "'%20OR%201=1", "%F0%9F%8C%BE", strings.Repeat("f", 36),
			strings.Repeat("f", 20000), g.unusedID() + "0", g.unusedID()[1:], "{" + g.unusedID()[1:] + "}", "urn:uid:" + g.unusedID(),
		}
		d.path = pathParameter.ReplaceAllLiteralString(d.operation.path, pick(g, bad))
	}},
	{"an unused id", hasID, func(*generator, *draft) {}},
	{"an unknown path", nil, func(g *generator, d *draft) {
		d.path = pick(g, []string{
			"/", "/v0", "/v1", "/v1/", "/v2/documents", "/favicon.ico", "/.env", "/v1/documents/", "/%00", "/%ff", "/\xff\xfe", "/v1/%2e%2e/documents",
			"/v1/documents%2f" + g.unusedID(), "/V1/DOCUMENTS", d.path + "/nothing/at/all", d.path + "/", "/" + strings.Repeat("x", 20000), "/\xf0\x9f\x8c\xbe",
		})
		d.uncleanPath = d.uncleanPath || strings.Contains(d.path, "%2e") || strings.Contains(d.path, "//")
	}},
	{"a path that is not clean", nil, func(g *generator, d *draft) {
		d.path = pick(g, []string{"/", "/.", "/v1/..", "/v1/../../../..", "//.."}) + g.unusedPath(d.operation)
		d.uncleanPath = true
	}},
	{"a method that the path does not support", nil, func(g *generator, d *draft) {
		methods := []string{"PATCH", "BREW", "TRACE", "CONNECT", "PROPFIND", "get", "M-SEARCH", "OPTIONS", "GET", "PUT", "POST", "DELETE", strings.Repeat("X", 3000)}
		if !slices.Contains(d.methods, "GET") {
			methods = append(methods, "HEAD")
		}
		methods = slices.DeleteFunc(methods, func(m string) bool { return slices.Contains(d.methods, m) })
		d.method = pick(g, methods)
	}},
	{"a missing or wrong key", func(g *generator, o operation) bool { return g.key != "" && !o.public }, func(g *generator, d *draft) {
		d.removeHeader("Authorization")
		if value := pick(g, []string{
			"", "Bearer", "Bearer ", "Bearer wrong", "Basic " + g.key, g.key, "Bearer " + g.key + "x", "Bearer \xff", "Bearer " + strings.Repeat("x", 5000), "Bearer Bearer " + g.key,
		}); value != "" {
			d.setHeader("Authorization", value)
		}
	}},
}

func malformingHTTP(do func(g *generator, d *draft)) func(g *generator, d *draft) {
	return func(g *generator, d *draft) {
		d.malformedHTTP = true
		do(g, d)
	}
}

func hasBody(_ *generator, o operation) bool { return o.body != nil }

// flawsOfHTTP are flaws below the contract. net/http finds most of them; the handler that reads the
// body finds the rest.
var flawsOfHTTP = []flaw{
	{"an invalid method", nil, malformingHTTP(func(g *generator, d *draft) {
		d.method = pick(g, []string{"", "GE T", "G\x00T", "(get)", "\xff", "GET\t", "\r\nGET"})
	})},
	{"an invalid path", nil, malformingHTTP(func(g *generator, d *draft) {
		d.path = pick(g, []string{"", "v1/documents", d.path + " " + d.path, d.path + "\x00", d.path + "\x7f", "/%zz", "/v1/documents/%", "http://%zz/", "://", "\t"})
	})},
	{"an invalid HTTP version", nil, malformingHTTP(func(g *generator, d *draft) {
		d.version = pick(g, []string{"", "HTTP/9.9", "HTTP/2.0", "HTTP/1", "HTTP/1.1x", "HTP/1.1", "HTTP/-1.1", "http/1.1", "HTTP/1.1 HTTP/1.1"})
	})},
	{"an invalid host", nil, malformingHTTP(func(g *generator, d *draft) {
		d.removeHeader("Host")
		d.header = append(d.header, pick(g, [][]string{{}, {"Host: a", "Host: b"}, {"Host: a b"}, {"Host: \xff"}, {"Host: <>"}})...)
	})},
	{"an invalid header", nil, malformingHTTP(func(g *generator, d *draft) {
		d.header = append(d.header, pick(g, []string{"Nonsense", ": x", "Bad Name: x", "Bad\x00Name: x", "X: a\x00b", "X: a\x01b", "X\xff: x", "X : x", "\x00"}))
	})},
	{"an endless header", nil, malformingHTTP(func(g *generator, d *draft) {
		if g.rand.IntN(10) > 0 { // rarely, because the header is large
			d.header = append(d.header, "Nonsense")
			return
		}
		d.header = append(d.header, "X-Long: "+strings.Repeat("x", 1<<20+8<<10))
	})},
	{"an unknown expectation", nil, malformingHTTP(func(g *generator, d *draft) {
		d.header = slices.Insert(d.header, 0, "Expect: "+pick(g, []string{"nonsense", "200-ok", "101-continue"}))
	})},
	{"an invalid length", nil, malformingHTTP(func(g *generator, d *draft) {
		lines := pick(g, [][]string{
			{"Content-Length: -1"}, {"Content-Length: x"}, {"Content-Length: 5, 6"}, {"Content-Length: +5"}, {"Content-Length: 0x5"},
			{"Content-Length: 5", "Content-Length: 6"}, {"Content-Length: 99999999999999999999"}, {"Transfer-Encoding: gzip"},
			{"Transfer-Encoding: chunked, chunked"}, {"Transfer-Encoding: identity"}, {"Transfer-Encoding: chunked", "Transfer-Encoding: chunked"},
		})
		d.framing = func(content []byte) ([]string, []byte) { return lines, content }
		d.closesWrite = true
	})},
	{"a truncated head", nil, malformingHTTP(func(g *generator, d *draft) {
		d.headFraction = g.rand.Float64()
		d.closesWrite = true
	})},
	{"a truncated body", hasBody, func(g *generator, d *draft) {
		sent := g.rand.IntN(len(d.content) + 1)
		missing := 1 + g.rand.IntN(1000)
		d.framing = func(content []byte) ([]string, []byte) {
			sent := min(sent, len(content))
			return []string{fmt.Sprintf("Content-Length: %d", len(content)+missing)}, content[:sent]
		}
		d.closesWrite = true
	}},
	{"broken chunks", hasBody, func(g *generator, d *draft) {
		end := pick(g, []string{
			"", "x\r\n", "-1\r\nx\r\n", "5\r\nab", "5\r\nabcdefgh\r\n", "ffffffffffffffffff\r\nx", "7fffffffffffffff\r\nx", "\r\n\r\n", "3;" + strings.Repeat("x", 5000) + "\r\nabc\r\n",
			"0\r\nNonsense\r\n\r\n", "0\r\n",
		})
		d.framing = func(content []byte) ([]string, []byte) {
			half := content[:len(content)/2]
			sent := fmt.Sprintf("%x\r\n%s\r\n", len(half), half)
			if len(half) == 0 {
				sent = ""
			}
			return []string{"Transfer-Encoding: chunked"}, []byte(sent + end)
		}
		d.closesWrite = true
	}},
}

// escape escapes a string for use in a query.
func escape(s string) string { return url.QueryEscape(s) }
