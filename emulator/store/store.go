// Package store keeps the buckets and objects of the emulated OSS: in memory, or with a data directory durably.
//
// Durable means: what a method has returned without error is there after the process is killed at any moment.
// Bytes go to a file that is synced and renamed before the journal mentions it, and the journal is synced before
// the method returns. A body that was never committed leaves nothing.
package store

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrNoSuchBucket   = errors.New("no such bucket")
	ErrBucketExists   = errors.New("bucket exists")
	ErrBucketNotEmpty = errors.New("bucket is not empty")
	ErrNoSuchKey      = errors.New("no such key")
	ErrNoSuchVersion  = errors.New("no such version")
	ErrNoSuchUpload   = errors.New("no such upload")
	ErrExists         = errors.New("object exists")
)

// Options configure a Store.
type Options struct {
	// Dir holds the data; empty keeps metadata in memory and large bodies in a temporary directory that Close removes.
	Dir string
	// Clock stamps objects and buckets. Default time.Now.
	Clock func() time.Time
	// Random feeds version and upload ids. Default crypto/rand.
	Random io.Reader
}

// Store is safe for concurrent use.
type Store struct {
	clock    func() time.Time
	random   io.Reader
	tempDir  string   // removed by Close; empty with a data directory
	tempLock *os.File // held while tempDir is in use
	blobs    *blobs
	journal  *journal // nil without a data directory

	mu      sync.RWMutex
	buckets map[string]*bucketState
	account map[string][]byte // settings of the account by name
}

type bucketState struct {
	info    *Bucket
	objects map[string][]*Object // newest version first; never empty
	keys    []string             // sorted keys of objects
	uploads map[string]*uploadState
}

// Open returns the store of opts.Dir, with everything that an earlier process acknowledged.
func Open(opts Options) (*Store, error) {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Random == nil {
		opts.Random = rand.Reader
	}
	s := &Store{clock: opts.Clock, random: opts.Random, buckets: map[string]*bucketState{}, account: map[string][]byte{}}
	open := s.openTemporary
	if opts.Dir != "" {
		open = func() error { return s.openDurable(opts.Dir) }
	}
	if err := open(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) openTemporary() error {
	dir, lock, err := makeTemporary()
	if err != nil {
		return err
	}
	s.tempDir, s.tempLock = dir, lock
	s.blobs, err = newBlobs(dir, false)
	return err
}

func (s *Store) openDurable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create data directory: %w", err)
	}
	journal, err := openJournal(dir, s.replay)
	if err != nil {
		return err
	}
	s.journal = journal
	if s.blobs, err = newBlobs(dir, true); err != nil {
		return errors.Join(err, journal.close())
	}
	for _, b := range s.buckets {
		b.keys = slices.Sorted(maps.Keys(b.objects))
		for _, versions := range b.objects {
			for _, o := range versions {
				s.blobs.retain(o.Segments)
			}
		}
		for _, u := range b.uploads {
			for _, p := range u.parts {
				s.blobs.retain(p.Segments)
			}
		}
	}
	if err := s.blobs.sweep(); err != nil {
		return errors.Join(err, journal.close())
	}
	return nil
}

// Close releases the files. Without a data directory everything is forgotten.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.journal != nil {
		return s.journal.close()
	}
	if err := os.RemoveAll(s.tempDir); err != nil {
		return fmt.Errorf("remove temporary directory: %w", err)
	}
	return s.tempLock.Close()
}

// NewBody starts a body. The caller passes it to a method that stores it, or aborts it.
func (s *Store) NewBody() (*Body, error) { return s.blobs.create() }

// Dir is where large bodies are written, for messages.
func (s *Store) Dir() string { return filepath.Dir(s.blobs.dir) }

// change is one mutation: what the journal is to say, and what happens in memory once it says so.
type change struct {
	volatile bool // nothing is journalled, so nothing needs to be encoded
	entries  []entry
	apply    func()
	drop     []Segment // no longer referenced
}

func (c *change) put(key string, value any) error {
	if c.volatile {
		return nil
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", strings.SplitN(key, "/", 2)[0], err)
	}
	c.entries = append(c.entries, entry{Key: key, Value: raw})
	return nil
}

func (c *change) remove(key string) { c.entries = append(c.entries, entry{Key: key}) }

// mutate runs decide under the lock and makes its change durable before it returns.
func (s *Store) mutate(decide func(*change) error) error {
	c := &change{volatile: s.journal == nil, apply: func() {}}
	pos, err := s.mutateLocked(c, decide)
	if err != nil {
		return err
	}
	if s.journal != nil && len(c.entries) > 0 {
		if err := s.journal.sync(pos); err != nil {
			return err
		}
	}
	s.blobs.release(c.drop)
	return nil
}

func (s *Store) mutateLocked(c *change, decide func(*change) error) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := decide(c); err != nil {
		return 0, err
	}
	if s.journal == nil || len(c.entries) == 0 {
		c.apply()
		return 0, nil
	}
	pos, err := s.journal.append(c.entries)
	if err != nil {
		return 0, err
	}
	c.apply()
	return pos, s.compactIfLong()
}

// compactIfLong keeps the journal within a small multiple of the state it describes.
func (s *Store) compactIfLong() error {
	const short = 1000 // not worth the trouble
	if s.journal.lines < short {
		return nil
	}
	state, err := s.snapshot()
	if err != nil {
		return err
	}
	if s.journal.lines < 4*len(state) {
		return nil
	}
	return s.journal.compact(state)
}

func (s *Store) snapshot() ([]entry, error) {
	c := &change{}
	for name, value := range s.account {
		if err := c.put(accountEntry(name), value); err != nil {
			return nil, err
		}
	}
	for name, b := range s.buckets {
		if err := c.put(bucketEntry(name), b.info); err != nil {
			return nil, err
		}
		for key, versions := range b.objects {
			if err := c.put(objectEntry(name, key), versions); err != nil {
				return nil, err
			}
		}
		for id, u := range b.uploads {
			if err := c.put(uploadEntry(name, id), u.Upload); err != nil {
				return nil, err
			}
			for n, p := range u.parts {
				if err := c.put(partEntry(name, id, n), p); err != nil {
					return nil, err
				}
			}
		}
	}
	// Buckets come before what lies in them.
	slices.SortStableFunc(c.entries, func(a, b entry) int { return cmp.Compare(rank(a.Key), rank(b.Key)) })
	return c.entries, nil
}

// rank orders the kinds of entries for replay: a bucket before its uploads, an upload before its parts.
func rank(key string) int { return strings.IndexByte("abupo", key[0]) }

func accountEntry(name string) string           { return "a/" + name }
func bucketEntry(name string) string            { return "b/" + name }
func objectEntry(bucket, key string) string     { return "o/" + bucket + "/" + key }
func uploadEntry(bucket, id string) string      { return "u/" + bucket + "/" + id }
func partEntry(bucket, id string, n int) string { return fmt.Sprintf("p/%s/%s/%d", bucket, id, n) }

// replay applies one journal batch at start.
func (s *Store) replay(batch []entry) error {
	for _, e := range batch {
		kind, rest, _ := strings.Cut(e.Key, "/")
		bucket, name, _ := strings.Cut(rest, "/")
		var err error
		switch kind {
		case "a":
			err = s.replayAccount(rest, e.Value)
		case "b":
			err = s.replayBucket(bucket, e.Value)
		default:
			err = s.replayInBucket(kind, bucket, name, e.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) replayInBucket(kind, bucket, name string, value json.RawMessage) error {
	b := s.buckets[bucket]
	if b == nil {
		return fmt.Errorf("entry %q of a bucket that does not exist", kind)
	}
	return b.replay(kind, name, value)
}

func (s *Store) replayAccount(name string, value json.RawMessage) error {
	var setting []byte
	if value != nil {
		if err := json.Unmarshal(value, &setting); err != nil {
			return fmt.Errorf("decode account setting: %w", err)
		}
	}
	if setting == nil {
		delete(s.account, name)
		return nil
	}
	s.account[name] = setting
	return nil
}

func (s *Store) replayBucket(name string, value json.RawMessage) error {
	if value == nil {
		delete(s.buckets, name)
		return nil
	}
	info := &Bucket{}
	if err := json.Unmarshal(value, info); err != nil {
		return fmt.Errorf("decode bucket: %w", err)
	}
	if b := s.buckets[name]; b != nil {
		b.info = info
		return nil
	}
	s.buckets[name] = newBucketState(info)
	return nil
}

func newBucketState(info *Bucket) *bucketState {
	return &bucketState{info: info, objects: map[string][]*Object{}, uploads: map[string]*uploadState{}}
}

func (b *bucketState) replay(kind, name string, value json.RawMessage) error {
	switch kind {
	case "o":
		if value == nil {
			delete(b.objects, name)
			return nil
		}
		var versions []*Object
		if err := json.Unmarshal(value, &versions); err != nil {
			return fmt.Errorf("decode object: %w", err)
		}
		b.objects[name] = versions
	case "u":
		if value == nil {
			delete(b.uploads, name)
			return nil
		}
		u := &uploadState{parts: map[int]*Part{}}
		if err := json.Unmarshal(value, &u.Upload); err != nil {
			return fmt.Errorf("decode upload: %w", err)
		}
		b.uploads[name] = u
	case "p":
		id, _, _ := strings.Cut(name, "/")
		u := b.uploads[id]
		if u == nil || value == nil {
			return nil
		}
		p := &Part{}
		if err := json.Unmarshal(value, p); err != nil {
			return fmt.Errorf("decode part: %w", err)
		}
		u.parts[p.Number] = p
	default:
		return fmt.Errorf("unknown entry kind %q: written by a newer version?", kind)
	}
	return nil
}

// bucket returns the state of a bucket; the caller holds the lock.
func (s *Store) bucket(name string) (*bucketState, error) {
	b := s.buckets[name]
	if b == nil {
		return nil, ErrNoSuchBucket
	}
	return b, nil
}

// AccountSetting returns a setting of the account, or nil.
func (s *Store) AccountSetting(name string) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.account[name]
}

// SetAccountSetting keeps a setting of the account; nil forgets it.
func (s *Store) SetAccountSetting(name string, value []byte) error {
	return s.mutate(func(c *change) error {
		if value == nil {
			c.apply = func() { delete(s.account, name) }
			c.remove(accountEntry(name))
			return nil
		}
		c.apply = func() { s.account[name] = value }
		return c.put(accountEntry(name), value)
	})
}
