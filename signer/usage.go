package signer

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/uploadtenant/uploadtenant/policy"
	"github.com/uploadtenant/uploadtenant/signer/config"
)

// Codes of refusals for too much.
const (
	codeRateLimited = "rate_limited"
	codeQuota       = "quota_exceeded"
	// codeQuotaUnknown says that nobody knows what is left, because the index is away.
	codeQuotaUnknown = "quota_unknown"
)

// maxAccounts bounds the memory for users; the longest idle one is forgotten first, roughly.
const maxAccounts = 20000

// recheck is how old the sum of recorded bytes may be.
const recheck = 30 * time.Second

// ledger sums what was recorded; *index.Store is one.
type ledger interface {
	BytesSince(ctx context.Context, user string, t time.Time) (int64, error)
}

// usage bounds requests and bytes per user and for the whole tenant. Bytes are reserved with a grant,
// settled when the upload is recorded, and released when the grant expires.
type usage struct {
	limits atomic.Pointer[usageLimits]
	ledger ledger

	mu       sync.Mutex
	accounts map[string]*account // "" is the tenant
}

// usageLimits are replaced as a whole.
type usageLimits struct{ perUser, perTenant config.Usage }

// of returns the limits of user, or of the tenant for "".
func (l *usageLimits) of(user string) config.Usage {
	if user == "" {
		return l.perTenant
	}
	return l.perUser
}

// bytes tells whether anybody's bytes are limited.
func (l *usageLimits) bytes() bool { return l.perUser.BytesPerDay != 0 || l.perTenant.BytesPerDay != 0 }

// account of one user, or of the tenant.
type account struct {
	limiter  *rate.Limiter
	used     time.Time // for eviction
	checked  time.Time // when recorded was read
	recorded int64     // bytes of the current day
	// reservations of bytes by when their grant expires, in order, and their sum.
	reservations []reservation
	held         int64
}

type reservation struct {
	size    int64
	expires time.Time
}

func newUsage(limits config.Limits, l ledger) *usage {
	u := &usage{ledger: l, accounts: map[string]*account{}}
	u.bound(limits)
	return u
}

// bound makes other limits hold from now on. What was used and reserved still counts.
func (u *usage) bound(limits config.Limits) {
	u.mu.Lock()
	defer u.mu.Unlock()
	next := &usageLimits{limits.PerUser, limits.PerTenant}
	u.limits.Store(next)
	for user, a := range u.accounts {
		every, burst := pace(next.of(user))
		a.limiter.SetLimit(every)
		a.limiter.SetBurst(burst)
	}
}

// pace is the rate of a limiter and its burst, a quarter of a minute's requests.
func pace(limit config.Usage) (rate.Limit, int) {
	return rate.Limit(float64(limit.RequestsPerMinute) / 60), max(limit.RequestsPerMinute/4, 1)
}

// account returns the account of user, or of the tenant for ""; mu must be held.
func (u *usage) account(user string, now time.Time) *account {
	a := u.accounts[user]
	if a == nil {
		if len(u.accounts) >= maxAccounts {
			u.evict(now)
		}
		a = &account{limiter: rate.NewLimiter(pace(u.limits.Load().of(user)))}
		u.accounts[user] = a
	}
	a.used = now
	return a
}

// evict drops accounts that nobody used for a while and that hold no reservation.
func (u *usage) evict(now time.Time) {
	for user, a := range u.accounts {
		if now.Sub(a.used) > time.Minute && a.reserved(now) == 0 || len(u.accounts) >= maxAccounts {
			delete(u.accounts, user)
		}
	}
}

func (a *account) reserved(now time.Time) int64 {
	for len(a.reservations) > 0 && !a.reservations[0].expires.After(now) {
		a.held -= a.reservations[0].size
		a.reservations = a.reservations[1:]
	}
	return a.held
}

// allow takes one request of user, and returns how long to wait when there are too many.
func (u *usage) allow(user string, now time.Time) (wait time.Duration, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	limits := u.limits.Load()
	for _, name := range []string{user, ""} {
		if limits.of(name).RequestsPerMinute == 0 {
			continue
		}
		if r := u.account(name, now).limiter.ReserveN(now, 1); r.DelayFrom(now) > 0 {
			wait = max(wait, r.DelayFrom(now))
			r.CancelAt(now)
		}
	}
	return wait, wait == 0
}

// reserve takes size bytes of today's allowance until expires, or says why not.
func (u *usage) reserve(ctx context.Context, user string, size int64, now, expires time.Time) *policy.Violation {
	limits := u.limits.Load()
	if !limits.bytes() {
		return nil
	}
	bounds := []struct {
		name, whose string
		limit       int64
	}{{user, "you", limits.perUser.BytesPerDay}, {"", "all users together", limits.perTenant.BytesPerDay}}
	for _, bound := range bounds {
		if bound.limit == 0 {
			continue
		}
		if err := u.refresh(ctx, bound.name, now); err != nil {
			return &policy.Violation{Code: codeQuotaUnknown, Detail: "the daily allowance cannot be checked now; try again later"}
		}
	}
	// Looked at and taken in one go, or requests that come together would each take what is left.
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, bound := range bounds {
		a := u.account(bound.name, now)
		if left := bound.limit - a.recorded - a.reserved(now); bound.limit != 0 && size > left {
			return &policy.Violation{Code: codeQuota, Detail: fmt.Sprintf("%s may upload %d bytes per day, %d are left today", bound.whose, bound.limit, max(left, 0))}
		}
	}
	for _, bound := range bounds {
		u.account(bound.name, now).reserve(size, expires)
	}
	return nil
}

// reserve keeps the list in the order of expiry.
func (a *account) reserve(size int64, expires time.Time) {
	at := len(a.reservations)
	for at > 0 && a.reservations[at-1].expires.After(expires) {
		at--
	}
	a.reservations = append(a.reservations, reservation{})
	copy(a.reservations[at+1:], a.reservations[at:])
	a.reservations[at] = reservation{size, expires}
	a.held += size
}

// refresh reads the sum of what was recorded today when it is not known or old. While the index is away, the
// last sum of today counts, with what was recorded here since.
func (u *usage) refresh(ctx context.Context, name string, now time.Time) error {
	day := now.UTC().Truncate(24 * time.Hour)
	u.mu.Lock()
	a := u.account(name, now)
	fresh := now.Sub(a.checked) < recheck && !a.checked.Before(day)
	u.mu.Unlock()
	if fresh {
		return nil
	}
	sum, err := u.ledger.BytesSince(ctx, name, day)
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case err == nil:
		a.recorded, a.checked = sum, now
	case a.checked.Before(day):
		return err
	}
	return nil
}

// settle turns a reservation into recorded bytes.
func (u *usage) settle(user string, size int64) {
	if !u.limits.Load().bytes() {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, name := range []string{user, ""} {
		if a := u.accounts[name]; a != nil {
			a.release(size)
			a.recorded += size
		}
	}
}

// release gives a reservation back.
func (u *usage) release(user string, size int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, name := range []string{user, ""} {
		if a := u.accounts[name]; a != nil {
			a.release(size)
		}
	}
}

// release drops one reservation of this size; which one does not matter for the sum.
func (a *account) release(size int64) {
	for i, r := range a.reservations {
		if r.size == size {
			a.held -= size
			a.reservations = append(a.reservations[:i], a.reservations[i+1:]...)
			return
		}
	}
}

// probes bounds how many hashes a user may ask about.
type probes struct {
	mu       sync.Mutex
	limiters map[string]*rate.Limiter
}

// probeRate and probeBurst let a person upload a holiday's photos at once; guessing hashes needs far more.
const (
	probeRate  = rate.Limit(5)
	probeBurst = 500
)

func newProbes() *probes { return &probes{limiters: map[string]*rate.Limiter{}} }

// allow takes one probe of user.
func (p *probes) allow(user string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.limiters[user]
	if l == nil {
		if len(p.limiters) >= maxAccounts {
			clear(p.limiters)
		}
		l = rate.NewLimiter(probeRate, probeBurst)
		p.limiters[user] = l
	}
	return l.AllowN(now, 1)
}
