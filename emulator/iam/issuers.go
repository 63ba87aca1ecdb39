package iam

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// errIssuerCertificate is wrapped when the certificate of an issuer is not trusted.
var errIssuerCertificate = errors.New("the certificate of the issuer is not trusted")

// issuers reads and remembers the public keys of OIDC issuers.
type issuers struct {
	client *http.Client
	jwks   map[string]string
	clock  func() time.Time

	mu    sync.Mutex
	known map[string]issuerKeys
}

type issuerKeys struct {
	keys []jose.JSONWebKey
	read time.Time
}

const (
	// keysFresh is how long keys are used without asking again.
	keysFresh = 10 * time.Minute
	// keysRetry keeps tokens with an unknown key id from making the emulator ask the issuer each time.
	keysRetry = 2 * time.Second
	// maxKeyDocument bounds what an issuer may answer.
	maxKeyDocument = 1 << 20
)

func newIssuers(client *http.Client, jwks map[string]string, clock func() time.Time) *issuers {
	return &issuers{client: client, jwks: jwks, clock: clock, known: map[string]issuerKeys{}}
}

// keys returns the keys of an issuer, read again when they are old or lack kid: issuers rotate.
func (i *issuers) keys(ctx context.Context, issuer, kid string) ([]jose.JSONWebKey, error) {
	now := i.clock()
	i.mu.Lock()
	have, ok := i.known[issuer]
	i.mu.Unlock()
	age := now.Sub(have.read)
	if ok && age < keysFresh && age >= 0 && (age < keysRetry || kid == "" || hasKey(have.keys, kid)) {
		return have.keys, nil
	}
	// Without the lock: an issuer that does not answer must not hold up the others.
	keys, err := i.fetch(ctx, issuer)
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.known[issuer] = issuerKeys{keys: keys, read: now}
	return keys, nil
}

func hasKey(keys []jose.JSONWebKey, kid string) bool {
	for _, k := range keys {
		if k.KeyID == kid {
			return true
		}
	}
	return false
}

func (i *issuers) fetch(ctx context.Context, issuer string) ([]jose.JSONWebKey, error) {
	source, fixed := i.jwks[issuer]
	if !fixed {
		var discovery struct {
			Issuer  string `json:"issuer"`
			JWKSURI string `json:"jwks_uri"`
		}
		if err := i.get(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", &discovery); err != nil {
			return nil, fmt.Errorf("read the discovery document: %w", err)
		}
		if discovery.Issuer != issuer {
			return nil, fmt.Errorf("the discovery document is of issuer %q", discovery.Issuer)
		}
		source = discovery.JWKSURI
	}
	var set jose.JSONWebKeySet
	var err error
	if fixed && !isHTTP(source) { // only options may name a file, never an issuer
		err = readJSON(source, &set)
	} else {
		err = i.get(ctx, source, &set)
	}
	if err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	return set.Keys, nil
}

func isHTTP(source string) bool {
	return strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://")
}

func readJSON(path string, into any) error {
	raw, err := os.ReadFile(strings.TrimPrefix(path, "file://"))
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// get reads a JSON document from a URL.
func (i *issuers) get(ctx context.Context, source string, into any) error {
	if !isHTTP(source) {
		return fmt.Errorf("%q is not a URL", source)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return err
	}
	resp, err := i.client.Do(req)
	if err != nil {
		var unknown x509.UnknownAuthorityError
		var verification *tls.CertificateVerificationError
		if errors.As(err, &unknown) || errors.As(err, &verification) {
			return fmt.Errorf("%w: %w", errIssuerCertificate, err)
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the issuer answered %s", resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, maxKeyDocument)).Decode(into)
}

func decodeSegment(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(s) }

func formatMillis(ms int64) string { return strconv.FormatInt(ms, 10) }
