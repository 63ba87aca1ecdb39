package instrument

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/uploadtenant/uploadtenant/cloud"
)

// DefaultLimits returns limits in calls per second that leave room for others in the account: STS takes 100 calls a second of
// an account, OSS 10,000; RAM publishes no number, and the pace adapts when it throttles.
func DefaultLimits() map[Service]Limit {
	return map[Service]Limit{
		OSS: {Rate: 1000, Burst: 1000},
		RAM: {Rate: 200, Burst: 200},
		STS: {Rate: 50, Burst: 50},
	}
}

// Limit is a token bucket.
type Limit struct {
	Rate  float64
	Burst int
}

// Pacer holds calls to a rate per account and service, and slows down when the service asks for it: every
// throttled call halves the rate, down to a hundredth, and every successful one earns back a little.
type Pacer struct {
	limits map[Service]Limit
	clock  func() time.Time
	waited func(Service, time.Duration)

	mu    sync.Mutex
	paces map[paceKey]*pace
}

// earned per successful call, in calls per second: a rate of 50 that was halved is back after 250 calls.
const earned = 0.1

type paceKey struct {
	account string
	service Service
}

type pace struct {
	limiter *rate.Limiter
	full    rate.Limit
	slowed  time.Time
}

// NewPacer returns a Pacer. waited is told how long each call was held back; it may be nil.
func NewPacer(limits map[Service]Limit, clock func() time.Time, waited func(Service, time.Duration)) *Pacer {
	if waited == nil {
		waited = func(Service, time.Duration) {}
	}
	return &Pacer{limits: limits, clock: clock, waited: waited, paces: map[paceKey]*pace{}}
}

// Interceptor paces the calls of an account.
func (p *Pacer) Interceptor(account string) Interceptor {
	return func(ctx context.Context, call Call, next func(context.Context) error) error {
		pace := p.pace(account, call.Service)
		start := p.clock()
		if err := pace.limiter.Wait(ctx); err != nil {
			return &cloud.Error{
				Class: cloud.Throttled, Operation: call.Operation, Resource: call.Resource,
				Detail: "held back, because the service asked to slow down; this is retried", Err: err,
			}
		}
		p.waited(call.Service, p.clock().Sub(start))
		err := next(ctx)
		p.learn(pace, cloud.ClassOf(err))
		return err
	}
}

func (p *Pacer) pace(account string, service Service) *pace {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := paceKey{account, service}
	found, ok := p.paces[key]
	if !ok {
		limit := p.limits[service]
		found = &pace{limiter: rate.NewLimiter(rate.Limit(limit.Rate), limit.Burst), full: rate.Limit(limit.Rate)}
		p.paces[key] = found
	}
	return found
}

// learn adapts the rate. Calls that were under way together are refused together: that counts once a second.
func (p *Pacer) learn(pace *pace, class cloud.Class) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, current := p.clock(), pace.limiter.Limit()
	switch {
	case class == cloud.Throttled && now.Sub(pace.slowed) >= time.Second:
		pace.slowed = now
		pace.limiter.SetLimit(max(current/2, pace.full/100))
	case class == "" && current < pace.full:
		pace.limiter.SetLimit(min(current+earned, pace.full))
	}
}

// Rate returns the present rate of an account's service, for tests and metrics.
func (p *Pacer) Rate(account string, service Service) float64 {
	pace := p.pace(account, service)
	p.mu.Lock()
	defer p.mu.Unlock()
	return float64(pace.limiter.Limit())
}
