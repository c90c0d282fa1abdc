package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// checkOrigin refuses what a page of another site has a browser send. A server
// that asks for no key listens on loopback only, where everybody on the machine
// may do everything; a page that the machine's user looks at may not. It can
// reach the server by a name of its own that leads to 127.0.0.1, which the
// header Host shows, or by a form or script across origins. No answer has CORS
// headers, so pages cannot read either. A key keeps all of them out.
func (s *server) checkOrigin(r *http.Request) error {
	if s.APIKey != "" {
		return nil
	}
	if !IsLocal(r) {
		return fault.New(fault.Forbidden,
			"Host %q is not this machine's: without GRISTMILL_API_KEY only localhost, 127.0.0.1 and [::1] are answered", r.Host)
	}
	if err := s.crossOrigin.Check(r); err != nil {
		return fault.Wrap(fault.Forbidden, err, "a page of another origin cannot change anything here without a key")
	}
	return nil
}

// IsLocal reports whether a request asks for this machine by a name or address
// of its loopback.
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
