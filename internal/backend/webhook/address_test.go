package webhook

import (
	"net/netip"
	"strings"
	"testing"
)

func TestCheckAddresses(t *testing.T) {
	t.Parallel()
	for addr, what := range map[string]string{ // "" for a public address
		"1.1.1.1": "", "93.184.215.14": "", "9.255.255.255": "", "11.0.0.0": "", "172.15.255.255": "", "172.32.0.0": "",
		"100.63.255.255": "", "100.128.0.0": "", "169.253.255.255": "", "223.255.255.255": "", "192.0.1.0": "", "198.17.255.255": "",
		"2606:4700:4700::1111": "", "2001:4860:4860::8888": "", "2a00::": "", "::ffff:1.1.1.1": "",
		"64:ff9b::101:101": "", "2002:101:101::1": "",

		"0.0.0.0": "unspecified", "0.1.2.3": "unspecified", "::": "unspecified",
		"127.0.0.1": "loopback", "127.255.255.255": "loopback", "::1": "loopback",
		"10.0.0.1": "private", "10.255.255.255": "private", "172.16.0.1": "private", "172.31.255.255": "private", "192.168.1.1": "private",
		"100.64.0.1": "private", "100.127.255.255": "private", "fc00::1": "private", "fd12:3456::1": "private",
		"169.254.169.254": "link-local", "fe80::1": "link-local", "fe80::1%eth0": "link-local",
		"224.0.0.1": "multicast", "239.255.255.255": "multicast", "ff02::1": "multicast",
		"240.0.0.1": "reserved", "255.255.255.255": "reserved", "192.0.0.8": "reserved", "192.88.99.1": "reserved",
		"192.0.2.1": "documentation", "198.51.100.1": "documentation", "203.0.113.1": "documentation",
		"2001:db8::1": "documentation", "3fff::1": "documentation", "198.18.0.1": "benchmark", "198.19.255.255": "benchmark",
		"fec0::1": "reserved", "100::1": "reserved", "4000::1": "reserved", "5f00::1": "reserved", "2001::1": "reserved", "2001:2::1": "reserved",

		// IPv6 addresses that embed an IPv4 address.
		"::ffff:127.0.0.1": "loopback", "::ffff:10.0.0.1": "private", "::ffff:169.254.169.254": "link-local", "::ffff:0.0.0.0": "unspecified",
		"64:ff9b::7f00:1": "loopback", "64:ff9b::a9fe:a9fe": "link-local", "64:ff9b::a00:1": "private", "64:ff9b:1::101:101": "reserved",
		"2002:7f00:1::": "loopback", "2002:a00:1::1": "private", "2002:c0a8:101::": "private",
		"::127.0.0.1": "reserved", "::ffff:0:127.0.0.1": "reserved",
	} {
		err := checkAddress(netip.MustParseAddr(addr), nil)
		if what == "" && err != nil || what != "" && (err == nil || !strings.Contains(err.Error(), " "+what+" address")) {
			t.Errorf("%s: got %v, want %q", addr, err, what)
		}
		if err != nil && strings.Contains(err.Error(), addr+" ") {
			t.Errorf("the error contains the address: %v", err)
		}
	}
}

func TestCheckAllowedAddresses(t *testing.T) {
	t.Parallel()
	allow, err := ParseNetworks(" 10.1.2.3/16, 127.0.0.1/32,,fd00:1::/32 ")
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{
		"10.1.2.3": true, "10.2.0.1": false, "127.0.0.1": true, "127.0.0.2": false, "::1": false, "fd00:1::5": true, "fd00:2::5": false,
		"::ffff:10.1.2.3": true, "::ffff:10.2.0.1": false, "64:ff9b::a01:203": true, "2002:a01:203::1": true, "1.1.1.1": true,
	} {
		if err := checkAddress(netip.MustParseAddr(addr), allow); (err == nil) != want {
			t.Errorf("%s: got %v, want it allowed: %t", addr, err, want)
		}
	}
}

func TestParseNetworks(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"10.0.0.1", "10.0.0.0/33", "localhost", "10.0.0.0/8 fd00::/8", "::ffff:10.0.0.0/104", "/8"} {
		if got, err := ParseNetworks(text); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
	if got, err := ParseNetworks(""); err != nil || len(got) != 0 {
		t.Errorf("nothing: got %v, %v", got, err)
	}
}
