package webhook

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// maxURLBytes is the maximum length of a URL, in bytes.
const maxURLBytes = 2048

// CheckURL returns fault.BadRequest for an address to which nothing can be delivered. The address
// to which a host name resolves may change, so each delivery checks it.
func (s *Sender) CheckURL(address string) error {
	refuse := func(reason string, args ...any) error {
		return fault.New(fault.BadRequest, "url: "+reason, args...)
	}
	if len(address) > maxURLBytes {
		return refuse("%d bytes is too long; the maximum is %d", len(address), maxURLBytes)
	}
	u, err := url.Parse(address)
	if err != nil {
		return refuse("not a valid URL; want one such as https://example.com/hook")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return refuse("want an absolute URL such as https://example.com/hook")
	case u.User != nil:
		return refuse("it has a user name or password; receivers authenticate deliveries by the signature, or by a token in the path")
	case strings.Contains(address, "#"):
		return refuse("it has a fragment (#), which is never sent; remove it")
	case u.Port() != "" && (err != nil || port == 0):
		return refuse("port %s is invalid; want 1 to 65535", u.Port())
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := checkAddress(addr, s.allow); err != nil {
			return refuse("%v", err)
		}
	}
	return nil
}
