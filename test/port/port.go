// Package port finds addresses for processes that tests start and start again.
package port

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// first and last lie below the ports that the kernel gives to connections and to listeners on port 0, so that
// nobody takes an address by chance while its process is down, and above those of well-known services.
const first, last = 14_000, 29_999

var (
	mu    sync.Mutex
	given = map[int]bool{}
)

// Free returns an address on loopback that nobody listens on and that was not returned before.
func Free(t testing.TB) string {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	for range 1000 {
		n := first + rand.IntN(last-first+1)
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(n))
		if given[n] {
			continue
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue // somebody is there
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		given[n] = true
		return address
	}
	t.Fatalf("no port between %d and %d is free", first, last)
	return ""
}
