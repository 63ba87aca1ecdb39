package auth

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// maxAddresses are remembered at once.
const maxAddresses = 10_000

// Attempts bounds how many logins may fail per address and minute. A login takes an attempt and gets it back
// when it does not fail: behind one address of a mobile network there are thousands of honest people.
type Attempts struct {
	perMinute int
	clock     func() time.Time

	mu      sync.Mutex
	buckets map[netip.Addr]*bucket
}

// bucket holds what is left at a time; it fills up within a minute.
type bucket struct {
	left float64
	at   time.Time
}

// NewAttempts allows perMinute failures.
func NewAttempts(perMinute int, clock func() time.Time) *Attempts {
	return &Attempts{perMinute: perMinute, clock: clock, buckets: map[netip.Addr]*bucket{}}
}

// Take takes an attempt of addr. When none is left, ok is false and wait is when there will be one.
func (a *Attempts) Take(addr netip.Addr) (wait time.Duration, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.bucket(network(addr))
	if b.left < 1 {
		return time.Duration((1 - b.left) / float64(a.perMinute) * float64(time.Minute)), false
	}
	b.left--
	return 0, true
}

// Return gives an attempt back.
func (a *Attempts) Return(addr netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.bucket(network(addr))
	b.left = min(b.left+1, float64(a.perMinute))
}

// bucket returns the bucket of addr as it is now. a.mu must be held.
func (a *Attempts) bucket(addr netip.Addr) *bucket {
	now := a.clock()
	b := a.buckets[addr]
	if b == nil {
		a.forget(now)
		b = &bucket{left: float64(a.perMinute), at: now}
		a.buckets[addr] = b
	}
	b.left = min(b.left+now.Sub(b.at).Minutes()*float64(a.perMinute), float64(a.perMinute))
	b.at = now
	return b
}

// forget makes room: first the buckets that are full again, then any.
func (a *Attempts) forget(now time.Time) {
	if len(a.buckets) < maxAddresses {
		return
	}
	for addr, b := range a.buckets {
		if now.Sub(b.at) >= time.Minute {
			delete(a.buckets, addr)
		}
	}
	for addr := range a.buckets {
		if len(a.buckets) < maxAddresses*3/4 {
			return
		}
		delete(a.buckets, addr)
	}
}

// network is what one subscriber has: an IPv4 address, or the /64 of an IPv6 address.
func network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil {
			return prefix.Addr()
		}
	}
	return addr
}

// Address is where a request comes from. X-Forwarded-For counts only when the peer is in a private network,
// as an ingress is, and then the last public address in it, which is the one that the ingress itself saw:
// what stands before it was written by the client.
func Address(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	if !inside(addr) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return addr
		}
		if addr = hop.Unmap(); !inside(addr) {
			return addr
		}
	}
	return addr
}

// sharedAddresses is the block of RFC 6598, which Alibaba Cloud's load balancers use.
var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10")

func inside(addr netip.Addr) bool {
	return addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || sharedAddresses.Contains(addr)
}
