package oss

import (
	"encoding/xml"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// LifecycleReport counts what a run of the lifecycle rules did.
type LifecycleReport struct {
	// Expired counts objects, old versions and delete markers that were removed.
	Expired int `json:"expired"`
	// Transitioned counts objects that changed their storage class.
	Transitioned int `json:"transitioned"`
	// Aborted counts multipart uploads.
	Aborted int `json:"aborted"`
}

// RunLifecycle applies the lifecycle rules of all buckets as of the emulator's clock. The real service does so once
// a day at a time of its own; here it happens when it is asked for, so that a test can move the clock and look.
func (s *Server) RunLifecycle() (LifecycleReport, error) {
	var report LifecycleReport
	for _, b := range s.store.Buckets() {
		var doc lifecycleConfiguration
		raw := b.Config["lifecycle"]
		if raw == nil || xml.Unmarshal(raw, &doc) != nil {
			continue
		}
		for _, rule := range doc.Rules {
			if rule.Status != "Enabled" {
				continue
			}
			run := lifecycleRun{store: s.store, bucket: b, rule: rule, now: s.clock(), report: &report}
			for _, step := range []func() error{run.objects, run.versions, run.uploads} {
				if err := step(); err != nil {
					return report, err
				}
			}
		}
	}
	return report, nil
}

// lifecycleRun is one rule at work.
type lifecycleRun struct {
	store  *store.Store
	bucket *store.Bucket
	rule   lifecycleRule
	now    time.Time
	report *LifecycleReport
}

// unlimited is the size of a listing without pages.
const unlimited = math.MaxInt

func (r lifecycleRun) covers(o *store.Object) bool {
	if !strings.HasPrefix(o.Key, r.rule.Prefix) {
		return false
	}
	for _, want := range r.rule.Tags {
		if !slices.Contains(o.Tags, store.Tag(want)) {
			return false
		}
	}
	f := r.rule.Filter
	if f == nil {
		return true
	}
	if f.GreaterThan != nil && o.Size <= *f.GreaterThan || f.LessThan != nil && o.Size >= *f.LessThan {
		return false
	}
	for _, not := range f.Not {
		if strings.HasPrefix(o.Key, not.Prefix) && (not.Tag == nil || slices.Contains(o.Tags, store.Tag(*not.Tag))) {
			return false
		}
	}
	return true
}

// objects expires and moves current objects; of several due transitions the coldest counts.
func (r lifecycleRun) objects() error {
	page, err := r.store.ListObjects(r.bucket.Name, store.List{Max: unlimited})
	if err != nil {
		return err
	}
	for _, o := range page.Objects {
		if !r.covers(o) {
			continue
		}
		if r.rule.Expiration.due(o.Modified, r.now) {
			if _, err := r.store.DeleteObject(r.bucket.Name, o.Key, ""); err != nil {
				return err
			}
			r.report.Expired++
			continue
		}
		class := o.StorageClass
		for _, t := range r.rule.Transition {
			if t.due(o.Modified, r.now) && slices.Index(storageClasses, t.StorageClass) > slices.Index(storageClasses, class) {
				class = t.StorageClass
			}
		}
		if class == o.StorageClass {
			continue
		}
		if _, err := r.store.UpdateObject(r.bucket.Name, o.Key, o.VersionID, func(o *store.Object) error {
			o.StorageClass = class
			return nil
		}); err != nil {
			return err
		}
		r.report.Transitioned++
	}
	return nil
}

// versions removes old versions, and delete markers that hide nothing any more.
func (r lifecycleRun) versions() error {
	markers := r.rule.Expiration != nil && r.rule.Expiration.ExpiredObjectDeleteMarker
	if r.rule.NoncurrentExpiration == nil && !markers {
		return nil
	}
	page, err := r.store.ListVersions(r.bucket.Name, store.List{Max: unlimited})
	if err != nil {
		return err
	}
	count := map[string]int{}
	for _, o := range page.Objects {
		count[o.Key]++
	}
	for i, o := range page.Objects {
		lone := markers && o.DeleteMarker && page.Latest[i] && count[o.Key] == 1
		if !strings.HasPrefix(o.Key, r.rule.Prefix) || !lone && !r.old(page, i) {
			continue
		}
		if _, err := r.store.DeleteObject(r.bucket.Name, o.Key, o.VersionID); err != nil {
			return err
		}
		r.report.Expired++
	}
	return nil
}

// old tells whether a version stopped being the current one, which it did when the next newer was made, long enough ago.
func (r lifecycleRun) old(page store.Listing, i int) bool {
	if r.rule.NoncurrentExpiration == nil || page.Latest[i] {
		return false
	}
	replaced := page.Objects[i-1].Modified
	return !r.now.Before(replaced.Add(time.Duration(r.rule.NoncurrentExpiration.Days) * 24 * time.Hour))
}

func (r lifecycleRun) uploads() error {
	if r.rule.Abort == nil {
		return nil
	}
	uploads, err := r.store.Uploads(r.bucket.Name)
	if err != nil {
		return err
	}
	for _, u := range uploads {
		if !strings.HasPrefix(u.Key, r.rule.Prefix) || !r.rule.Abort.due(u.Initiated, r.now) {
			continue
		}
		if err := r.store.AbortUpload(r.bucket.Name, u.Key, u.ID); err != nil {
			return err
		}
		r.report.Aborted++
	}
	return nil
}
