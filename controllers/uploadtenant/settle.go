package uploadtenant

import (
	"context"
	"sync"
)

// document is a part of a bucket that its tenants share, such as its CORS rules.
type document struct {
	// read looks at what is there. It may run again; what it saw before is void then.
	read func(context.Context) error
	// pending decides what to write, by what was read and by the tenants in the cache; nil is nothing. It may
	// run again too.
	pending func(context.Context) (write func(context.Context) error, err error)
}

// maxLooks bounds how often a reconcile looks again because others wrote meanwhile.
const maxLooks = 4

// settle makes a document what its tenants declare. Looking takes no lock, so that the tenants of a bucket
// look at the same time, with one call for all. Writing takes the bucket's lock and relies on nothing that
// was read before another reconcile wrote; the tenants are read again in any case: the cache only moves
// forward, so whoever writes last writes the newest union.
func (r *Reconciler) settle(ctx context.Context, s *scope, d document) error {
	for look := 1; ; look++ {
		if done, err := r.trySettling(ctx, s, d, look == maxLooks); done || err != nil {
			return err
		}
	}
}

// trySettling is done unless others wrote while it waited for the lock: they may have written all that it
// wants, and many find that out at once when they look without the lock. The last try looks with it.
func (r *Reconciler) trySettling(ctx context.Context, s *scope, d document, last bool) (done bool, err error) {
	key := bucketLock(s)
	seen := r.buckets.version(key)
	read := func() error {
		if s.knowsBucket(seen) {
			return nil
		}
		return d.read(ctx)
	}
	if err := read(); err != nil {
		return true, err
	}
	if write, err := d.pending(ctx); err != nil || write == nil {
		return true, err
	}
	defer r.buckets.lock(key)()
	if now := r.buckets.version(key); now != seen {
		if !last {
			return false, nil
		}
		seen = now
		if err := read(); err != nil {
			return true, err
		}
	}
	write, err := d.pending(ctx)
	if err != nil || write == nil {
		return true, err
	}
	known, created := s.knowsBucket(seen), s.bucketCreated
	err = write(ctx)
	if now := r.buckets.written(key); known || s.bucketCreated && !created {
		s.bucketVersion = now
	}
	return true, err
}

// knowsBucket tells whether nothing of the bucket needs to be read: it is one that only a plan would create,
// or one that this reconcile created and that nobody else wrote to since.
func (s *scope) knowsBucket(version uint64) bool {
	return s.bucketCreated && (s.changes.DryRun || version == s.bucketVersion)
}

// bucketLock is the key of the bucket's lock.
func bucketLock(s *scope) string {
	return s.account.Spec.AccountID + "/" + s.tenant.Spec.Bucket.Name
}

// bucketLocks make one reconcile at a time the writer of a bucket, and count what was written.
type bucketLocks struct {
	keyedMutex
	counting sync.Mutex
	versions map[string]uint64
}

// version of a bucket, which grows with every write.
func (b *bucketLocks) version(key string) uint64 {
	b.counting.Lock()
	defer b.counting.Unlock()
	return b.versions[key]
}

// written makes what others have read void, and returns the new version. The caller holds the lock.
func (b *bucketLocks) written(key string) uint64 {
	b.counting.Lock()
	defer b.counting.Unlock()
	if b.versions == nil {
		b.versions = map[string]uint64{}
	}
	b.versions[key]++
	return b.versions[key]
}
