package instrument

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/policy"
)

// Collapser lets identical reads of a bucket share one call while it is under way: the tenants of a bucket
// look at the same documents. A read never shares a call that was under way when a write of ours began or
// ended, so that nobody is told what was there before.
//
// The call belongs to nobody in particular: it goes on when the one who made it gives up, and ends when
// everybody did.
type Collapser struct {
	shared func(Call)

	mu      sync.Mutex
	flights map[flightKey]*flight
	// writes counts the beginnings and ends of writes to a bucket.
	writes map[string]uint64
}

// flightKey tells which reads are identical. Accounts are told apart by everything that describes them: one
// whose key is refused must not answer for another.
type flightKey struct {
	account, operation, bucket string
	writes                     uint64
}

type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int
	value   any
	err     error
}

// NewCollapser returns a Collapser. shared is told of each read that needed no call of its own; it may be nil.
func NewCollapser(shared func(Call)) *Collapser {
	if shared == nil {
		shared = func(Call) {}
	}
	return &Collapser{shared: shared, flights: map[flightKey]*flight{}, writes: map[string]uint64{}}
}

// around returns services whose reads of buckets are shared with those of the same account.
func (c *Collapser) around(s cloud.Services, account cloud.Account) (cloud.Services, error) {
	raw, err := json.Marshal(account)
	if err != nil {
		return cloud.Services{}, fmt.Errorf("describe account: %w", err)
	}
	sum := sha256.Sum256(raw)
	by := sharing{c, hex.EncodeToString(sum[:])}
	s = Intercept(s, c.countWrites)
	s.Buckets = sharedBuckets{s.Buckets, by}
	s.Settings = sharedSettings{s.Settings, by}
	s.CORS = sharedCORS{s.CORS, by}
	s.Lifecycle = sharedLifecycle{s.Lifecycle, by}
	return s, nil
}

// countWrites keeps reads from before and during a write apart from those after it.
func (c *Collapser) countWrites(ctx context.Context, call Call, next func(context.Context) error) error {
	if !call.Write || call.Service != OSS {
		return next(ctx)
	}
	c.count(call.Resource)
	defer c.count(call.Resource)
	return next(ctx)
}

func (c *Collapser) count(bucket string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes[bucket]++
}

// join returns the flight of a call, which is new when the caller has to start it.
func (c *Collapser) join(ctx context.Context, account string, call Call) (key flightKey, f *flight, start context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key = flightKey{account, call.Operation, call.Resource, c.writes[call.Resource]}
	if f = c.flights[key]; f != nil {
		f.waiters++
		return key, f, nil
	}
	f = &flight{done: make(chan struct{}), waiters: 1}
	start, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.flights[key] = f
	return key, f, start
}

// leave ends the call when nobody waits for it any more.
func (c *Collapser) leave(key flightKey, f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiters--; f.waiters == 0 {
		f.cancel()
		c.forget(key, f)
	}
}

// forget keeps later reads from joining. c.mu is held.
func (c *Collapser) forget(key flightKey, f *flight) {
	if c.flights[key] == f {
		delete(c.flights, key)
	}
}

// sharing shares the reads of one account.
type sharing struct {
	*Collapser
	account string
}

func share[T any](ctx context.Context, by sharing, operation, bucket string, read func(context.Context) (T, error)) (T, error) {
	call := Call{OSS, operation, bucket, false}
	key, f, start := by.join(ctx, by.account, call)
	if start != nil {
		go func() {
			f.value, f.err = read(start)
			by.mu.Lock()
			by.forget(key, f)
			by.mu.Unlock()
			close(f.done)
		}()
	} else {
		by.shared(call)
		if span := trace.SpanFromContext(ctx); span.IsRecording() {
			span.AddEvent("shared a read", trace.WithAttributes(
				attribute.String("cloud.operation", operation), attribute.String("cloud.resource", bucket)))
		}
	}
	defer by.leave(key, f)
	select {
	case <-f.done:
		value, _ := f.value.(T)
		return value, f.err
	case <-ctx.Done():
		var none T
		return none, &cloud.Error{
			Class: cloud.Retryable, Operation: operation, Resource: bucket,
			Detail: "the service did not answer before the work had to end; this is retried", Err: ctx.Err(),
		}
	}
}

type sharedBuckets struct {
	cloud.Buckets
	by sharing
}

func (d sharedBuckets) Observe(ctx context.Context, name string) (cloud.Bucket, bool, error) {
	type seen struct {
		bucket cloud.Bucket
		found  bool
	}
	got, err := share(ctx, d.by, "oss:GetBucketInfo", name, func(ctx context.Context) (s seen, err error) {
		s.bucket, s.found, err = d.Buckets.Observe(ctx, name)
		return s, err
	})
	return got.bucket, got.found, err
}

func (d sharedBuckets) Tags(ctx context.Context, name string) (map[string]string, error) {
	tags, err := share(ctx, d.by, "oss:GetBucketTagging", name, func(ctx context.Context) (map[string]string, error) {
		return d.Buckets.Tags(ctx, name)
	})
	return maps.Clone(tags), err
}

type sharedSettings struct {
	cloud.BucketSettings
	by sharing
}

func (d sharedSettings) Referer(ctx context.Context, bucket string) (cloud.Referer, error) {
	r, err := share(ctx, d.by, "oss:GetBucketReferer", bucket, func(ctx context.Context) (cloud.Referer, error) {
		return d.BucketSettings.Referer(ctx, bucket)
	})
	r.Allowed = slices.Clone(r.Allowed)
	return r, err
}

type sharedCORS struct {
	cloud.CORS
	by sharing
}

func (d sharedCORS) Rules(ctx context.Context, bucket string) ([]policy.CORSRule, error) {
	rules, err := share(ctx, d.by, "oss:GetBucketCors", bucket, func(ctx context.Context) ([]policy.CORSRule, error) {
		return d.CORS.Rules(ctx, bucket)
	})
	return slices.Clone(rules), err
}

type sharedLifecycle struct {
	cloud.Lifecycle
	by sharing
}

func (d sharedLifecycle) Rules(ctx context.Context, bucket string) ([]policy.LifecycleRule, error) {
	rules, err := share(ctx, d.by, "oss:GetBucketLifecycle", bucket, func(ctx context.Context) ([]policy.LifecycleRule, error) {
		return d.Lifecycle.Rules(ctx, bucket)
	})
	return slices.Clone(rules), err
}
