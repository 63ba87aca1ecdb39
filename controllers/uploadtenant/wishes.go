package uploadtenant

import (
	"sync"

	"github.com/uploadtenant/uploadtenant/policy"
)

// wishes are the lifecycle rules that tenants want of their buckets and that are not known to be there yet.
// Each rule set is a tenant's own, so that whoever writes the document may write those of all at once:
// twenty tenants of a new bucket otherwise write it twenty times, one after the other.
type wishes struct {
	mu       sync.Mutex
	byBucket map[string]map[policy.Owner][]policy.LifecycleRule
}

// add makes a wish known until the returned function is called.
func (w *wishes) add(bucket string, owner policy.Owner, rules []policy.LifecycleRule) func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byBucket == nil {
		w.byBucket = map[string]map[policy.Owner][]policy.LifecycleRule{}
	}
	if w.byBucket[bucket] == nil {
		w.byBucket[bucket] = map[policy.Owner][]policy.LifecycleRule{}
	}
	w.byBucket[bucket][owner] = rules
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(w.byBucket[bucket], owner); len(w.byBucket[bucket]) == 0 {
			delete(w.byBucket, bucket)
		}
	}
}

// mergeInto merges the wishes into a document. One for which there is no room is left out: its tenant finds
// that out by itself.
func (w *wishes) mergeInto(bucket string, document []policy.LifecycleRule) []policy.LifecycleRule {
	w.mu.Lock()
	defer w.mu.Unlock()
	for owner, rules := range w.byBucket[bucket] {
		if merged, err := policy.MergeLifecycle(document, owner, rules); err == nil {
			document = merged
		}
	}
	return document
}
