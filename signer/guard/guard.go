// Package guard keeps outgoing requests, whose target somebody else names, away from private networks.
package guard

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Level says which addresses an outgoing request may reach.
type Level int

const (
	// Public addresses only.
	Public Level = iota
	// Private networks and this host too, but no link-local address: metadata services live there.
	Private
	// Any address, for development on one machine.
	Any
)

// Error tells that a target resolved to an address that is out of bounds.
type Error struct{ Addr netip.Addr }

// Error names the address, which is not secret.
func (e *Error) Error() string {
	return fmt.Sprintf("the address %s is not allowed for this request", e.Addr)
}

// metadata is the address of the ECS metadata service; it hands out credentials of the machine.
// Source: https://help.aliyun.com/zh/ecs/user-guide/view-instance-metadata
var metadata = netip.MustParseAddr("100.100.100.200")

// Allows tells whether addr is within level.
func (l Level) Allows(addr netip.Addr) bool {
	addr = addr.Unmap()
	if l == Any {
		return true
	}
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLinkLocalUnicast() ||
		addr.IsInterfaceLocalMulticast() || addr == metadata || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return false
	}
	return l == Private || !isPrivate(addr)
}

// isPrivate covers this host, RFC 1918 and 4193 and the blocks that never reach the internet.
func isPrivate(addr netip.Addr) bool {
	if addr.IsPrivate() || addr.IsLoopback() {
		return true
	}
	for _, block := range []string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"} {
		if netip.MustParsePrefix(block).Contains(addr) {
			return true
		}
	}
	return false
}

// Client returns an HTTP client that checks every address after name resolution, just before it connects,
// so that a name cannot change its mind (DNS rebinding). It follows no redirect and uses no proxy.
func Client(level Level, timeout time.Duration) *http.Client {
	dialer := &net.Dialer{Timeout: timeout, Control: func(_, address string, _ syscall.RawConn) error {
		target, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("parse address: %w", err)
		}
		if !level.Allows(target.Addr()) {
			return &Error{target.Addr()}
		}
		return nil
	}}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
		TLSHandshakeTimeout:    timeout,
		ResponseHeaderTimeout:  timeout,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}
	return &http.Client{Transport: transport, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
