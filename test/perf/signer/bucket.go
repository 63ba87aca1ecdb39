package main

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/ticket"
)

// bucket is as much of OSS as a callback and a sweep ask for.
type bucket struct {
	delay time.Duration // of every answer
	// stored holds the tickets of objects by key.
	stored sync.Map
	// lost, when not nil, makes the bucket full of objects with tickets that it seals.
	lost  *ticket.Keyring
	heads atomic.Int64
}

// lostObjects is more than a sweeper can look at while the benchmark runs.
const lostObjects = 10_000_000

// All objects are the same file, but for id, key and ticket.
const (
	objectSize = 2345678
	objectETag = "D8E8FCA2DC0F896FD7CB4CB0031BA249"
)

// uploaded is when all objects landed.
var uploaded = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// lostObject returns id and key of the n-th lost object.
func lostObject(n int) (id, key string) {
	id = fmt.Sprintf("%026d", n)
	return id, "album/user-1/2026/01/02/" + id + ".jpg"
}

// numberOf is the inverse of lostObject; a key of no object counts as the one before the first.
func numberOf(key string) int {
	_, name, _ := strings.Cut(key, "/2026/01/02/")
	n, err := strconv.Atoi(strings.TrimSuffix(name, ".jpg"))
	if err != nil {
		return 0
	}
	return n
}

// ServeHTTP lists, or tells about one object.
func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(b.delay)
	if r.Method != http.MethodHead {
		b.list(w, r)
		return
	}
	text, known := b.stored.Load(strings.TrimPrefix(r.URL.Path, "/bench-album/"))
	if !known && b.lost != nil {
		id, key := lostObject(numberOf(r.URL.Path))
		text, known = b.lost.Seal(&ticket.Ticket{ID: id, User: "user-1", Key: key, Name: "a.jpg", Type: "image/jpeg",
			Size: objectSize, Issued: uploaded.Unix(), Expires: uploaded.Unix() + 300}), true
	}
	sealed, _ := text.(string)
	if !known {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	b.heads.Add(1)
	h := w.Header()
	h.Set("Content-Type", "image/jpeg")
	h.Set("Content-Length", strconv.Itoa(objectSize))
	h.Set("Last-Modified", uploaded.Format(http.TimeFormat))
	h.Set("ETag", `"`+objectETag+`"`)
	h.Set("X-Oss-Meta-Ticket", sealed)
}

// list answers with a page of the lost objects.
func (b *bucket) list(w http.ResponseWriter, r *http.Request) {
	type content struct {
		Key, ETag    string
		Size         int64
		LastModified time.Time
	}
	var page struct {
		XMLName     xml.Name `xml:"ListBucketResult"`
		IsTruncated bool
		Contents    []content
	}
	if b.lost != nil {
		limit, err := strconv.Atoi(r.URL.Query().Get("max-keys"))
		if err != nil {
			http.Error(w, "max-keys", http.StatusBadRequest)
			return
		}
		first := numberOf(r.URL.Query().Get("start-after")) + 1
		for n := first; n < min(first+limit, lostObjects); n++ {
			_, key := lostObject(n)
			page.Contents = append(page.Contents, content{key, `"` + objectETag + `"`, objectSize, uploaded})
		}
		page.IsTruncated = first+limit < lostObjects
	}
	text, err := xml.Marshal(page)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(text)
}
