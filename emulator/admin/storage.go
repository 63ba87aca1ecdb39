package admin

import (
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Storage is what the page shows of the buckets.
type Storage interface {
	// Buckets lists the buckets by name.
	Buckets() []Bucket
	// Objects lists at most limit objects below prefix whose key is greater than after. It fails when there is no
	// such bucket.
	Objects(bucket, prefix, after string, limit int) (Objects, error)
	// Open returns an object and its content, which the caller closes.
	Open(bucket, key string) (Object, io.ReadCloser, error)
}

// Bucket is one bucket.
type Bucket struct {
	Name              string    `json:"name"`
	Created           time.Time `json:"created"`
	ACL               string    `json:"acl"`
	StorageClass      string    `json:"storageClass"`
	Versioning        string    `json:"versioning,omitempty"`
	BlockPublicAccess bool      `json:"blockPublicAccess"`
	Objects           int64     `json:"objects"`
	Bytes             int64     `json:"bytes"`
	// Configured names the configuration that is set, for example cors and lifecycle.
	Configured []string          `json:"configured"`
	Tags       map[string]string `json:"tags"`
}

// Object is one object.
type Object struct {
	Key         string            `json:"key"`
	Size        int64             `json:"size"`
	Modified    time.Time         `json:"modified"`
	ETag        string            `json:"etag"`
	ContentType string            `json:"contentType"`
	ACL         string            `json:"acl,omitempty"`
	Meta        map[string]string `json:"meta,omitempty"`
}

// Objects is a page of a list.
type Objects struct {
	Items []Object `json:"items"`
	Next  string   `json:"next,omitempty"`
}

func (a *Admin) buckets(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"items": a.storage.Buckets()})
}

func (a *Admin) objects(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit < 1 || limit > 1000 {
		limit = 100
	}
	page, err := a.storage.Objects(q.Get("bucket"), q.Get("prefix"), q.Get("after"), limit)
	if err != nil {
		refuse(w, http.StatusNotFound, "NoSuchBucket", "There is no such bucket.")
		return
	}
	answer(w, http.StatusOK, page)
}

// content serves an image of a bucket to the page. Anything else could be a page of its own that acts with the
// emulator's origin, so it is offered as a download.
func (a *Admin) content(w http.ResponseWriter, r *http.Request) {
	o, body, err := a.storage.Open(r.URL.Query().Get("bucket"), r.URL.Query().Get("key"))
	if err != nil {
		refuse(w, http.StatusNotFound, "NoSuchKey", "There is no such object.")
		return
	}
	defer func() { _ = body.Close() }()
	h := w.Header()
	contentType, _, _ := mime.ParseMediaType(o.ContentType)
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", "attachment")
	if strings.HasPrefix(contentType, "image/") && contentType != "image/svg+xml" {
		h.Set("Content-Type", contentType)
		h.Set("Content-Disposition", "inline")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	// The page names the ETag in the URL, so what is behind a URL never changes.
	h.Set("Cache-Control", "private, max-age=3600, immutable")
	h.Set("Content-Length", strconv.FormatInt(o.Size, 10))
	_, _ = io.Copy(w, body) // the reader may go away
}
