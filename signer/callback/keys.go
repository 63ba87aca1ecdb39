package callback

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/guard"
)

const (
	// keyTTL follows the official sample, which says that the key may be cached; no rotation is known.
	keyTTL = time.Hour
	// keyStale is how long a known key is used while it cannot be fetched again.
	keyStale = 24 * time.Hour
	// negativeTTL keeps a forger from making the signer fetch the same wrong URL again and again.
	negativeTTL = time.Minute
	// maxKeys and maxNegatives bound the memory that strangers can fill.
	maxKeys, maxNegatives = 16, 256
	// keyTimeout leaves most of the 5 s in which OSS wants its answer.
	keyTimeout = 2 * time.Second
	maxKeySize = 16 << 10
	// maxFetches at a time bounds what strangers can make the signer do.
	maxFetches = 4
)

// Keys fetches and caches public keys from allowed URLs.
type Keys struct {
	allow   AllowList
	clients map[guard.Level]*http.Client
	clock   func() time.Time
	slots   chan struct{}
	timeout time.Duration // of a fetch

	mu        sync.Mutex
	known     map[string]knownKey
	negatives map[string]negative
	fetching  map[string]*fetch
}

type knownKey struct {
	key     *PublicKey
	fetched time.Time
}

type negative struct {
	err   error
	until time.Time
}

type fetch struct {
	done chan struct{}
	key  *PublicKey
	err  error
}

// NewKeys returns an empty cache. Client replaces the guarded default clients when it is not nil, and its
// Timeout, when it has one, theirs.
func NewKeys(allow AllowList, client *http.Client, clock func() time.Time) *Keys {
	if clock == nil {
		clock = time.Now
	}
	k := &Keys{allow: allow, clock: clock, slots: make(chan struct{}, maxFetches), timeout: keyTimeout,
		known: map[string]knownKey{}, negatives: map[string]negative{}, fetching: map[string]*fetch{}}
	if client != nil {
		noRedirect := *client
		noRedirect.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		k.clients = map[guard.Level]*http.Client{guard.Public: &noRedirect, guard.Any: &noRedirect}
		if client.Timeout > 0 {
			k.timeout = client.Timeout
		}
	} else {
		k.clients = map[guard.Level]*http.Client{guard.Public: guard.Client(guard.Public, keyTimeout), guard.Any: guard.Client(guard.Any, keyTimeout)}
	}
	return k
}

// levelOf says which addresses a prefix may resolve to. The published hosts of Alibaba Cloud are public,
// whatever a name server claims; any other prefix was set by the platform team, for example to an
// emulator in the cluster, and is trusted as it is.
func levelOf(prefix *url.URL) guard.Level {
	host := strings.ToLower(prefix.Hostname())
	if strings.HasSuffix(host, ".alicdn.com") || strings.HasSuffix(host, ".aliyuncs.com") {
		return guard.Public
	}
	return guard.Any
}

// Get returns the key at keyURL. It fetches at most once at a time per URL and remembers failures.
func (k *Keys) Get(ctx context.Context, keyURL string) (*PublicKey, error) {
	canonical, prefix, err := k.allow.Match(keyURL)
	if err != nil {
		return nil, err
	}
	now := k.clock()
	k.mu.Lock()
	known, isKnown := k.known[canonical]
	if isKnown && now.Sub(known.fetched) < keyTTL {
		k.mu.Unlock()
		return known.key, nil
	}
	if n, failed := k.negatives[canonical]; failed && now.Before(n.until) {
		k.mu.Unlock()
		return fallback(known, isKnown, now, n.err)
	}
	f := k.fetching[canonical]
	if f == nil {
		f = &fetch{done: make(chan struct{})}
		k.fetching[canonical] = f
		go k.fetch(f, canonical, levelOf(prefix))
	}
	k.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if f.err != nil {
		return fallback(known, isKnown, now, f.err)
	}
	return f.key, nil
}

// fallback keeps a known key in use for a while when it cannot be fetched again.
func fallback(known knownKey, isKnown bool, now time.Time, err error) (*PublicKey, error) {
	if isKnown && now.Sub(known.fetched) < keyStale {
		return known.key, nil
	}
	return nil, err
}

// fetch runs apart from the request that started it, because others wait for it too.
func (k *Keys) fetch(f *fetch, canonical string, level guard.Level) {
	ctx, cancel := context.WithTimeout(context.Background(), k.timeout)
	defer cancel()
	select {
	case k.slots <- struct{}{}:
		f.key, f.err = download(ctx, k.clients[level], canonical)
		<-k.slots
	case <-ctx.Done():
		f.err = fmt.Errorf("%w: too many fetches at a time", ErrKeyFetch)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.fetching, canonical)
	now := k.clock()
	switch {
	case f.err != nil:
		k.makeRoom(now)
		k.negatives[canonical] = negative{f.err, now.Add(negativeTTL)}
	case len(k.known) < maxKeys || k.known[canonical].key != nil:
		// A full table keeps what it has: the real key has been in it since the first callback.
		k.known[canonical] = knownKey{f.key, now}
		delete(k.negatives, canonical)
	}
	close(f.done)
}

// makeRoom drops what is over, then anything, so that the table stays within bounds.
func (k *Keys) makeRoom(now time.Time) {
	for u, n := range k.negatives {
		if len(k.negatives) >= maxNegatives || !now.Before(n.until) {
			delete(k.negatives, u)
		}
	}
}

func download(ctx context.Context, client *http.Client, keyURL string) (*PublicKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, keyURL, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFetch, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFetch, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: status %d", ErrKeyFetch, resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySize+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFetch, err)
	}
	if len(text) > maxKeySize {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrKeyFetch, maxKeySize)
	}
	return ParsePublicKey(text)
}
