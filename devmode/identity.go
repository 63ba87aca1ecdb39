package devmode

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/uploadtenant/uploadtenant/policy"
	"github.com/uploadtenant/uploadtenant/signer/sts"
)

// issuerURL stands for the API server of a cluster that does not exist; the emulator reads its keys from a
// file. The top-level domain never resolves (RFC 2606), so nothing can be asked by mistake.
const issuerURL = "https://kubectl-uploads.invalid"

// providerName is the OIDC provider of that issuer in the emulated RAM.
const providerName = "kubectl-uploads"

// tokenLifetime of a service-account token; each is used once, at once.
const tokenLifetime = 10 * time.Minute

// identity makes the service-account tokens that a kubelet would project into the signer's pod, so that
// the signer assumes its role the way it does in a cluster.
type identity struct {
	state   *state
	clock   func() time.Time
	signer  jose.Signer
	subject string
	// jwksFile holds the public key for the emulator.
	jwksFile string
}

// newIdentity loads or makes the issuer's key for the service account namespace/name.
func newIdentity(s *state, clock func() time.Time, namespace, name string) (*identity, error) {
	_, raw, err := s.keep("issuer.pem", func() ([]byte, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), s.random)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			return nil, err
		}
		return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
	})
	if err != nil {
		return nil, fmt.Errorf("keep the issuer's key: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, errors.New("keys/issuer.pem is not PEM: remove it to get a new one")
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read keys/issuer.pem: %w", err)
	}
	kid, err := keyID(key)
	if err != nil {
		return nil, err
	}
	private := jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: string(jose.ES256), Use: "sig"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("use the issuer's key: %w", err)
	}
	jwks, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}})
	if err != nil {
		return nil, fmt.Errorf("encode the issuer's public key: %w", err)
	}
	return &identity{
		state: s, clock: clock, signer: signer, subject: "system:serviceaccount:" + namespace + ":" + name,
		jwksFile: filepath.Join(s.keys(), "jwks.json"),
	}, s.write("jwks.json", jwks)
}

// keyID names a key by its public part, so that a new key is never mistaken for the old one.
func keyID(key *ecdsa.PrivateKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", fmt.Errorf("encode the issuer's public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:8]), nil
}

// tokenFile is where mint leaves the token.
func (i *identity) tokenFile() string { return filepath.Join(i.state.keys(), "token") }

// mint writes a fresh token.
func (i *identity) mint() error {
	now := i.clock()
	token, err := jwt.Signed(i.signer).Claims(jwt.Claims{
		Issuer: issuerURL, Subject: i.subject, Audience: jwt.Audience{policy.TokenAudience},
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(tokenLifetime)),
	}).Serialize()
	if err != nil {
		return fmt.Errorf("sign a service-account token: %w", err)
	}
	return i.state.write("token", []byte(token))
}

// assume is the signer's source of credentials: AssumeRoleWithOIDC with a token that is always fresh, also
// when the machine slept.
type assume struct {
	identity *identity
	client   *sts.Client
}

// AssumeRole returns a session of the tenant's role.
func (a assume) AssumeRole(ctx context.Context) (sts.Credential, error) {
	if err := a.identity.mint(); err != nil {
		return sts.Credential{}, err
	}
	return a.client.AssumeRole(ctx)
}
