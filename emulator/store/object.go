package store

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// NullVersion is the id of objects written while versioning is off or suspended.
const NullVersion = "null"

// Object is one version of an object. Values handed out are never changed afterwards.
type Object struct {
	Key          string    `json:"key"`
	VersionID    string    `json:"version"`
	DeleteMarker bool      `json:"deleteMarker,omitempty"`
	Modified     time.Time `json:"modified"`
	Size         int64     `json:"size"`
	ETag         string    `json:"etag,omitempty"` // without quotes
	MD5          string    `json:"md5,omitempty"`  // base64; empty when OSS does not know it (multipart, append)
	CRC64        uint64    `json:"crc64"`
	Type         string    `json:"type"` // Normal, Multipart, Appendable, Symlink
	StorageClass string    `json:"class"`
	ACL          string    `json:"acl,omitempty"` // empty inherits from the bucket
	// Headers are the standard and x-oss-* headers to return with the object, by canonical name.
	Headers map[string]string `json:"headers,omitempty"`
	// Meta is the user metadata by lower-case name without "x-oss-meta-".
	Meta   map[string]string `json:"meta,omitempty"`
	Tags   []Tag             `json:"tags,omitempty"`
	Target string            `json:"target,omitempty"` // of a symlink
	Sealed bool              `json:"sealed,omitempty"`
	// An archived object that is being restored is readable from RestoreReady to RestoreEnd.
	RestoreReady time.Time `json:"restoreReady,omitzero"`
	RestoreEnd   time.Time `json:"restoreEnd,omitzero"`
	Segments     []Segment `json:"segments,omitempty"`
}

// Object types, as x-oss-object-type names them.
const (
	TypeNormal     = "Normal"
	TypeMultipart  = "Multipart"
	TypeAppendable = "Appendable"
	TypeSymlink    = "Symlink"
)

func (o *Object) clone() *Object {
	c := *o
	c.Headers, c.Meta = maps.Clone(o.Headers), maps.Clone(o.Meta)
	c.Tags, c.Segments = slices.Clone(o.Tags), slices.Clone(o.Segments)
	return &c
}

// Put describes an object to store.
type Put struct {
	Bucket string
	Object Object
	// Body becomes the content, with its size, MD5, CRC and (when Object.ETag is empty) ETag. Nil keeps Object.Segments.
	Body *Body
	// ForbidOverwrite fails with ErrExists when the key has a current version. It is ineffective once versioning
	// was enabled, suspended or not (PutObject, x-oss-forbid-overwrite).
	ForbidOverwrite bool
	// Check, when set, sees the current version (nil when there is none) under the lock, and may refuse.
	Check func(current *Object) error
}

// PutObject stores an object and returns it as stored. The body is gone afterwards, error or not.
func (s *Store) PutObject(p Put) (*Object, error) {
	o := p.Object.clone()
	var owned []Segment // by this call, when it brings its own body
	if p.Body != nil {
		defer p.Body.Abort()
		segments, err := p.Body.commit()
		if err != nil {
			return nil, err
		}
		owned = segments
		o.Segments, o.Size, o.CRC64 = segments, p.Body.Size(), p.Body.CRC64()
		sum := p.Body.MD5()
		o.MD5 = base64.StdEncoding.EncodeToString(sum)
		if o.ETag == "" {
			o.ETag = strings.ToUpper(hex.EncodeToString(sum))
		}
	}
	err := s.mutate(func(c *change) error {
		b, err := s.bucket(p.Bucket)
		if err != nil {
			return err
		}
		current := b.current(o.Key)
		if p.ForbidOverwrite && current != nil && b.info.Versioning == VersioningOff {
			return ErrExists
		}
		if p.Check != nil {
			if err := p.Check(current); err != nil {
				return err
			}
		}
		return s.add(c, b, o, p.Body == nil)
	})
	if err != nil {
		s.blobs.release(owned)
		return nil, err
	}
	return o, nil
}

// add puts o on top of the versions of its key, as the bucket's versioning wants it. share tells that the
// segments already belong to somebody else, so that o needs references of its own.
func (s *Store) add(c *change, b *bucketState, o *Object, share bool) error {
	o.Modified = s.clock().UTC()
	o.VersionID = NullVersion
	if b.info.Versioning == VersioningEnabled {
		id, err := s.newID()
		if err != nil {
			return err
		}
		o.VersionID = "CAEQ" + id
	}
	versions := []*Object{o}
	for _, v := range b.objects[o.Key] {
		if v.VersionID == o.VersionID {
			c.drop = append(c.drop, v.Segments...)
			continue
		}
		versions = append(versions, v)
	}
	before := c.apply
	c.apply = func() {
		before()
		if share {
			s.blobs.retain(o.Segments)
		}
		b.set(o.Key, versions)
	}
	return c.put(objectEntry(b.info.Name, o.Key), versions)
}

func (s *Store) newID() (string, error) {
	raw := make([]byte, 20)
	if _, err := io.ReadFull(s.random, raw); err != nil {
		return "", fmt.Errorf("make id: %w", err)
	}
	return strings.ToUpper(hex.EncodeToString(raw)), nil
}

// set replaces the versions of a key; none removes the key.
func (b *bucketState) set(key string, versions []*Object) {
	i, found := slices.BinarySearch(b.keys, key)
	switch {
	case len(versions) == 0 && found:
		b.keys = slices.Delete(b.keys, i, i+1)
		delete(b.objects, key)
		return
	case len(versions) == 0:
		return
	case !found:
		b.keys = slices.Insert(b.keys, i, key)
	}
	b.objects[key] = versions
}

// current is the newest version, or nil when there is none or it is a delete marker.
func (b *bucketState) current(key string) *Object {
	versions := b.objects[key]
	if len(versions) == 0 || versions[0].DeleteMarker {
		return nil
	}
	return versions[0]
}

// find returns a version; an empty id means the newest, which may be a delete marker.
func (b *bucketState) find(key, versionID string) (*Object, error) {
	versions := b.objects[key]
	if versionID == "" {
		if len(versions) == 0 {
			return nil, ErrNoSuchKey
		}
		return versions[0], nil
	}
	for _, v := range versions {
		if v.VersionID == versionID {
			return v, nil
		}
	}
	return nil, ErrNoSuchVersion
}

// Object returns a version of an object; an empty id means the newest, which may be a delete marker.
// Errors: ErrNoSuchBucket, ErrNoSuchKey, ErrNoSuchVersion.
func (s *Store) Object(bucket, key, versionID string) (*Object, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return nil, err
	}
	return b.find(key, versionID)
}

// OpenObject is Object with a reader of the content, to be closed by the caller.
func (s *Store) OpenObject(bucket, key, versionID string) (*Object, *Reader, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return nil, nil, err
	}
	o, err := b.find(key, versionID)
	if err != nil {
		return nil, nil, err
	}
	return o, s.blobs.open(o.Segments), nil
}

// UpdateObject changes the metadata of a version through edit, which gets a copy.
func (s *Store) UpdateObject(bucket, key, versionID string, edit func(*Object) error) (*Object, error) {
	var out *Object
	err := s.mutate(func(c *change) error {
		b, err := s.bucket(bucket)
		if err != nil {
			return err
		}
		old, err := b.find(key, versionID)
		if err != nil {
			return err
		}
		out = old.clone()
		if err := edit(out); err != nil {
			return err
		}
		versions := slices.Clone(b.objects[key])
		versions[slices.Index(versions, old)] = out
		c.apply = func() { b.set(key, versions) }
		return c.put(objectEntry(bucket, key), versions)
	})
	return out, err
}

// AppendObject adds body to the end of an appendable object, or creates it. decide sees the current version (nil
// when there is none) under the lock and returns the object to store, without content; its error refuses.
func (s *Store) AppendObject(bucket, key string, body *Body, decide func(current *Object) (Object, error)) (*Object, error) {
	defer body.Abort()
	segments, err := body.commit()
	if err != nil {
		return nil, err
	}
	var out *Object
	err = s.mutate(func(c *change) error {
		b, err := s.bucket(bucket)
		if err != nil {
			return err
		}
		current := b.current(key)
		next, err := decide(current)
		if err != nil {
			return err
		}
		out = next.clone()
		out.Key, out.Type = key, TypeAppendable
		out.Modified, out.CRC64 = s.clock().UTC(), body.CRC64()
		versions := slices.Clone(b.objects[key])
		if current == nil {
			out.Segments, out.Size = segments, body.Size()
			return s.add(c, b, out, false)
		}
		out.VersionID = current.VersionID
		out.Segments = append(slices.Clone(current.Segments), segments...)
		out.Size = current.Size + body.Size()
		versions[0] = out
		c.apply = func() { b.set(key, versions) }
		return c.put(objectEntry(bucket, key), versions)
	})
	if err != nil {
		s.blobs.release(segments)
		return nil, err
	}
	return out, nil
}

// Deleted tells what DeleteObject did.
type Deleted struct {
	// VersionID of the removed version or of the new delete marker; empty without versioning.
	VersionID string
	// DeleteMarker tells that the version is (or was) a delete marker.
	DeleteMarker bool
}

// DeleteObject removes a version, or with an empty id the current object: by a delete marker in a versioned bucket.
// Deleting what does not exist is no error.
func (s *Store) DeleteObject(bucket, key, versionID string) (Deleted, error) {
	var out Deleted
	err := s.mutate(func(c *change) error {
		b, err := s.bucket(bucket)
		if err != nil {
			return err
		}
		if versionID == "" && b.info.Versioning != VersioningOff {
			marker := &Object{Key: key, DeleteMarker: true}
			if err := s.add(c, b, marker, false); err != nil {
				return err
			}
			out = Deleted{VersionID: marker.VersionID, DeleteMarker: true}
			return nil
		}
		id := versionID
		if id == "" {
			id = NullVersion
		}
		old, err := b.find(key, id)
		if err != nil {
			return nil //nolint:nilerr // what is not there counts as deleted
		}
		if b.info.Versioning != VersioningOff {
			out = Deleted{VersionID: id, DeleteMarker: old.DeleteMarker}
		}
		versions := slices.DeleteFunc(slices.Clone(b.objects[key]), func(v *Object) bool { return v == old })
		c.drop = old.Segments
		c.apply = func() { b.set(key, versions) }
		if len(versions) == 0 {
			c.remove(objectEntry(bucket, key))
			return nil
		}
		return c.put(objectEntry(bucket, key), versions)
	})
	return out, err
}
