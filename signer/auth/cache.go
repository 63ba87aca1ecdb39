package auth

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// CacheTTL bounds how long a token is trusted without looking at it again, so that a withdrawn key or an
// expiry takes effect within it.
const CacheTTL = 30 * time.Second

// maxCached tokens are remembered; a small hash each.
const maxCached = 4096

// Cache remembers tokens that Next accepted for a short while: a client sends the same token with every
// request, and a signature check by public key costs more than the rest of a grant.
type Cache struct {
	next  Authenticator
	ttl   time.Duration
	clock func() time.Time
	known memory[string]
}

// Expirer is an Authenticator that knows when a token it accepts ends.
type Expirer interface {
	AuthenticateUntil(ctx context.Context, token string) (user string, until time.Time, err error)
}

// NewCache returns an empty cache before next that trusts a token for at most ttl.
func NewCache(next Authenticator, ttl time.Duration, clock func() time.Time) *Cache {
	return &Cache{next: next, ttl: ttl, clock: clock}
}

// Authenticate implements Authenticator. Only successes are remembered.
func (c *Cache) Authenticate(ctx context.Context, token string) (string, error) {
	var text [1024]byte
	sum := sha256.Sum256(append(text[:0], token...)) // the token itself is not kept in memory
	now := c.clock()
	if user, ok := c.known.get(sum, now); ok {
		return user, nil
	}
	until := now.Add(c.ttl)
	var user string
	var err error
	if e, ok := c.next.(Expirer); ok {
		var expires time.Time
		if user, expires, err = e.AuthenticateUntil(ctx, token); expires.Before(until) {
			until = expires
		}
	} else {
		user, err = c.next.Authenticate(ctx, token)
	}
	if err != nil {
		return "", err
	}
	c.known.put(sum, user, until)
	return user, nil
}

// memory keeps at most maxCached values by the hash of a token, each until its time. The zero value is empty.
type memory[V any] struct {
	mu   sync.RWMutex
	kept map[[sha256.Size]byte]kept[V]
}

type kept[V any] struct {
	value V
	until time.Time
}

func (m *memory[V]) get(sum [sha256.Size]byte, now time.Time) (V, bool) {
	m.mu.RLock()
	hit, ok := m.kept[sum]
	m.mu.RUnlock()
	return hit.value, ok && now.Before(hit.until)
}

func (m *memory[V]) put(sum [sha256.Size]byte, value V, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept = map[[sha256.Size]byte]kept[V]{}
	}
	if len(m.kept) >= maxCached {
		for old := range m.kept { // any: the map's order is random
			delete(m.kept, old)
			if len(m.kept) < maxCached*3/4 {
				break
			}
		}
	}
	m.kept[sum] = kept[V]{value, until}
}
