package store

import (
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"
)

// Upload is a multipart upload that was begun.
type Upload struct {
	ID        string    `json:"id"`
	Key       string    `json:"key"`
	Initiated time.Time `json:"initiated"`
	// Object holds what the finished object will have besides its content.
	Object Object `json:"object"`
	// Sequential uploads know the MD5 of the whole object.
	Sequential bool `json:"sequential,omitempty"`
}

// Part is one stored part.
type Part struct {
	Number   int       `json:"number"`
	ETag     string    `json:"etag"` // without quotes: the MD5 in upper-case hex
	Size     int64     `json:"size"`
	CRC64    uint64    `json:"crc64"`
	Modified time.Time `json:"modified"`
	Segments []Segment `json:"segments,omitempty"`
}

type uploadState struct {
	Upload
	parts map[int]*Part
}

func (b *bucketState) upload(key, id string) (*uploadState, error) {
	u := b.uploads[id]
	if u == nil || u.Key != key {
		return nil, ErrNoSuchUpload
	}
	return u, nil
}

// CreateUpload begins a multipart upload of object and returns its id.
func (s *Store) CreateUpload(bucket string, object Object, sequential bool) (Upload, error) {
	var out Upload
	err := s.mutate(func(c *change) error {
		b, err := s.bucket(bucket)
		if err != nil {
			return err
		}
		id, err := s.newID()
		if err != nil {
			return err
		}
		out = Upload{ID: id[:32], Key: object.Key, Initiated: s.clock().UTC(), Object: *object.clone(), Sequential: sequential}
		c.apply = func() { b.uploads[out.ID] = &uploadState{Upload: out, parts: map[int]*Part{}} }
		return c.put(uploadEntry(bucket, out.ID), out)
	})
	return out, err
}

// PutPart stores body as part n, replacing an earlier one. The body is gone afterwards, error or not.
func (s *Store) PutPart(bucket, key, id string, n int, body *Body) (Part, error) {
	defer body.Abort()
	segments, err := body.commit()
	if err != nil {
		return Part{}, err
	}
	var out Part
	err = s.mutate(func(c *change) error {
		b, err := s.bucket(bucket)
		if err != nil {
			return err
		}
		u, err := b.upload(key, id)
		if err != nil {
			return err
		}
		out = Part{
			Number: n, ETag: strings.ToUpper(hex.EncodeToString(body.MD5())), Size: body.Size(),
			CRC64: body.CRC64(), Modified: s.clock().UTC(), Segments: segments,
		}
		if old := u.parts[n]; old != nil {
			c.drop = old.Segments
		}
		c.apply = func() { u.parts[n] = &out }
		return c.put(partEntry(bucket, id, n), out)
	})
	if err != nil {
		s.blobs.release(segments)
		return Part{}, err
	}
	return out, nil
}

// UploadParts returns an upload and its parts by number. Errors: ErrNoSuchBucket, ErrNoSuchUpload.
func (s *Store) UploadParts(bucket, key, id string) (Upload, []Part, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return Upload{}, nil, err
	}
	u, err := b.upload(key, id)
	if err != nil {
		return Upload{}, nil, err
	}
	var parts []Part
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		parts = append(parts, *u.parts[n])
	}
	return u.Upload, parts, nil
}

// OpenParts returns a reader of parts, one after the other, to be closed by the caller.
func (s *Store) OpenParts(parts []Part) *Reader {
	var segments []Segment
	for _, p := range parts {
		segments = append(segments, p.Segments...)
	}
	return s.blobs.open(segments)
}

// Uploads returns the unfinished uploads of a bucket by key, then id.
func (s *Store) Uploads(bucket string) ([]Upload, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return nil, err
	}
	out := make([]Upload, 0, len(b.uploads))
	for _, u := range b.uploads {
		out = append(out, u.Upload)
	}
	slices.SortFunc(out, func(a, b Upload) int {
		if c := strings.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out, nil
}

// Complete describes the end of a multipart upload.
type Complete struct {
	Bucket, Key, UploadID string
	ForbidOverwrite       bool
	// Choose picks from the upload's parts, by number, those that make the object; its error refuses.
	Choose func(Upload, []Part) ([]Part, error)
	// Finish fills ETag, CRC64 and ACL of the object, whose Size and Segments are set.
	Finish func(*Object, []Part)
}

// CompleteUpload turns the chosen parts into an object, in one step with the end of the upload.
func (s *Store) CompleteUpload(p Complete) (*Object, error) {
	var out *Object
	err := s.mutate(func(c *change) error {
		b, err := s.bucket(p.Bucket)
		if err != nil {
			return err
		}
		u, err := b.upload(p.Key, p.UploadID)
		if err != nil {
			return err
		}
		if p.ForbidOverwrite && b.current(p.Key) != nil && b.info.Versioning == VersioningOff {
			return ErrExists
		}
		var all []Part
		for _, n := range slices.Sorted(maps.Keys(u.parts)) {
			all = append(all, *u.parts[n])
		}
		chosen, err := p.Choose(u.Upload, all)
		if err != nil {
			return err
		}
		out = u.Object.clone()
		out.Key, out.Type, out.Size, out.Segments = p.Key, TypeMultipart, 0, nil
		for _, part := range chosen {
			out.Segments = append(out.Segments, part.Segments...)
			out.Size += part.Size
		}
		p.Finish(out, chosen)
		// The object takes references of its own and the upload gives up all of its parts.
		for _, part := range all {
			c.drop = append(c.drop, part.Segments...)
		}
		c.apply = func() { delete(b.uploads, p.UploadID) }
		c.remove(uploadEntry(p.Bucket, p.UploadID))
		return s.add(c, b, out, true)
	})
	return out, err
}

// AbortUpload forgets an upload and its parts.
func (s *Store) AbortUpload(bucket, key, id string) error {
	return s.mutate(func(c *change) error {
		b, err := s.bucket(bucket)
		if err != nil {
			return err
		}
		u, err := b.upload(key, id)
		if err != nil {
			return err
		}
		for _, part := range u.parts {
			c.drop = append(c.drop, part.Segments...)
		}
		c.apply = func() { delete(b.uploads, id) }
		c.remove(uploadEntry(bucket, id))
		return nil
	})
}
