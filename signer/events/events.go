// Package events delivers the outbox to the application: at least once, in order per upload, signed as
// Standard Webhooks describe (https://github.com/standard-webhooks/standard-webhooks).
package events

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/signer/trace"
)

const (
	// requestTimeout of one delivery; receivers should answer first and work later.
	requestTimeout = 15 * time.Second
	// lease hides a claimed event from other replicas; it outlasts a request, and the one that its worker may
	// still be busy with.
	lease = 2*requestTimeout + 10*time.Second
	// workers deliver at the same time.
	workers = 8
	// firstPause and longestPause bound the backoff between attempts.
	firstPause, longestPause = time.Second, time.Hour
	// giveUpAfter is the age at which an event becomes a dead letter.
	giveUpAfter = 24 * time.Hour
	// pollPause bounds how long an event recorded by another replica can go unnoticed.
	pollPause = 5 * time.Second
	// keepDelivered is how long delivered events stay for people who look.
	keepDelivered = 7 * 24 * time.Hour
)

// Outbox is where events wait; *index.Store is one.
type Outbox interface {
	Claim(ctx context.Context, limit int, lease time.Duration) ([]index.Delivery, error)
	Delivered(ctx context.Context, seq int64) error
	Retry(ctx context.Context, seq int64, next time.Time, reason string) error
	Bury(ctx context.Context, seq int64, reason string) error
	Prune(ctx context.Context, before time.Time) (int64, error)
}

// Secrets sign events; with several, each signs, so that a receiver can change over.
type Secrets [][]byte

// ParseSecrets reads one or more secrets separated by space: "whsec_" and 24 to 64 bytes in base64.
func ParseSecrets(text string) (Secrets, error) {
	var secrets Secrets
	for field := range strings.FieldsSeq(text) {
		encoded, ok := strings.CutPrefix(field, "whsec_")
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(key) < 24 || len(key) > 64 {
			return nil, errors.New(`an event secret must be "whsec_" followed by 24 to 64 bytes in base64`)
		}
		secrets = append(secrets, key)
	}
	if len(secrets) == 0 {
		return nil, errors.New("the file of the event secret is empty")
	}
	return secrets, nil
}

// SecretSource gives the secrets that sign now; rotated ones follow without a restart.
type SecretSource interface{ Get() Secrets }

// Get makes fixed secrets a source.
func (s Secrets) Get() Secrets { return s }

// Sign returns the webhook-signature header of a message.
func (s Secrets) Sign(id string, at time.Time, payload []byte) string {
	var b strings.Builder
	for i, key := range s {
		if i > 0 {
			b.WriteByte(' ')
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(payload)
		b.WriteString("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return b.String()
}

// Options of a Deliverer. All but Clock, Observe and Logger are needed.
type Options struct {
	Outbox  Outbox
	URL     string
	Secrets SecretSource
	Client  *http.Client
	Clock   func() time.Time
	Logger  *slog.Logger
	// Observe is told of each attempt: "delivered", "retried" or "dead", and the age of the event.
	Observe func(result string, age time.Duration)
	// Tracer may be nil.
	Tracer *trace.Tracer
}

// Deliverer sends events.
type Deliverer struct {
	Options
	wake    chan struct{}
	timeout time.Duration // of one request
}

// New returns a deliverer; Run starts it.
func New(opts Options) *Deliverer {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Observe == nil {
		opts.Observe = func(string, time.Duration) {}
	}
	return &Deliverer{Options: opts, wake: make(chan struct{}, 1), timeout: requestTimeout}
}

// Wake tells that an event was written. It never blocks.
func (d *Deliverer) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends; then it finishes what it has begun and returns. A delivery that hangs holds one
// worker and nobody else.
func (d *Deliverer) Run(ctx context.Context) {
	queue := make(chan index.Delivery)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for event := range queue {
				d.handle(ctx, event)
				d.Wake() // the next event of the same upload may be due now
			}
		})
	}
	defer wg.Wait()
	defer close(queue)
	pruned := time.Time{}
	for ctx.Err() == nil {
		due := d.claim(ctx)
		for _, event := range due {
			queue <- event
		}
		if now := d.Clock(); now.Sub(pruned) > time.Hour {
			pruned = now
			if _, err := d.Outbox.Prune(ctx, now.Add(-keepDelivered)); err != nil && ctx.Err() == nil {
				d.Logger.Warn("pruning delivered events failed", "error", err)
			}
		}
		if len(due) > 0 {
			continue
		}
		pause := time.NewTimer(pollPause/5 + rand.N(pollPause/5))
		select {
		case <-ctx.Done():
		case <-d.wake:
		case <-pause.C:
		}
		pause.Stop()
	}
}

// claim takes what is due, as much as all workers can begin at once.
func (d *Deliverer) claim(ctx context.Context) []index.Delivery {
	due, err := d.Outbox.Claim(ctx, workers, lease)
	if err != nil {
		if ctx.Err() == nil {
			d.Logger.Error("claiming events failed", "error", err)
		}
		return nil
	}
	return due
}

// handle makes one attempt and settles it, even when ctx ends meanwhile.
func (d *Deliverer) handle(ctx context.Context, event index.Delivery) {
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.timeout+5*time.Second)
	defer cancel()
	if ctx.Err() != nil {
		// Claimed but not begun: give it back for the next start.
		if err := d.Outbox.Retry(settle, event.Seq, d.Clock(), ""); err != nil {
			d.Logger.Warn("releasing an event failed", "upload", event.UploadID, "error", err)
		}
		return
	}
	span := d.Tracer.Begin(event.UploadID, "deliver", trace.Record, trace.Client, d.Clock())
	err := d.send(settle, event, span.Traceparent())
	now := d.Clock()
	d.traced(span, event, err, now)
	age := now.Sub(event.CreatedAt)
	log := d.Logger.With("upload", event.UploadID, "event", event.Type, "attempt", event.Attempts)
	var result string
	switch {
	case err == nil:
		log.Debug("event delivered")
		result, err = "delivered", d.Outbox.Delivered(settle, event.Seq)
	case age >= giveUpAfter:
		log.Error("event given up", "error", err)
		result, err = "dead", d.Outbox.Bury(settle, event.Seq, err.Error())
	default:
		next := now.Add(Backoff(event.Attempts))
		log.Warn("event delivery failed", "error", err, "next", next)
		result, err = "retried", d.Outbox.Retry(settle, event.Seq, next, err.Error())
	}
	d.Observe(result, age)
	if err != nil {
		log.Error("settling an event failed; it will be sent again", "error", err)
	}
}

// Backoff grows by half from 1 s to 1 h, with half of it random, so that receivers which come back are not
// hit by everything at once. It grows that slowly because a receiver that fails now and then is more
// common than one that is down for hours: ten failures in a row cost two minutes, not seventeen.
func Backoff(attempts int) time.Duration {
	pause := firstPause
	for n := 1; n < attempts && pause < longestPause; n++ {
		pause += pause / 2
	}
	pause = min(pause, longestPause)
	return pause/2 + rand.N(pause/2)
}

// traced sends the span of an attempt.
func (d *Deliverer) traced(span *trace.Span, event index.Delivery, err error, at time.Time) {
	span.Set(trace.Attribute{Key: "event.type", Value: event.Type}, trace.Attribute{Key: "event.attempt", Value: event.Attempts})
	if err != nil {
		span.Fail(err.Error())
	}
	d.Tracer.End(span, at)
}

// send makes one request. traceparent, when it is not empty, joins the receiver's trace with the upload's.
func (d *Deliverer) send(ctx context.Context, event index.Delivery, traceparent string) error {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(event.Payload))
	if err != nil {
		return errors.New("the event URL is not usable")
	}
	now := d.Clock()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "uploadtenant-signer")
	req.Header.Set("Webhook-Id", event.ID)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("Webhook-Signature", d.Secrets.Get().Sign(event.ID, now, event.Payload))
	if traceparent != "" {
		req.Header.Set("Traceparent", traceparent)
	}
	resp, err := d.Client.Do(req)
	if err != nil {
		var u *url.Error // its text holds the URL, whose query may be secret
		if errors.As(err, &u) {
			err = u.Err
		}
		return fmt.Errorf("reach the receiver: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the receiver answered with status %d", resp.StatusCode)
	}
	return nil
}
