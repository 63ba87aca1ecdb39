package store

import (
	"sort"
	"strings"
)

// List describes a listing.
type List struct {
	Prefix, Delimiter string
	// After is exclusive. For versions, AfterVersion continues within the key After.
	After, AfterVersion string
	Max                 int
}

// Listing is one page.
type Listing struct {
	Objects  []*Object // versions in a listing of versions, newest first within a key
	Prefixes []string
	// Latest tells for each entry of a listing of versions whether it is the newest of its key.
	Latest    []bool
	Truncated bool
	// Next and NextVersion are the After and AfterVersion of the next page.
	Next, NextVersion string
}

// ListObjects lists current objects in key order.
func (s *Store) ListObjects(bucket string, l List) (Listing, error) {
	return s.list(bucket, l, func(b *bucketState, key string) []*Object {
		if o := b.current(key); o != nil {
			return []*Object{o}
		}
		return nil
	})
}

// ListVersions lists all versions and delete markers.
func (s *Store) ListVersions(bucket string, l List) (Listing, error) {
	return s.list(bucket, l, func(b *bucketState, key string) []*Object { return b.objects[key] })
}

func (s *Store) list(bucket string, l List, entries func(*bucketState, string) []*Object) (Listing, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return Listing{}, err
	}
	var out Listing
	full := func() bool { return len(out.Objects)+len(out.Prefixes) >= l.Max }
	for i := sort.SearchStrings(b.keys, max(l.Prefix, l.After)); i < len(b.keys); i++ {
		key := b.keys[i]
		if !strings.HasPrefix(key, l.Prefix) {
			break
		}
		versions := entries(b, key)
		if key == l.After {
			versions = afterVersion(versions, l.AfterVersion)
		}
		if len(versions) == 0 {
			continue
		}
		if p, ok := commonPrefix(key, l); ok {
			if p <= l.After && strings.HasPrefix(l.After, p) {
				continue // the page before ended with this prefix
			}
			if n := len(out.Prefixes); n > 0 && out.Prefixes[n-1] == p {
				continue
			}
			if full() {
				out.Truncated = true
				return out, nil
			}
			out.Prefixes = append(out.Prefixes, p)
			out.Next, out.NextVersion = p, ""
			continue
		}
		for _, v := range versions {
			if full() {
				out.Truncated = true
				return out, nil
			}
			out.Objects = append(out.Objects, v)
			out.Latest = append(out.Latest, v == b.objects[key][0])
			out.Next, out.NextVersion = key, v.VersionID
		}
	}
	return out, nil
}

// afterVersion drops the versions up to and including id; an empty id drops all, as the key itself was the marker.
func afterVersion(versions []*Object, id string) []*Object {
	if id == "" {
		return nil
	}
	for i, v := range versions {
		if v.VersionID == id {
			return versions[i+1:]
		}
	}
	return versions
}

func commonPrefix(key string, l List) (string, bool) {
	if l.Delimiter == "" {
		return "", false
	}
	i := strings.Index(key[len(l.Prefix):], l.Delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(l.Prefix)+i+len(l.Delimiter)], true
}
