package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"sync"
	"time"
)

const (
	// jwksTTL is when a key set is fetched again in the background.
	jwksTTL = 10 * time.Minute
	// jwksMissPause keeps tokens with made-up key ids from hammering the identity provider.
	jwksMissPause = 15 * time.Second
	jwksTimeout   = 5 * time.Second
	// jwksStaleWait is how long a token waits for a set older than twice jwksTTL, as after an idle night:
	// its key may have been withdrawn. A provider that takes longer is taken to be away.
	jwksStaleWait = time.Second
	maxJWKS       = 1 << 20
)

// JWKS is a remote JSON Web Key Set, RFC 7517. Known keys stay in use while the provider is down; a key
// id that is not known makes it look again, so that a rotation is noticed at once.
type JWKS struct {
	url    string
	client *http.Client
	clock  func() time.Time
	// timeout of a fetch is jwksTimeout, and staleWait jwksStaleWait; tests on busy machines have more time.
	timeout, staleWait time.Duration

	mu       sync.Mutex
	keys     []webKey
	fetched  time.Time // last success
	tried    time.Time // last attempt
	inFlight chan struct{}
}

type webKey struct {
	id, alg string
	key     crypto.PublicKey
}

// NewJWKS returns an empty key set; the first token fetches it. Clock defaults to time.Now.
func NewJWKS(url string, client *http.Client, clock func() time.Time) *JWKS {
	if clock == nil {
		clock = time.Now
	}
	return &JWKS{url: url, client: client, clock: clock, timeout: jwksTimeout, staleWait: jwksStaleWait}
}

// Keys returns the keys that may have signed a token with this key id and algorithm. Without an id, all
// keys of the algorithm are candidates.
func (j *JWKS) Keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	found, empty, wait, limit := j.look(kid, alg)
	if wait != nil {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		select {
		case <-wait:
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		j.mu.Lock()
		found, empty = j.match(kid, alg), j.fetched.IsZero()
		j.mu.Unlock()
	}
	if len(found) == 0 && empty {
		return nil, ErrUnavailable
	}
	if len(found) == 0 {
		return nil, ErrInvalid
	}
	return found, nil
}

// look returns the known keys, starts a fetch when one is due, and tells what to wait for and how long: for
// nothing while a known key is fresh enough.
func (j *JWKS) look(kid, alg string) (found []crypto.PublicKey, empty bool, wait chan struct{}, limit time.Duration) {
	now := j.clock()
	j.mu.Lock()
	defer j.mu.Unlock()
	found, empty = j.match(kid, alg), j.fetched.IsZero()
	age, sinceTry := now.Sub(j.fetched), now.Sub(j.tried)
	if len(found) == 0 {
		if j.inFlight != nil || sinceTry > jwksMissPause || empty && sinceTry > time.Second {
			wait = j.refreshLocked(now)
		}
		return found, empty, wait, 2 * j.timeout // the fetch has its own timeout
	}
	if age > jwksTTL && (j.inFlight != nil || sinceTry > jwksMissPause) {
		if fetch := j.refreshLocked(now); age > 2*jwksTTL {
			wait = fetch
		}
	}
	return found, empty, wait, j.staleWait
}

func (j *JWKS) match(kid, alg string) []crypto.PublicKey {
	var found []crypto.PublicKey
	for _, k := range j.keys {
		if k.alg == alg && (kid == "" || k.id == kid) {
			found = append(found, k.key)
		}
	}
	return found
}

// refreshLocked starts a fetch unless one runs, and returns a channel that closes when it is over.
func (j *JWKS) refreshLocked(now time.Time) chan struct{} {
	if j.inFlight != nil {
		return j.inFlight
	}
	j.tried = now
	done := make(chan struct{})
	j.inFlight = done
	go func() {
		keys, err := j.fetch()
		j.mu.Lock()
		if err == nil {
			j.keys, j.fetched = keys, j.clock()
		}
		j.inFlight = nil
		j.mu.Unlock()
		close(done)
	}()
	return done
}

func (j *JWKS) fetch() ([]webKey, error) {
	ctx, cancel := context.WithTimeout(context.Background(), j.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.url, nil)
	if err != nil {
		return nil, fmt.Errorf("build key set request: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := j.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch key set: status %d", resp.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKS))
	if err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	return parseKeySet(raw)
}

// parseKeySet keeps the RSA and P-256 signing keys and ignores what it cannot use, as RFC 7517 §5 asks.
func parseKeySet(raw []byte) ([]webKey, error) {
	var set struct {
		Keys []struct {
			Kty, Use, Alg, Kid, N, E, Crv, X, Y string
		} `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, fmt.Errorf("parse key set: %w", err)
	}
	var keys []webKey
	for _, k := range set.Keys {
		if k.Use != "" && k.Use != "sig" {
			continue
		}
		switch {
		case k.Kty == "RSA" && (k.Alg == "" || k.Alg == "RS256"):
			if key := rsaKey(k.N, k.E); key != nil {
				keys = append(keys, webKey{k.Kid, "RS256", key})
			}
		case k.Kty == "EC" && k.Crv == "P-256" && (k.Alg == "" || k.Alg == "ES256"):
			if key := ecKey(k.X, k.Y); key != nil {
				keys = append(keys, webKey{k.Kid, "ES256", key})
			}
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("the key set holds no RS256 or ES256 key")
	}
	return keys, nil
}

func rsaKey(n, e string) *rsa.PublicKey {
	rawN, errN := base64.RawURLEncoding.DecodeString(n)
	rawE, errE := base64.RawURLEncoding.DecodeString(e)
	if errN != nil || errE != nil || len(rawE) == 0 || len(rawE) > 4 {
		return nil
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(rawN), E: int(new(big.Int).SetBytes(rawE).Int64())}
	if key.N.BitLen() < 2048 || key.N.BitLen() > 8192 || key.N.Bit(0) == 0 || key.E < 3 || key.E%2 == 0 {
		return nil
	}
	return key
}

func ecKey(x, y string) *ecdsa.PublicKey {
	rawX, errX := base64.RawURLEncoding.DecodeString(x)
	rawY, errY := base64.RawURLEncoding.DecodeString(y)
	if errX != nil || errY != nil || len(rawX) != 32 || len(rawY) != 32 {
		return nil
	}
	point := append(append([]byte{4}, rawX...), rawY...)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil
	}
	return key
}
