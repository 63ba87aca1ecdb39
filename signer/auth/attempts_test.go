package auth

import (
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

func TestAttemptsCountFailuresOnly(t *testing.T) {
	at := now
	a := NewAttempts(3, func() time.Time { return at })
	addr, other := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8")
	for range 100 { // logins that succeed
		if _, ok := a.Take(addr); !ok {
			t.Fatal("a success counts")
		}
		a.Return(addr)
	}
	for range 3 {
		if _, ok := a.Take(addr); !ok {
			t.Fatal("refused too early")
		}
	}
	if wait, ok := a.Take(addr); ok || wait != 20*time.Second {
		t.Errorf("the fourth failure: %v, wait %v, want 20 s", ok, wait)
	}
	if _, ok := a.Take(other); !ok {
		t.Error("another address has to wait")
	}
	at = at.Add(20 * time.Second)
	if _, ok := a.Take(addr); !ok {
		t.Error("refused after the wait")
	}
	if _, ok := a.Take(addr); ok {
		t.Error("more than the wait has earned")
	}
	at = at.Add(time.Hour)
	for range 50 {
		a.Return(addr)
	}
	for i := range 4 {
		if _, ok := a.Take(addr); ok != (i < 3) {
			t.Errorf("attempt %d after an hour: %v", i, ok)
		}
	}
}

func TestAttemptsForgetWithinBounds(t *testing.T) {
	a := NewAttempts(3, clock)
	for i := range maxAddresses + 100 {
		a.Take(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if len(a.buckets) > maxAddresses {
		t.Errorf("%d addresses are kept", len(a.buckets))
	}
}

func TestOneSubscriberIsOneAddress(t *testing.T) {
	a := NewAttempts(1, clock)
	a.Take(netip.MustParseAddr("2001:db8:1:2::1"))
	for addr, want := range map[string]bool{"2001:db8:1:2:ffff::9": false, "2001:db8:1:3::1": true} {
		if _, ok := a.Take(netip.MustParseAddr(addr)); ok != want {
			t.Errorf("%s: %v", addr, ok)
		}
	}
	a.Take(netip.MustParseAddr("203.0.113.7"))
	if _, ok := a.Take(netip.MustParseAddr("::ffff:203.0.113.7")); ok {
		t.Error("an IPv4 address in IPv6 clothes is another one")
	}
}

func TestAddressCannotBeMadeUp(t *testing.T) {
	tests := map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"direct":                         {"203.0.113.7:1", nil, "203.0.113.7"},
		"direct, made up":                {"203.0.113.7:1", []string{"198.51.100.1"}, "203.0.113.7"},
		"through an ingress":             {"10.0.0.9:1", []string{"203.0.113.7"}, "203.0.113.7"},
		"through an ingress, made up":    {"10.0.0.9:1", []string{"198.51.100.1, 203.0.113.7"}, "203.0.113.7"},
		"in two headers, made up":        {"10.0.0.9:1", []string{"198.51.100.1", "203.0.113.7"}, "203.0.113.7"},
		"load balancer, then an ingress": {"10.0.0.9:1", []string{"203.0.113.7, 100.117.3.4"}, "203.0.113.7"},
		"IPv6":                           {"[::1]:1", []string{"2001:db8::7"}, "2001:db8::7"},
		"from inside":                    {"10.0.0.9:1", nil, "10.0.0.9"},
		"nonsense":                       {"10.0.0.9:1", []string{"198.51.100.1, unknown"}, "10.0.0.9"},
		"endless":                        {"10.0.0.9:1", []string{fmt.Sprintf("%0500d", 1)}, "10.0.0.9"},
		"no peer":                        {"@", nil, "invalid IP"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: test.peer, Header: http.Header{"X-Forwarded-For": test.forwarded}}
			if got := Address(r).String(); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func FuzzAddress(f *testing.F) {
	f.Add("10.0.0.1:1", "203.0.113.7, 10.0.0.2")
	f.Fuzz(func(_ *testing.T, peer, forwarded string) {
		NewAttempts(1, clock).Take(Address(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {forwarded}}}))
	})
}
