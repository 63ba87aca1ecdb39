package signer

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/index"
)

// A database that does not answer, as behind a broken network, delays one grant and not the next ones.
func TestAnIndexThatHangsDelaysOneGrant(t *testing.T) {
	now := time.Now()
	h := indexHealth{clock: func() time.Time { return now }}
	asked := 0
	hang := func(ctx context.Context) error { asked++; <-ctx.Done(); return ctx.Err() }
	for range 3 {
		if err := h.ask(t.Context(), hang); err == nil {
			t.Error("no error")
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
	now = now.Add(askAgain)
	missing := func(context.Context) error { asked++; return index.ErrNotFound }
	for range 2 {
		if err := h.ask(t.Context(), missing); !errors.Is(err, index.ErrNotFound) {
			t.Errorf("got %v: what is not there is an answer", err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.ask(gone, hang); err == nil {
		t.Error("no error")
	}
	if err := h.ask(t.Context(), missing); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("got %v: a caller who left says nothing about the index", err)
	}
}

// sums answers with a fixed sum, or an error.
type sums struct {
	sum int64
	err error
}

func (s *sums) BytesSince(context.Context, string, time.Time) (int64, error) { return s.sum, s.err }

// While the index is away, what was known of today bounds the day; a user of whom nothing is known is refused
// with a code that says why.
func TestTheDailyAllowanceWhileTheIndexIsAway(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	stored := &sums{sum: 60}
	u := newUsage(config.Limits{PerUser: config.Usage{BytesPerDay: 100}}, stored)
	reserve := func(user string, size int64) string {
		if v := u.reserve(t.Context(), user, size, now, now.Add(time.Minute)); v != nil {
			return v.Code
		}
		return "granted"
	}
	if got := reserve("ann", 10); got != "granted" {
		t.Fatal(got)
	}
	stored.err = errors.New("away")
	now = now.Add(10 * time.Minute) // the reservation has ended, and the sum is old
	tests := []struct {
		user string
		size int64
		want string
	}{{"ann", 41, codeQuota}, {"ann", 40, "granted"}, {"ann", 1, codeQuota}, {"bob", 1, codeQuotaUnknown}}
	for _, test := range tests {
		if got := reserve(test.user, test.size); got != test.want {
			t.Errorf("%s, %d bytes: %s, want %s", test.user, test.size, got, test.want)
		}
	}
	now = now.Add(24 * time.Hour)
	if got := reserve("ann", 1); got != codeQuotaUnknown {
		t.Errorf("the next day: %s, want %s", got, codeQuotaUnknown)
	}
}
