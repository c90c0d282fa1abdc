package webhook

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// maxURLBytes is the length of the longest address that is taken, in bytes.
const maxURLBytes = 2048

// CheckURL returns fault.BadRequest for an address that nothing can be delivered
// to. What its host's name resolves to is seen at each delivery, since it may
// change in between.
func (s *Sender) CheckURL(address string) error {
	refuse := func(why string, args ...any) error {
		return fault.New(fault.BadRequest, "url: "+why, args...)
	}
	if len(address) > maxURLBytes {
		return refuse("it has %d bytes; at most %d are taken", len(address), maxURLBytes)
	}
	u, err := url.Parse(address)
	if err != nil {
		return refuse("it is not readable; want one like https://example.com/hook")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return refuse("want an absolute one, like https://example.com/hook")
	case u.User != nil:
		return refuse("it has a user name or password; deliveries are told by their signature, or by a token in the path")
	case strings.Contains(address, "#"):
		return refuse("it has a fragment (#), which is never sent; leave it out")
	case u.Port() != "" && (err != nil || port == 0):
		return refuse("there is no port %s; want 1 to 65535", u.Port())
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := checkAddress(addr, s.allow); err != nil {
			return refuse("%v", err)
		}
	}
	return nil
}
