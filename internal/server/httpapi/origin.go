package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// checkOrigin refuses requests that a page of another site makes a browser send. A server without a
// key listens on loopback only. There every user of the machine may do everything, but a web page in
// the user's browser must not. A page can reach the server with a host name that resolves to
// 127.0.0.1, which the header Host shows, or with a form or script across origins. Responses have no
// CORS headers, so that pages cannot read them. With a key, none of this is possible.
func (s *server) checkOrigin(r *http.Request) error {
	if s.APIKey != "" {
		return nil
	}
	if !IsLocal(r) {
		return fault.New(fault.Forbidden,
			"Host %q is not this machine: without GRISTMILL_API_KEY, send requests to localhost, 127.0.0.1 or [::1]", r.Host)
	}
	if err := s.crossOrigin.Check(r); err != nil {
		return fault.Wrap(fault.Forbidden, err, "a page of another origin cannot change data without a key")
	}
	return nil
}

// IsLocal reports whether the host of a request is localhost or a loopback address.
func IsLocal(r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil && address.Unmap().IsLoopback()
}
