package signer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/signer/oss"
	"github.com/uploadtenant/uploadtenant/signer/ticket"
)

const (
	// sweepPause between rounds, shorter while grants are out: a lost callback is found within it and
	// sweepGrace.
	sweepPause, busyPause = 20 * time.Second, 3 * time.Second
	// busyFor is how long after a grant its upload may land.
	busyFor = longest
	// sweepGrace leaves a fresh object to its callback, which knows more about it (image size) and which
	// OSS waits for 5 s.
	sweepGrace = 6 * time.Second
	// sweepPages and sweepHeads bound the calls of one round; a page lists sweepPage keys.
	sweepPages, sweepPage, sweepHeads = 4, 1000, 400
	// sweepWorkers look at objects at the same time.
	sweepWorkers = 16
	// removePause is how long a leftover that OSS refused to delete is left alone, and maxHeld how many are
	// remembered: a role without the right to delete should not ask for each of them in every pass.
	removePause, maxHeld = time.Hour, 10_000
	// sweepLease is how long a replica stays the one that sweeps.
	sweepLease = time.Minute
	// sweepCursor names the key up to which the running pass has come.
	sweepCursor = "sweep.cursor"
	// sweepPassed is set once a whole pass is done; without it the index is new and rebuilt at full speed.
	sweepPassed = "sweep.passed"
)

// sweeper finds objects that no callback and no client told of. The bucket is the ledger: the ticket that
// travels with each object says whose it is, so even a lost index is rebuilt from it.
type sweeper struct {
	*Server
	holder string
	// pageSize is the number of keys that are listed at once.
	pageSize int
	// held tells when a leftover that could not be deleted is tried again, by its key.
	held map[string]time.Time
}

func newSweeper(s *Server) *sweeper {
	return &sweeper{Server: s, holder: rand.Text(), pageSize: sweepPage, held: map[string]time.Time{}}
}

// run sweeps until ctx ends. Of several replicas, the one with the lease does.
func (s *sweeper) run(ctx context.Context) {
	for ctx.Err() == nil {
		again, err := s.round(ctx)
		if err != nil && ctx.Err() == nil {
			s.metrics.Sweeps.WithLabelValues("failed").Inc()
			s.log.Error("sweeping failed", "error", err)
			again = false
		}
		if again {
			continue
		}
		length := sweepPause
		if s.clock().Sub(time.Unix(s.lastGrant.Load(), 0)) < busyFor {
			length = busyPause
		}
		pause := time.NewTimer(length*3/4 + mathrand.N(length/2))
		if errors.Is(err, errNoCredentialsYet) {
			pause.Reset(200 * time.Millisecond)
		}
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}

var errNoCredentialsYet = errors.New("no credentials yet")

// round goes through some pages of the listing. It returns true when the next round should follow at once,
// which is so while a new index is rebuilt.
func (s *sweeper) round(ctx context.Context) (again bool, err error) {
	if s.live.Load().granter.ready() != nil {
		return false, errNoCredentialsYet
	}
	mine, err := s.store.Lease(ctx, "sweep", s.holder, sweepLease)
	if err != nil || !mine {
		return false, err
	}
	cursor, err := s.store.State(ctx, sweepCursor)
	if err != nil {
		return false, err
	}
	if cursor == "" {
		// A ticket key that was restored opens what was strange before; its objects come up in this pass.
		if _, err := s.store.ForgetStrangers(ctx, s.tickets.IDs()); err != nil {
			return false, err
		}
	}
	passed, err := s.store.State(ctx, sweepPassed)
	if err != nil {
		return false, err
	}
	rebuild := passed == ""
	heads := 0
	for range sweepPages {
		step, err := s.step(ctx, cursor, rebuild)
		if err != nil {
			return false, err
		}
		if step.last {
			return false, s.abandoned(ctx)
		}
		cursor = step.cursor
		heads += step.looked
		if heads >= sweepHeads && !rebuild {
			break
		}
	}
	return rebuild, nil
}

// sweepStep is what one page of the listing came to.
type sweepStep struct {
	cursor string
	looked int
	last   bool
}

// step handles one page and keeps how far the pass has come.
func (s *sweeper) step(ctx context.Context, cursor string, rebuild bool) (sweepStep, error) {
	objects, more, err := s.bucket.List(ctx, s.cfg.Bucket.Prefix, cursor, s.pageSize)
	if err != nil {
		return sweepStep{}, fmt.Errorf("list the bucket: %w", err)
	}
	looked, err := s.page(ctx, objects, rebuild)
	if err != nil {
		return sweepStep{}, err
	}
	done := sweepStep{looked: looked, last: !more}
	if more && len(objects) > 0 {
		done.cursor = objects[len(objects)-1].Key
	}
	if !more {
		if rebuild {
			if err := s.store.SetState(ctx, sweepPassed, s.clock().UTC().Format(time.RFC3339)); err != nil {
				return sweepStep{}, err
			}
		}
		s.metrics.Sweeps.WithLabelValues("passed").Inc()
	}
	return done, s.store.SetState(ctx, sweepCursor, done.cursor)
}

// page looks at those objects of a page that the index does not know.
func (s *sweeper) page(ctx context.Context, objects []oss.Listed, rebuild bool) (looked int, err error) {
	etags := make(map[string]string, len(objects))
	for i := range objects {
		etags[objects[i].Key] = objects[i].ETag
	}
	known, err := s.store.KnownKeys(ctx, etags)
	if err != nil {
		return 0, err
	}
	now := s.clock()
	queue := make(chan *oss.Listed, len(objects))
	var leftovers []string
	for i := range objects {
		o := &objects[i]
		live, isKnown := known[o.Key]
		switch {
		case isKnown && live:
		case isKnown:
			leftovers = append(leftovers, o.Key)
		case now.Sub(o.LastModified) < sweepGrace && !rebuild: // the next pass finds it
		default:
			queue <- o
		}
	}
	close(queue)
	looked = len(queue)
	var wg sync.WaitGroup
	errs := make([]error, sweepWorkers)
	for i := range min(sweepWorkers, looked) {
		wg.Go(func() {
			for o := range queue {
				if err := s.recover(ctx, o); err != nil {
					errs[i] = err
				}
			}
		})
	}
	wg.Wait()
	return looked, errors.Join(errors.Join(errs...), s.remove(ctx, leftovers))
}

// refused tells whether OSS answered and will answer the same again: the trouble is with the one object, or
// with the role's rights. It must not keep the pass from the objects that follow, because what is uploaded
// there would never be recorded; the next pass tries again.
func refused(err error) bool {
	var answer *oss.Error
	return errors.As(err, &answer) && answer.Status < http.StatusInternalServerError &&
		answer.Status != http.StatusTooManyRequests && answer.Status != http.StatusRequestTimeout
}

// remove deletes objects whose owner deleted them when the object store could not be reached.
func (s *sweeper) remove(ctx context.Context, keys []string) error {
	var errs []error
	for _, key := range keys {
		if s.clock().Before(s.held[key]) {
			continue
		}
		err := s.bucket.Delete(ctx, key)
		switch {
		case err == nil:
		case refused(err):
			if len(s.held) >= maxHeld {
				clear(s.held)
			}
			s.held[key] = s.clock().Add(removePause)
			s.log.Warn("OSS refuses to delete the object of a deleted upload; it stays", "key", key, "error", err)
		default:
			errs = append(errs, fmt.Errorf("delete leftover object: %w", err))
		}
	}
	return errors.Join(errs...)
}

// recover records one object that the index does not know, when it is an upload of this tenant.
func (s *sweeper) recover(ctx context.Context, listed *oss.Listed) error {
	o, err := s.bucket.Head(ctx, listed.Key)
	if oss.NotFound(err) {
		return nil // deleted meanwhile
	}
	if refused(err) {
		s.metrics.Strangers.WithLabelValues("unreadable").Inc()
		s.log.Warn("OSS refuses to show an object below the prefix; it is tried again", "key", listed.Key, "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at an object: %w", err)
	}
	t, err := s.tickets.Open(o.Meta["ticket"])
	if err != nil || t.Key != o.Key {
		reason, unknown := "foreign", ""
		if errors.Is(err, ticket.ErrUnknownKey) {
			reason, unknown = "unknown_ticket_key", ticket.KeyID(o.Meta["ticket"])
		}
		s.metrics.Strangers.WithLabelValues(reason).Inc()
		return s.store.MarkStranger(ctx, listed.Key, listed.ETag, unknown)
	}
	upload := uploadOf(t)
	upload.MD5, upload.CRC64, upload.ETag, upload.CreatedAt, upload.Source = o.HashOf(t.MD5), o.CRC64, o.ETag, o.LastModified, index.SourceSweep
	if p := mismatch(t, o.Size, o.ContentType); p != nil {
		s.metrics.Strangers.WithLabelValues("mismatch").Inc()
		return s.store.MarkStranger(ctx, listed.Key, listed.ETag, "")
	}
	recorded, err := s.record(ctx, t, upload)
	if errors.Is(err, index.ErrDeleted) || errors.Is(err, index.ErrConflict) {
		return nil
	}
	if err == nil && recorded.Created {
		s.metrics.RecoveryAge.Observe(s.clock().Sub(o.LastModified).Seconds())
	}
	return err
}

// abandoned ends multipart uploads that nobody completed in time.
func (s *sweeper) abandoned(ctx context.Context) error {
	if err := s.store.PruneChallenges(ctx, s.clock().Add(-time.Hour)); err != nil {
		return err
	}
	if err := s.store.PruneMediaChecks(ctx, s.clock().Add(-mediaKeep)); err != nil {
		return err
	}
	list, err := s.store.ExpiredMultiparts(ctx, 100)
	if err != nil {
		return err
	}
	for _, m := range list {
		if err := s.bucket.AbortMultipart(ctx, m.Key, m.UploadID); err != nil && !oss.NotFound(err) {
			return fmt.Errorf("abort an abandoned multipart upload: %w", err)
		}
		if err := s.store.DropMultipart(ctx, m.ID); err != nil {
			return err
		}
	}
	return nil
}
