package signer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/events"
	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/signer/oss"
	"github.com/uploadtenant/uploadtenant/signer/sniff"
	"github.com/uploadtenant/uploadtenant/signer/trace"
)

// Reasons of a rejected upload.
const (
	// reasonContent is a file that is not what its content type says, or not the one whose hash was announced.
	reasonContent = "content_mismatch"
	// reasonMissing is an object that somebody removed before it was looked at.
	reasonMissing = "object_missing"
)

const (
	// quarantineTag marks the object of a rejected upload that stays; lifecycle rules can select it.
	quarantineTag, quarantineValue = "uploadtenant-status", "rejected"
	// verifyLease outlasts a verification: three calls of 20 s at most.
	verifyLease = 2 * time.Minute
	// verifyBatch is claimed at once, verifyWorkers look at objects at the same time.
	verifyBatch, verifyWorkers = 32, 8
	// verifyPoll bounds how long an upload recorded by a replica that died since waits.
	verifyPoll = 5 * time.Second
	// longestVerifyPause between attempts; a broken object store is asked this often per upload.
	longestVerifyPause = 5 * time.Minute
)

// verifies tells whether something is to be done between the record of an upload and its completion.
func (s *Server) verifies() bool {
	v := &s.cfg.Verification
	return v.Sniff || len(v.Tags) > 0 || v.ACL != "" || v.MediaCheck != nil
}

// verifier looks at the objects of recorded uploads, away from the callback, which OSS waits for 5 s only.
// What is to be done stands in the index, so that it survives a restart and several replicas share it.
type verifier struct {
	*Server
	wake chan struct{}
}

// nudge tells that an upload waits. It never blocks.
func (v *verifier) nudge() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// run verifies until ctx ends and finishes what it began.
func (v *verifier) run(ctx context.Context) {
	for ctx.Err() == nil {
		if v.round(ctx) == verifyBatch {
			continue
		}
		pause := time.NewTimer(verifyPoll/2 + rand.N(verifyPoll/2))
		select {
		case <-ctx.Done():
		case <-v.wake:
		case <-pause.C:
		}
		pause.Stop()
	}
}

// round handles what is due and returns how many uploads that were.
func (v *verifier) round(ctx context.Context) int {
	if v.live.Load().granter.ready() != nil {
		return 0
	}
	due, err := v.store.ClaimVerifications(ctx, verifyBatch, verifyLease)
	if err != nil {
		if ctx.Err() == nil {
			v.log.Error("claiming verifications failed", "error", err)
		}
		return 0
	}
	queue := make(chan index.Verification, len(due))
	for _, item := range due {
		queue <- item
	}
	close(queue)
	var wg sync.WaitGroup
	for range min(verifyWorkers, len(due)) {
		wg.Go(func() {
			for item := range queue {
				v.handle(context.WithoutCancel(ctx), &item)
			}
		})
	}
	wg.Wait()
	return len(due)
}

// handle makes one attempt; a failed one is repeated later, and so is one that waits for somebody else.
func (v *verifier) handle(ctx context.Context, item *index.Verification) {
	ctx, cancel := context.WithTimeout(ctx, verifyLease*3/4)
	defer cancel()
	span := v.trace.Begin(item.Upload.ID, "verify", trace.Record, trace.Internal, v.clock())
	err := v.verify(ctx, item)
	var wait *pending
	v.traceVerify(span, item, err)
	var next time.Time
	switch {
	case err == nil:
		return
	case errors.As(err, &wait):
		next = wait.until
	default:
		v.metrics.Verifications.WithLabelValues("failed", "").Inc()
		next = v.clock().Add(min(events.Backoff(item.Attempts), longestVerifyPause))
		v.log.Warn("verifying an upload failed", "upload", item.Upload.ID, "attempt", item.Attempts, "next", next, "error", err)
	}
	if err := v.store.RetryVerification(ctx, *item, next); err != nil {
		v.log.Error("postponing a verification failed; it is repeated after its lease", "upload", item.Upload.ID, "error", err)
	}
}

// traceVerify sends the span of an attempt; one that waits for WeChat has not failed.
func (v *verifier) traceVerify(span *trace.Span, item *index.Verification, err error) {
	var wait *pending
	span.Set(trace.Attribute{Key: "verify.attempt", Value: item.Attempts}, trace.Attribute{Key: "verify.reason", Value: item.Upload.Reason}, trace.Attribute{Key: "verify.waits", Value: errors.As(err, &wait)})
	if err != nil && wait == nil {
		span.Fail("repeated later")
	}
	v.trace.End(span, v.clock())
}

// verify does what is left to do for upload. Everything in it can be repeated: an upload that is not yet
// decided is looked at, prepared and completed; a rejected one has its object removed or marked.
func (v *verifier) verify(ctx context.Context, item *index.Verification) error {
	upload := &item.Upload
	switch upload.Status {
	case index.StatusVerifying:
	case index.StatusRejected:
		return v.quarantine(ctx, upload)
	default:
		return v.store.DropVerification(ctx, upload.ID)
	}
	reason, err := v.look(ctx, upload)
	if reason == "" && err == nil {
		reason, err = v.checkMedia(ctx, item)
	}
	if err != nil {
		return err
	}
	if reason != "" {
		upload.Reason = reason
		if err := v.settle(ctx, upload, index.Verdict{Status: index.StatusRejected, Reason: reason, Keep: true}); err != nil {
			return err
		}
		return v.quarantine(ctx, upload)
	}
	if err := v.prepare(ctx, upload); err != nil {
		return err
	}
	return v.settle(ctx, upload, index.Verdict{Status: index.StatusCompleted})
}

// look returns why the upload is to be rejected, or "".
func (v *verifier) look(ctx context.Context, upload *index.Upload) (string, error) {
	if !v.cfg.Verification.Sniff {
		return "", nil
	}
	data, err := v.bucket.GetRange(ctx, upload.Key, 0, min(sniff.Bytes, max(upload.Size, 1)))
	switch {
	case oss.NotFound(err):
		return reasonMissing, nil
	case err != nil:
		return "", fmt.Errorf("read the first bytes of the object: %w", err)
	case !sniff.Agrees(upload.ContentType, data):
		return reasonContent, nil
	}
	return "", nil
}

// prepare sets the tags and the ACL that the tenant wants on accepted objects.
func (v *verifier) prepare(ctx context.Context, upload *index.Upload) error {
	tags := v.cfg.Verification.Tags
	if v.media != nil && mediaKind(upload) != 0 {
		tags = withStatus(tags, checkedValue)
	}
	if len(tags) > 0 {
		if err := v.tolerate(upload, "tag the object", v.bucket.SetTags(ctx, upload.Key, tags)); err != nil {
			return err
		}
	}
	if acl := v.cfg.Verification.ACL; acl != "" {
		return v.tolerate(upload, "set the object's ACL", v.bucket.SetACL(ctx, upload.Key, acl))
	}
	return nil
}

// quarantine removes the object of a rejected upload or marks it, as the tenant wants. It stays private. What
// a person may still decide about is never removed.
func (v *verifier) quarantine(ctx context.Context, upload *index.Upload) error {
	var err error
	switch {
	case upload.Reason == reasonMissing:
	case v.cfg.Verification.Delete && (upload.Reason == reasonContent || upload.Reason == reasonRisky):
		err = v.tolerate(upload, "delete the rejected object", v.bucket.Delete(ctx, upload.Key))
	default:
		err = v.tolerate(upload, "tag the rejected object", v.bucket.SetTags(ctx, upload.Key, withStatus(v.cfg.Verification.Tags, quarantineValue)))
	}
	if err != nil {
		return err
	}
	return v.store.DropVerification(ctx, upload.ID)
}

// withStatus adds the tag that tells what became of an object.
func withStatus(tags map[string]string, status string) map[string]string {
	all := make(map[string]string, len(tags)+1)
	maps.Copy(all, tags)
	all[quarantineTag] = status
	return all
}

// tolerate turns a refusal that will not change by itself into a log line and a count, because an event
// must not wait for ever for a right that nobody gives; any other error is returned for another attempt.
func (v *verifier) tolerate(upload *index.Upload, action string, err error) error {
	var refusal *oss.Error
	switch {
	case err == nil || oss.NotFound(err):
		return nil
	case errors.As(err, &refusal) && refusal.Status/100 == 4 && refusal.Status != 429:
		v.metrics.Verifications.WithLabelValues("refused", "").Inc()
		v.log.Error("OSS refused to "+action, "upload", upload.ID, "ossRequestID", refusal.RequestID, "error", err)
		return nil
	}
	return fmt.Errorf("%s: %w", action, err)
}

// settle decides the upload together with its event.
func (v *verifier) settle(ctx context.Context, upload *index.Upload, verdict index.Verdict) error {
	var event func(index.Upload) (*index.Event, error)
	if v.deliverer != nil {
		event = func(u index.Upload) (*index.Event, error) { return v.event("upload."+verdict.Status, &u, v.clock()) }
	}
	settled, err := v.store.SettleVerification(ctx, upload.ID, verdict, event)
	if err != nil || !settled {
		return err
	}
	v.metrics.Verifications.WithLabelValues(verdict.Status, verdict.Reason).Inc()
	v.log.Info("upload verified", v.uploadLog(upload.ID), "status", verdict.Status, "reason", verdict.Reason)
	if v.deliverer != nil {
		v.deliverer.Wake()
	}
	return nil
}
