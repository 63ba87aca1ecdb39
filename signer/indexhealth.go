package signer

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/index"
)

const (
	// askTime bounds a question to the index on the way to a grant, which can do without the answer.
	askTime = time.Second
	// askAgain is how long an index that did not answer is not asked again by grants.
	askAgain = 5 * time.Second
)

var errIndexAway = errors.New("the index did not answer a moment ago")

// indexHealth remembers whether the index answers. Grants need no database: an index that is away must
// neither fail nor delay them.
type indexHealth struct {
	// reached is set once the index has answered since the start: a wrong connection string must not replace
	// the pods that have the right one.
	reached atomic.Bool
	// avoid is the Unix time in nanoseconds until which grants do not ask.
	avoid atomic.Int64
	clock func() time.Time
}

// ask runs a question of a grant, unless the index was found away a moment ago.
func (h *indexHealth) ask(ctx context.Context, question func(context.Context) error) error {
	if h.clock().UnixNano() < h.avoid.Load() {
		return errIndexAway
	}
	limited, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	err := question(limited)
	if err != nil && !errors.Is(err, index.ErrNotFound) && ctx.Err() == nil {
		h.avoid.Store(h.clock().Add(askAgain).UnixNano())
	}
	return err
}

// askedLedger reads sums for grants.
type askedLedger struct {
	ledger
	health *indexHealth
}

// BytesSince implements ledger.
func (l askedLedger) BytesSince(ctx context.Context, user string, t time.Time) (sum int64, err error) {
	err = l.health.ask(ctx, func(ctx context.Context) (err error) {
		sum, err = l.ledger.BytesSince(ctx, user, t)
		return err
	})
	return sum, err
}
