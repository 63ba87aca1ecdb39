// Package logscan lets every test of a signer prove that its log holds no secret: the test's logger writes
// through a Scan, which knows the shapes of secrets and is told the secrets themselves, and fails the test
// when one shows up.
package logscan

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// shapes are secrets that look like ones, wherever they come from.
var shapes = map[string]*regexp.Regexp{
	"a JWT":             regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}`),
	"a bearer token":    regexp.MustCompile(`(?i)bearer ([a-z]+:|[A-Za-z0-9._-]{16,})`),
	"a session token":   regexp.MustCompile(`\buts_[A-Za-z0-9_-]{16,}`),
	"an event secret":   regexp.MustCompile(`whsec_[A-Za-z0-9+/=]{16,}`),
	"a signature":       regexp.MustCompile(`(?i)(x-oss-signature|[?&]signature|msg_signature)=`),
	"a security token":  regexp.MustCompile(`(?i)security-token=`),
	"an access token":   regexp.MustCompile(`access_token=`),
	"an AppSecret":      regexp.MustCompile(`[?&]secret=`),
	"a sealed ticket":   regexp.MustCompile(`\bAQ[A-Za-z0-9_-]{120,}`),
	"a DSN's password":  regexp.MustCompile(`://[^/\s:@"]+:[^/\s:@"]+@`),
	"a PEM private key": regexp.MustCompile(`PRIVATE KEY-----`),
}

// fields of answers whose values are secret.
var fields = map[string]bool{
	"ticket": true, "token": true, "policy": true, "callback": true, "Signature": true, "x-oss-signature": true, "x-oss-security-token": true,
}

// shortest secret that is looked for: a shorter text may be in a log by chance.
const shortest = 6

// Scan gathers a log and the secrets that must not be in it. It is safe for concurrent use.
type Scan struct {
	mu      sync.Mutex
	log     bytes.Buffer
	secrets map[string]bool
}

// New returns a Scan that fails t at its end when the log holds a secret.
func New(t testing.TB, secrets ...string) *Scan {
	s := &Scan{secrets: map[string]bool{}}
	s.Add(secrets...)
	t.Cleanup(func() {
		switch what := s.Found(); {
		case what != "":
			t.Errorf("the log shows %s:\n%s", what, s.String())
		case t.Failed():
			t.Logf("the log:\n%s", s.String())
		}
	})
	return s
}

// Write implements io.Writer.
func (s *Scan) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

// String is the log so far.
func (s *Scan) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// Logger writes everything, debugging lines included, into the log.
func (s *Scan) Logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Add tells of secrets.
func (s *Scan) Add(secrets ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range secrets {
		if len(secret) >= shortest {
			s.secrets[secret] = true
		}
	}
}

// Answer tells of the secrets in an answer of the signer: tickets, tokens, policies and signatures.
func (s *Scan) Answer(body []byte) {
	var value any
	if json.Unmarshal(body, &value) == nil {
		s.walk(value)
	}
}

func (s *Scan) walk(value any) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			s.walk(item)
		}
	case map[string]any:
		for name, item := range v {
			if text, ok := item.(string); ok && fields[name] {
				s.Add(text)
			}
			s.walk(item)
		}
	}
}

// Found names a secret that the log holds, or is empty.
func (s *Scan) Found() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log.String()
	for what, shape := range shapes {
		if shape.MatchString(log) {
			return what
		}
	}
	for secret := range s.secrets {
		if strings.Contains(log, secret) {
			return "the secret " + secret[:3] + "…"
		}
	}
	return ""
}
