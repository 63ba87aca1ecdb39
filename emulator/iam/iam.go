// Package iam is the identity half of the emulator: RAM (users, roles, policies), STS (temporary
// credentials), IMS (OIDC providers) and the RAM policy evaluator that decides every call, OSS included.
//
// It speaks the Alibaba Cloud RPC protocol (Service.Handler) and answers two questions for the OSS half:
// whose key is this (Service.Credential), and may that principal do this (Service.Authorize).
package iam

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator/iam/rpc"
)

// AdminUser is the RAM user that Options.AccessKeyID belongs to.
const AdminUser = "admin"

// Options configure a Service. AccountID, AccessKeyID and AccessKeySecret are required; every other field has a default.
type Options struct {
	// AccountID is the 16-digit id of the one account that the emulator has.
	AccountID string
	// AccessKeyID and AccessKeySecret belong to the RAM user "admin", which holds AdministratorAccess.
	// It is a user and not the account itself because STS refuses AssumeRole by the account (root).
	AccessKeyID, AccessKeySecret string
	// RootAccessKeyID and RootAccessKeySecret, when set, are a key of the account itself.
	RootAccessKeyID, RootAccessKeySecret string
	// Region is what log lines name. Default cn-hangzhou.
	Region string
	// DataDir holds the journal of all state. Empty keeps state in memory only.
	DataDir string
	// Clock tells the time for signatures, expiry and dates. Default time.Now.
	Clock func() time.Time
	// Random is the source of ids and secrets. Default crypto/rand.
	Random io.Reader
	// Logger receives one line per decision. Default discards.
	Logger *slog.Logger
	// HTTPClient fetches the discovery documents and keys of OIDC issuers. Default has a 5 s timeout.
	HTTPClient *http.Client
	// JWKS maps an issuer to the URL or file that holds its keys, instead of what its discovery document names.
	// A cluster's issuer is often not reachable from where the emulator runs.
	JWKS map[string]string
	// PropagationDelay is how long a change takes until reads, evaluation and STS see it. RAM is eventually
	// consistent; zero makes every change visible at once.
	PropagationDelay time.Duration
	// Hooks observe and disturb RPC calls.
	Hooks Hooks
}

// Call is one RPC call, for logs, counters and fault injection. Fields are filled in as they become known.
type Call struct {
	RequestID string
	// Operation is the name in the API, for example CreateRole; empty when the request names none that exists.
	Operation string
	// Caller is the zero Principal until the call is authenticated, and for unsigned calls.
	Caller Principal
	Start  time.Time
	// Resource is the name of what the call is about: a role, policy, user or provider.
	Resource string
	// Status is the HTTP status; Code is set when the call was refused.
	Status int
	Code   string
}

// Hooks are the places where faults are injected and calls are recorded. All are optional.
type Hooks struct {
	// Before runs when the operation is known and nothing has been decided. It may delay, replace the writer, or
	// refuse the call.
	Before func(c *Call, w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *rpc.Error)
	// After runs when the answer has been written.
	After func(c *Call, r *http.Request)
}

// Service is the state of one emulated account. It is safe for concurrent use.
type Service struct {
	opts      Options
	verifier  *rpc.Verifier
	issuers   *issuers
	random    io.Reader
	randomMu  sync.Mutex
	documents documents

	mu sync.Mutex
	// current is what has been written; settled is what has propagated and is what reads see.
	current, settled *state
	pending          []pendingChange
	delay            time.Duration
	journal          *journal
	closed           bool
	swept            time.Time
}

type pendingChange struct {
	due time.Time
	change
}

// New returns the account that opts describe, with the state of an earlier run when DataDir holds one.
func New(opts Options) (*Service, error) {
	if opts.AccountID == "" || opts.AccessKeyID == "" || opts.AccessKeySecret == "" {
		return nil, errors.New("iam: AccountID, AccessKeyID and AccessKeySecret are required")
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Random == nil {
		opts.Random = rand.Reader
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.HTTPClient == nil {
		opts.HTTPClient = &http.Client{Timeout: 5 * time.Second}
	}
	s := &Service{
		opts: opts, verifier: rpc.NewVerifier(), random: opts.Random, delay: opts.PropagationDelay,
		issuers: newIssuers(opts.HTTPClient, opts.JWKS, opts.Clock),
		current: newState(),
	}
	s.seed()
	if opts.DataDir != "" {
		j, err := openJournal(opts.DataDir, s.current, opts.Clock())
		if err != nil {
			return nil, fmt.Errorf("iam: %w", err)
		}
		s.journal = j
	}
	s.settled = s.current.clone()
	return s, nil
}

// seed makes the admin user. Its id is derived and not random, so that bucket policies that name it keep working.
// Its key is no part of the state: it is whatever the command line says today.
func (s *Service) seed() {
	sum := sha256.Sum256([]byte(s.opts.AccountID + "/" + AdminUser))
	now := s.opts.Clock().UTC()
	s.current.users[AdminUser] = &user{
		Name: AdminUser, ID: numericID('2', sum[:8]), DisplayName: AdminUser, Created: now, Updated: now,
		Attached: []attachment{{Type: typeSystem, Name: "AdministratorAccess", Date: now}},
	}
}

// Close releases the journal. Calls that change state fail after Close.
func (s *Service) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.journal == nil {
		return nil
	}
	return s.journal.close()
}

// ExpireSessions ends every STS credential that exists now, as if its time were over.
func (s *Service) ExpireSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Clock().UTC()
	var changes []change
	for name, v := range s.current.sessions {
		if now.Before(v.Expires) {
			ended := *v
			ended.Expires = now
			changes = append(changes, change{Kind: kindSession, Name: name, decoded: &ended})
		}
	}
	if len(changes) > 0 {
		_ = s.commit(changes...) // a failure is logged, and ends the service
	}
}

// SetPropagationDelay changes Options.PropagationDelay; changes that are already under way keep their time.
func (s *Service) SetPropagationDelay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = d
}

// commit makes changes part of the account: in the journal first, then in what writers see, and after the
// propagation delay in what readers see. s.mu must be held.
func (s *Service) commit(changes ...change) *rpc.Error {
	if s.closed {
		return internalError
	}
	durable := false
	for _, c := range changes {
		durable = durable || c.Kind != kindSession
	}
	if s.journal != nil {
		if err := s.journal.append(changes, durable); err != nil {
			// The line may be torn; appending behind it would lose everything that follows.
			s.closed = true
			s.opts.Logger.Error("write the journal; no further change is accepted", "error", err)
			return internalError
		}
	}
	now := s.opts.Clock()
	for _, c := range changes {
		if err := s.current.apply(c); err != nil {
			s.opts.Logger.Error("apply a change", "error", err)
			return internalError
		}
		delay := s.delay
		if c.Kind == kindSession {
			delay = 0 // STS hands out working credentials; only their permissions propagate
		}
		s.pending = append(s.pending, pendingChange{due: now.Add(delay), change: c})
	}
	s.settle(now)
	if s.journal != nil && s.journal.lines > rewriteAfter {
		if err := s.journal.rewrite(s.current, now); err != nil {
			s.opts.Logger.Error("rewrite the journal", "error", err)
			return internalError
		}
	}
	return nil
}

// settle applies the changes whose time has come. s.mu must be held.
func (s *Service) settle(now time.Time) {
	rest := s.pending[:0]
	for _, p := range s.pending {
		if now.Before(p.due) {
			rest = append(rest, p)
			continue
		}
		_ = s.settled.apply(p.change) // it was applied to current without an error
	}
	clear(s.pending[len(rest):])
	s.pending = rest
	if len(s.current.sessions) > maxSessions && now.Sub(s.swept) > time.Minute {
		s.dropExpired(now)
	}
}

// maxSessions is when expired sessions are thrown away; until then they are kept to answer "expired".
const maxSessions = 10_000

func (s *Service) dropExpired(now time.Time) {
	s.swept = now
	for id, v := range s.current.sessions {
		if now.After(v.Expires.Add(time.Hour)) {
			delete(s.current.sessions, id)
			delete(s.settled.sessions, id)
		}
	}
}

// read runs f on what readers see. f must not keep the state.
func (s *Service) read(f func(*state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(s.opts.Clock())
	f(s.settled)
}

// randomBytes reads from the source of randomness, which tests may replace by one that is not safe to share.
func (s *Service) randomBytes(n int) []byte {
	s.randomMu.Lock()
	defer s.randomMu.Unlock()
	b := make([]byte, n)
	if _, err := io.ReadFull(s.random, b); err != nil {
		panic("iam: the source of randomness failed: " + err.Error())
	}
	return b
}

// numericID makes an 18-digit id like those of RAM, which begin with 2 for users and 3 for roles.
func numericID(first byte, random []byte) string {
	return fmt.Sprintf("%c%017d", first, binary.BigEndian.Uint64(random)%1e17)
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// randomText makes n letters and digits.
func (s *Service) randomText(n int) string {
	out := s.randomBytes(n)
	for i, b := range out {
		out[i] = letters[int(b)%len(letters)]
	}
	return string(out)
}

// newRequestID makes an id in the form of the cloud's: upper-case UUID.
func (s *Service) newRequestID() string {
	b := s.randomBytes(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// formatTime is how RAM and STS write a time.
func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
