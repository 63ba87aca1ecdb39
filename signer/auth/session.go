package auth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// SessionPrefix begins every session token, so that no token of another method is taken for one.
const SessionPrefix = "uts_"

// maxSessionToken is longer than any token that Issue makes: a key id of 64 bytes and a user of 256.
const maxSessionToken = 1 << 10

const (
	sessionFormat = 1
	sessionNonce  = 12
)

// SessionConfig says which sessions are accepted.
type SessionConfig struct {
	// Keys are the tenant's ticket keys by id; session keys are derived from them. All replicas have the same.
	Keys map[string][]byte
	// Current is the id of the key that makes new sessions; the others only open.
	Current string
	// Tenant ("namespace/name") is the audience: a session is good for this tenant only.
	Tenant string
	// Realm names the login that sessions come from. Sessions of another realm are not accepted.
	Realm string
	// Duration of a session. A session never outlives it, even when it was longer at the time of the login.
	Duration time.Duration
	// Clock defaults to time.Now.
	Clock func() time.Time
}

// Sessions makes and accepts the signer's own bearer tokens. Nothing is stored: a token is sealed with
// AES-256-GCM and can be neither read nor made by others. It is safe for concurrent use.
type Sessions struct {
	cfg   SessionConfig
	aeads map[string]cipher.AEAD
	bound []byte
}

// NewSessions checks cfg and derives the keys.
func NewSessions(cfg SessionConfig) (*Sessions, error) {
	if cfg.Tenant == "" {
		return nil, errors.New("sessions need the tenant that they are bound to")
	}
	if cfg.Duration <= 0 {
		return nil, errors.New("sessions need a duration")
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	s := &Sessions{cfg: cfg, aeads: make(map[string]cipher.AEAD, len(cfg.Keys))}
	// A length before each part, so that no two configurations give the same text.
	for _, part := range []string{"uploadtenant session 1", cfg.Tenant, cfg.Realm} {
		s.bound = binary.AppendUvarint(s.bound, uint64(len(part)))
		s.bound = append(s.bound, part...)
	}
	for id, key := range cfg.Keys {
		if len(id) == 0 || len(id) > 64 || len(key) < 32 {
			return nil, fmt.Errorf("key %q cannot make sessions", id)
		}
		// Derived, so that a session can never be a ticket, whatever its content.
		derived, err := hkdf.Key(sha256.New, key, nil, string(s.bound), 32)
		if err != nil {
			return nil, fmt.Errorf("derive the session key of %q: %w", id, err)
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return nil, fmt.Errorf("use the session key of %q: %w", id, err)
		}
		if s.aeads[id], err = cipher.NewGCM(block); err != nil {
			return nil, fmt.Errorf("use the session key of %q: %w", id, err)
		}
	}
	if s.aeads[cfg.Current] == nil {
		return nil, fmt.Errorf("the current key %q is not among the keys", cfg.Current)
	}
	return s, nil
}

// Issue returns a new token of user and how long it is good.
func (s *Sessions) Issue(user string) (string, time.Duration, error) {
	if err := CheckUser(user); err != nil {
		return "", 0, err
	}
	now := s.cfg.Clock()
	raw := append(append(make([]byte, 0, 512), sessionFormat, byte(len(s.cfg.Current))), s.cfg.Current...)
	header := len(raw)
	raw = append(raw, make([]byte, sessionNonce)...)
	rand.Read(raw[header:]) // never fails, see crypto/rand
	plain := binary.AppendUvarint(nil, uint64(now.Unix()))
	plain = binary.AppendUvarint(plain, uint64(now.Add(s.cfg.Duration).Unix()))
	plain = append(plain, user...)
	raw = s.aeads[s.cfg.Current].Seal(raw, raw[header:header+sessionNonce], plain, s.additionalData(raw[:header]))
	return SessionPrefix + base64.RawURLEncoding.EncodeToString(raw), s.cfg.Duration, nil
}

// additionalData binds a token to tenant, realm, format and key id.
func (s *Sessions) additionalData(header []byte) []byte {
	return append(append(make([]byte, 0, len(s.bound)+len(header)), s.bound...), header...)
}

// Authenticate implements Authenticator.
func (s *Sessions) Authenticate(_ context.Context, token string) (string, error) {
	text, ok := strings.CutPrefix(token, SessionPrefix)
	if !ok || len(token) > maxSessionToken {
		return "", ErrInvalid
	}
	raw, err := decodeSegment(nil, text)
	if err != nil || len(raw) < 2 || raw[0] != sessionFormat {
		return "", ErrInvalid
	}
	header := 2 + int(raw[1])
	if len(raw) < header+sessionNonce {
		return "", ErrInvalid
	}
	aead := s.aeads[string(raw[2:header])]
	if aead == nil {
		return "", ErrInvalid
	}
	plain, err := aead.Open(nil, raw[header:header+sessionNonce], raw[header+sessionNonce:], s.additionalData(raw[:header]))
	if err != nil {
		return "", ErrInvalid
	}
	return s.user(plain)
}

// user reads what was sealed.
func (s *Sessions) user(plain []byte) (string, error) {
	issued, n := binary.Uvarint(plain)
	if n <= 0 {
		return "", ErrInvalid
	}
	plain = plain[n:]
	expires, n := binary.Uvarint(plain)
	if n <= 0 {
		return "", ErrInvalid
	}
	now := s.cfg.Clock()
	if !now.Before(time.Unix(int64(expires), 0)) || !now.Before(time.Unix(int64(issued), 0).Add(s.cfg.Duration)) {
		return "", ErrExpired
	}
	user := string(plain[n:])
	return user, CheckUser(user)
}

// Split sends the signer's own session tokens to Sessions, and only there, and every other token to Next.
type Split struct{ Sessions, Next Authenticator }

// Authenticate implements Authenticator.
func (s Split) Authenticate(ctx context.Context, token string) (string, error) {
	if strings.HasPrefix(token, SessionPrefix) {
		return s.Sessions.Authenticate(ctx, token)
	}
	return s.Next.Authenticate(ctx, token)
}
