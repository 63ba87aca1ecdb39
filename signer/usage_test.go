package signer

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/config"
)

// crowd answers nobody before n callers have asked.
type crowd struct{ sync.WaitGroup }

func (c *crowd) BytesSince(context.Context, string, time.Time) (int64, error) {
	c.Done()
	c.Wait()
	return 0, nil
}

// Requests that come together share what is left of the day; none takes what another took.
func TestTheDailyAllowanceIsGivenOnce(t *testing.T) {
	const callers = 50
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	ledger := &crowd{}
	ledger.Add(callers)
	u := newUsage(config.Limits{PerUser: config.Usage{BytesPerDay: 100}}, ledger)
	var granted atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			if u.reserve(t.Context(), "ann", 10, now, now.Add(time.Minute)) == nil {
				granted.Add(1)
			}
		})
	}
	wg.Wait()
	if got := granted.Load(); got != 10 {
		t.Errorf("%d grants of 10 bytes out of 100", got)
	}
}

// What expired is forgotten, also where nothing bounds it: a signer runs for months.
func TestReservationsDoNotPileUp(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	u := newUsage(config.Limits{PerUser: config.Usage{BytesPerDay: 1 << 40}}, &sums{})
	for range 1000 {
		if v := u.reserve(t.Context(), "ann", 1, now, now.Add(time.Second)); v != nil {
			t.Fatal(v)
		}
		now = now.Add(time.Second)
	}
	for name, a := range u.accounts {
		if len(a.reservations) > 1 || a.held > 1 {
			t.Errorf("account %q holds %d reservations of %d bytes", name, len(a.reservations), a.held)
		}
	}
}
