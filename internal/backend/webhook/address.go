package webhook

import (
	"fmt"
	"net/netip"
	"strings"
)

// ParseNetworks parses networks separated by commas: 10.0.0.0/8,fd00::/8.
func ParseNetworks(text string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		network, err := netip.ParsePrefix(word)
		if err != nil || network.Addr().Is4In6() {
			return nil, fmt.Errorf("%q is not a network; want networks such as 10.0.0.0/8,fd00::/8; a single address is 10.0.0.1/32", word)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

// specialNetworks are the networks that are not public although they are within the public ranges,
// from IANA's special-purpose address registries.
var specialNetworks = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "an unspecified"},
	{netip.MustParsePrefix("10.0.0.0/8"), "a private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "a private"}, // carrier-grade NAT
	{netip.MustParsePrefix("127.0.0.0/8"), "a loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local"},
	{netip.MustParsePrefix("172.16.0.0/12"), "a private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "a reserved"},
	{netip.MustParsePrefix("192.0.2.0/24"), "a documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "a reserved"},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private"},
	{netip.MustParsePrefix("198.18.0.0/15"), "a benchmark"},
	{netip.MustParsePrefix("198.51.100.0/24"), "a documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "a documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved"},

	{netip.MustParsePrefix("::/128"), "an unspecified"},
	{netip.MustParsePrefix("::1/128"), "a loopback"},
	{netip.MustParsePrefix("2001::/23"), "a reserved"}, // includes Teredo
	{netip.MustParsePrefix("2001:db8::/32"), "a documentation"},
	{netip.MustParsePrefix("3fff::/20"), "a documentation"},
	{netip.MustParsePrefix("fc00::/7"), "a private"},
	{netip.MustParsePrefix("fe80::/10"), "a link-local"},
	{netip.MustParsePrefix("ff00::/8"), "a multicast"},
}

var (
	publicIPv6 = netip.MustParsePrefix("2000::/3") // all addresses that IANA has assigned so far
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour  = netip.MustParsePrefix("2002::/16")
)

// refusedAddressError says that deliveries must not go to an address. It does not show the address,
// because clients must not learn to which addresses names resolve in our network.
type refusedAddressError struct{ what string }

func (r *refusedAddressError) Error() string {
	return fmt.Sprintf("%s address is refused: deliveries go only to public addresses and to the networks in GRISTMILL_WEBHOOK_ALLOW", r.what)
}

// checkAddress refuses addresses that are neither public nor in an allowed network. An IPv6 address
// that embeds an IPv4 address is checked as that IPv4 address.
func checkAddress(addr netip.Addr, allow []netip.Prefix) error {
	addr = addr.WithZone("") // no prefix contains an address with a zone
	for _, prefix := range allow {
		if prefix.Contains(addr) {
			return nil
		}
	}
	if v4, ok := embeddedIPv4(addr); ok {
		return checkAddress(v4, allow)
	}
	for _, s := range specialNetworks {
		if s.prefix.Contains(addr) {
			return &refusedAddressError{s.what}
		}
	}
	if !addr.Is4() && !publicIPv6.Contains(addr) {
		return &refusedAddressError{"a reserved"}
	}
	return nil
}

// embeddedIPv4 returns the IPv4 address to which packets to an IPv6 address are finally sent.
func embeddedIPv4(addr netip.Addr) (netip.Addr, bool) {
	bytes := addr.As16()
	switch {
	case addr.Is4In6():
		return addr.Unmap(), true
	case nat64.Contains(addr):
		return netip.AddrFrom4([4]byte(bytes[12:])), true
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(bytes[2:])), true
	default:
		return netip.Addr{}, false
	}
}
