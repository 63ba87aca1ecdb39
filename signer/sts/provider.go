package sts

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// ErrNoCredential is returned while no unexpired credential is held.
var ErrNoCredential = errors.New("no valid STS credential")

// Source obtains a fresh credential; *Client is one.
type Source interface {
	AssumeRole(context.Context) (Credential, error)
}

// ProviderOptions tune a Provider; the zero value is good.
type ProviderOptions struct {
	// Clock defaults to time.Now.
	Clock func() time.Time
	// OnRefresh is told of every attempt, err nil on success.
	OnRefresh func(Credential, error)
}

// Provider keeps one credential fresh in the background, so that readers never wait for STS. It renews
// when a third of the session is left, and keeps serving the old credential while renewals fail.
type Provider struct {
	source    Source
	clock     func() time.Time
	onRefresh func(Credential, error)
	current   atomic.Pointer[Credential]
	failure   atomic.Pointer[error]
	refreshMu sync.Mutex
	obtained  time.Time // guarded by refreshMu
}

// NewProvider returns a provider that holds nothing yet: call Refresh once, then Run.
func NewProvider(source Source, opts ProviderOptions) *Provider {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.OnRefresh == nil {
		opts.OnRefresh = func(Credential, error) {}
	}
	return &Provider{source: source, clock: opts.Clock, onRefresh: opts.OnRefresh}
}

// Credential returns the held credential, or ErrNoCredential joined with the last failure. It never calls STS.
func (p *Provider) Credential() (Credential, error) {
	cred := p.current.Load()
	if cred != nil && p.clock().Before(cred.Expires) {
		return *cred, nil
	}
	if failure := p.failure.Load(); failure != nil {
		return Credential{}, errors.Join(ErrNoCredential, *failure)
	}
	return Credential{}, ErrNoCredential
}

// Refresh obtains a credential now. A failure keeps the one held before.
func (p *Provider) Refresh(ctx context.Context) error {
	p.refreshMu.Lock()
	defer p.refreshMu.Unlock()
	cred, err := p.source.AssumeRole(ctx)
	p.onRefresh(cred, err)
	if err != nil {
		p.failure.Store(&err)
		return err
	}
	p.obtained = p.clock()
	p.failure.Store(nil)
	p.current.Store(&cred)
	return nil
}

// Run renews until ctx ends: when a third of the session is left, and after a failure with growing
// pauses from 1 s to 1 min, so that a recovered STS is noticed within a minute.
func (p *Provider) Run(ctx context.Context) {
	failures := 0
	for {
		wait := p.untilRenewal()
		if failures > 0 {
			wait = retryPause(failures)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if p.untilRenewal() > 0 {
			failures = 0
			continue
		}
		if err := p.Refresh(ctx); err != nil {
			failures++
		} else {
			failures = 0
		}
	}
}

// untilRenewal is how long the held credential is still comfortably fresh.
func (p *Provider) untilRenewal() time.Duration {
	cred := p.current.Load()
	if cred == nil {
		return 0
	}
	p.refreshMu.Lock()
	obtained := p.obtained
	p.refreshMu.Unlock()
	session := cred.Expires.Sub(obtained)
	// Waking at least every 30 s notices a clock that was moved or a machine that slept.
	return min(cred.Expires.Add(-session/3).Sub(p.clock()), 30*time.Second)
}

// retryPause grows from 1 s to 1 min with half of it random, so that replicas do not retry in step.
func retryPause(failures int) time.Duration {
	pause := min(time.Second<<min(failures-1, 6), time.Minute)
	return pause/2 + rand.N(pause/2)
}
