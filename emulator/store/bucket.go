package store

import (
	"maps"
	"slices"
	"time"
)

// Tag is a key and a value on a bucket or an object.
type Tag struct {
	Key   string `json:"k"`
	Value string `json:"v"`
}

// Versioning states.
const (
	VersioningOff       = ""
	VersioningEnabled   = "Enabled"
	VersioningSuspended = "Suspended"
)

// Bucket is what is known of a bucket besides its objects. Values handed out are never changed afterwards.
type Bucket struct {
	Name         string    `json:"name"`
	Owner        string    `json:"owner"`
	Location     string    `json:"location"` // with the "oss-" prefix
	Created      time.Time `json:"created"`
	ACL          string    `json:"acl"`
	StorageClass string    `json:"storageClass"`
	Redundancy   string    `json:"redundancy"`
	Versioning   string    `json:"versioning,omitempty"`
	// BlockPublicAccess makes every public grant of ACLs and bucket policies ineffective and refuses new ones.
	BlockPublicAccess bool  `json:"blockPublicAccess"`
	Tags              []Tag `json:"tags,omitempty"`
	// Config holds the documents of the configuration sub-resources (cors, lifecycle, …) by sub-resource name.
	Config map[string][]byte `json:"config,omitempty"`
}

func (b *Bucket) clone() *Bucket {
	c := *b
	c.Tags = slices.Clone(b.Tags)
	c.Config = maps.Clone(b.Config)
	if c.Config == nil {
		c.Config = map[string][]byte{}
	}
	return &c
}

// CreateBucket adds a bucket and stamps its creation time. ErrBucketExists when the name is taken.
func (s *Store) CreateBucket(b Bucket) error {
	return s.mutate(func(c *change) error {
		if _, ok := s.buckets[b.Name]; ok {
			return ErrBucketExists
		}
		info := b.clone()
		info.Created = s.clock().UTC()
		c.apply = func() { s.buckets[b.Name] = newBucketState(info) }
		return c.put(bucketEntry(b.Name), info)
	})
}

// Bucket returns a bucket, or ErrNoSuchBucket.
func (s *Store) Bucket(name string) (*Bucket, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(name)
	if err != nil {
		return nil, err
	}
	return b.info, nil
}

// Buckets returns all buckets by name.
func (s *Store) Buckets() []*Bucket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]*Bucket, 0, len(s.buckets))
	for _, name := range slices.Sorted(maps.Keys(s.buckets)) {
		out = append(out, s.buckets[name].info)
	}
	return out
}

// UpdateBucket changes a bucket through edit, which gets a copy; an error of edit is returned and changes nothing.
func (s *Store) UpdateBucket(name string, edit func(*Bucket) error) error {
	return s.mutate(func(c *change) error {
		b, err := s.bucket(name)
		if err != nil {
			return err
		}
		info := b.info.clone()
		if err := edit(info); err != nil {
			return err
		}
		c.apply = func() { b.info = info }
		return c.put(bucketEntry(name), info)
	})
}

// DeleteBucket removes an empty bucket; ErrBucketNotEmpty when it has objects, versions or unfinished uploads.
func (s *Store) DeleteBucket(name string) error {
	return s.mutate(func(c *change) error {
		b, err := s.bucket(name)
		if err != nil {
			return err
		}
		if len(b.objects) > 0 || len(b.uploads) > 0 {
			return ErrBucketNotEmpty
		}
		c.apply = func() { delete(s.buckets, name) }
		c.remove(bucketEntry(name))
		return nil
	})
}

// ClassStat counts the objects of one storage class.
type ClassStat struct {
	Objects int64
	Bytes   int64
}

// Stat sums up a bucket.
type Stat struct {
	Objects, Bytes, Uploads, DeleteMarkers int64
	Modified                               time.Time
	Classes                                map[string]ClassStat
}

// Stat counts what a bucket holds, all versions included.
func (s *Store) Stat(name string) (Stat, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(name)
	if err != nil {
		return Stat{}, err
	}
	st := Stat{Uploads: int64(len(b.uploads)), Modified: b.info.Created, Classes: map[string]ClassStat{}}
	for _, versions := range b.objects {
		for _, o := range versions {
			if o.Modified.After(st.Modified) {
				st.Modified = o.Modified
			}
			if o.DeleteMarker {
				st.DeleteMarkers++
				continue
			}
			st.Objects++
			st.Bytes += o.Size
			class := st.Classes[o.StorageClass]
			class.Objects++
			class.Bytes += o.Size
			st.Classes[o.StorageClass] = class
		}
	}
	return st, nil
}
