package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"
)

// Skew is how far the clocks of the identity provider and of the signer may differ.
const Skew = time.Minute

// JWTConfig says which tokens are accepted.
type JWTConfig struct {
	// Secret for HS256, at least 32 bytes; nil when JWKS is set. A token signed with any other algorithm
	// than the configured one is refused, so that a public key can never be used as a secret.
	Secret []byte
	// JWKS for RS256 and ES256.
	JWKS *JWKS
	// Issuer and Audience must match when they are not empty.
	Issuer, Audience string
	// UserClaim names the user: a string or an integer.
	UserClaim string
	// RequiredClaims must have these values when there are any; of a claim that is a list, one item must.
	RequiredClaims map[string]string
	// Clock defaults to time.Now.
	Clock func() time.Time
}

// JWT verifies JSON Web Tokens in compact form, RFC 7515 and 7519. A token must expire.
type JWT struct {
	cfg  JWTConfig
	macs sync.Pool
}

// NewJWT checks cfg.
func NewJWT(cfg JWTConfig) (*JWT, error) {
	if (cfg.Secret == nil) == (cfg.JWKS == nil) {
		return nil, fmt.Errorf("jwt authentication needs either a secret or a key set")
	}
	if cfg.Secret != nil && len(cfg.Secret) < 32 {
		return nil, fmt.Errorf("the HS256 secret has %d bytes, it needs at least 32", len(cfg.Secret))
	}
	if cfg.UserClaim == "" {
		cfg.UserClaim = "sub"
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	j := &JWT{cfg: cfg}
	j.macs.New = func() any { return hmac.New(sha256.New, cfg.Secret) }
	return j, nil
}

type jwtHeader struct {
	Alg  string          `json:"alg"`
	Kid  string          `json:"kid"`
	Crit json.RawMessage `json:"crit"`
}

// Authenticate implements Authenticator.
func (j *JWT) Authenticate(ctx context.Context, token string) (string, error) {
	user, _, err := j.AuthenticateUntil(ctx, token)
	return user, err
}

// AuthenticateUntil implements Expirer.
func (j *JWT) AuthenticateUntil(ctx context.Context, token string) (string, time.Time, error) {
	signedEnd := strings.LastIndexByte(token, '.')
	if signedEnd < 0 || strings.Count(token, ".") != 2 {
		return "", time.Time{}, ErrInvalid
	}
	headerEnd := strings.IndexByte(token, '.')
	var headerBuf [256]byte
	rawHeader, err := decodeSegment(headerBuf[:0], token[:headerEnd])
	if err != nil {
		return "", time.Time{}, ErrInvalid
	}
	var header jwtHeader
	if err := json.Unmarshal(rawHeader, &header); err != nil || header.Crit != nil {
		return "", time.Time{}, ErrInvalid
	}
	var signatureBuf [512]byte
	signature, err := decodeSegment(signatureBuf[:0], token[signedEnd+1:])
	if err != nil {
		return "", time.Time{}, ErrInvalid
	}
	if err := j.verify(ctx, header, token[:signedEnd], signature); err != nil {
		return "", time.Time{}, err
	}
	var claimsBuf [1024]byte
	claims, err := decodeSegment(claimsBuf[:0], token[headerEnd+1:signedEnd])
	if err != nil {
		return "", time.Time{}, ErrInvalid
	}
	return j.user(claims)
}

// decodeSegment decodes strictly: one text has one encoding.
func decodeSegment(dst []byte, s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, ErrInvalid // the decoder would skip them
	}
	return base64.RawURLEncoding.Strict().AppendDecode(dst, []byte(s))
}

func (j *JWT) verify(ctx context.Context, header jwtHeader, signed string, signature []byte) error {
	if j.cfg.JWKS == nil {
		if header.Alg != "HS256" {
			return ErrInvalid
		}
		mac := j.macs.Get().(hash.Hash)
		defer j.macs.Put(mac)
		mac.Reset()
		mac.Write([]byte(signed))
		var sum [sha256.Size]byte
		if !hmac.Equal(mac.Sum(sum[:0]), signature) {
			return ErrInvalid
		}
		return nil
	}
	if header.Alg != "RS256" && header.Alg != "ES256" {
		return ErrInvalid
	}
	keys, err := j.cfg.JWKS.Keys(ctx, header.Kid, header.Alg)
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(signed))
	for _, key := range keys {
		if verifyWith(key, digest[:], signature) {
			return nil
		}
	}
	return ErrInvalid
}

func verifyWith(key crypto.PublicKey, digest, signature []byte) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, signature) == nil
	case *ecdsa.PublicKey:
		// RFC 7518 §3.4: R and S as 32 bytes each.
		return len(signature) == 64 && ecdsa.Verify(key, digest, new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	}
	return false
}

// user reads the claims of a token whose signature is good.
func (j *JWT) user(raw []byte) (string, time.Time, error) {
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(raw, &claims); err != nil {
		return "", time.Time{}, ErrInvalid
	}
	now := j.cfg.Clock()
	expires, ok := numericDate(claims["exp"])
	if !ok {
		return "", time.Time{}, ErrInvalid
	}
	if notBefore, ok := numericDate(claims["nbf"]); claims["nbf"] != nil && (!ok || now.Add(Skew).Before(notBefore)) {
		return "", time.Time{}, ErrInvalid
	}
	if !now.Add(-Skew).Before(expires) {
		return "", time.Time{}, ErrExpired
	}
	if j.cfg.Issuer != "" && claimText(claims["iss"]) != j.cfg.Issuer {
		return "", time.Time{}, ErrInvalid
	}
	if j.cfg.Audience != "" && !slices.Contains(audiences(claims["aud"]), j.cfg.Audience) {
		return "", time.Time{}, ErrInvalid
	}
	for claim, want := range j.cfg.RequiredClaims {
		if !claimHas(claims[claim], want) {
			return "", time.Time{}, ErrInvalid
		}
	}
	user := userText(claims[j.cfg.UserClaim])
	return user, expires.Add(Skew), CheckUser(user)
}

// numericDate reads seconds since 1970, which RFC 7519 lets be fractional.
func numericDate(raw json.RawMessage) (time.Time, bool) {
	var seconds float64
	if raw == nil || json.Unmarshal(raw, &seconds) != nil || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

// claimText returns a string claim as it is and an integer or boolean in its own spelling, else "".
func claimText(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return ""
	}
	switch c := raw[0]; {
	case c == '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return ""
		}
		return s
	case c == '-' || c >= '0' && c <= '9':
		if bytes.ContainsAny(raw, ".eE") {
			return "" // one user, one spelling
		}
		return string(raw)
	case c == 't' || c == 'f':
		return string(raw)
	}
	return ""
}

// claimHas tells whether a claim is want, or is a list that holds it, as roles and groups are.
func claimHas(raw json.RawMessage, want string) bool {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 {
		return false
	}
	if raw[0] != '[' {
		return isText(raw, want)
	}
	var items []json.RawMessage
	return json.Unmarshal(raw, &items) == nil && slices.ContainsFunc(items, func(item json.RawMessage) bool { return isText(item, want) })
}

// isText compares; a claim of another kind than text, number and boolean has no text and equals nothing.
func isText(raw json.RawMessage, want string) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) > 0 && raw[0] != '{' && raw[0] != '[' && raw[0] != 'n' && claimText(raw) == want
}

// userText is claimText for the id of a user, which is never a boolean.
func userText(raw json.RawMessage) string {
	if raw = bytes.TrimSpace(raw); len(raw) > 0 && (raw[0] == 't' || raw[0] == 'f') {
		return ""
	}
	return claimText(raw)
}

// audiences reads a string or a list of strings.
func audiences(raw json.RawMessage) []string {
	if raw == nil {
		return nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	var many []string
	if json.Unmarshal(raw, &many) != nil {
		return nil
	}
	return many
}
