package oss

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

func (q *request) storeForm(up *formUpload, content *store.Body) *Error {
	o, err := q.server.store.PutObject(store.Put{
		Bucket: q.bucket, Object: up.object, Body: content, ForbidOverwrite: up.forbid,
	})
	if err != nil {
		return fromStore(err, q.bucket, q.key)
	}
	h := q.w.Header()
	q.storedHeaders(o)
	if up.callback != nil {
		return q.runCallback(up.callback, o)
	}
	if target := up.fields.value("success_action_redirect"); target != "" {
		if location, ok := redirectURL(target, q.bucket, o); ok {
			h.Set("Location", location)
			q.w.WriteHeader(http.StatusSeeOther)
			return nil
		}
	}
	switch up.fields.value("success_action_status") {
	case "200":
		h.Set("Content-Length", "0")
		q.w.WriteHeader(http.StatusOK)
	case "201":
		q.writePostResponse(o)
	default:
		q.w.WriteHeader(http.StatusNoContent)
	}
	return nil
}

// storedHeaders are the headers of every successful upload.
func (q *request) storedHeaders(o *store.Object) {
	h := q.w.Header()
	h.Set("ETag", `"`+o.ETag+`"`)
	h.Set("x-oss-hash-crc64ecma", strconv.FormatUint(o.CRC64, 10))
	h.Set("x-oss-server-time", strconv.FormatInt(q.server.clock().Sub(q.now).Milliseconds(), 10))
	if o.MD5 != "" {
		h.Set("Content-MD5", o.MD5)
	}
	q.versionHeader(o)
	copyEncryptionHeaders(h, o)
}

type postResponse struct {
	XMLName                     xml.Name `xml:"PostResponse"`
	Bucket, Location, Key, ETag string
}

func (q *request) scheme() string {
	if q.r.TLS != nil {
		return "https"
	}
	return "http"
}

// location is the address of an object in the style that the request was addressed in.
func (q *request) location(key string) string {
	base := q.scheme() + "://" + q.r.Host + "/"
	if q.server.hostBucket(q.r.Host) == "" {
		base += q.bucket + "/"
	}
	return base + escape(key, true)
}

func (q *request) writePostResponse(o *store.Object) {
	location := q.location(o.Key)
	q.w.Header().Set("Location", location)
	q.writeXML(http.StatusCreated, postResponse{Bucket: q.bucket, Location: location, Key: o.Key, ETag: `"` + o.ETag + `"`})
}

// redirectURL adds bucket, key and etag to the address that the form asked for.
func redirectURL(target, bucket string, o *store.Object) (string, bool) {
	u, err := url.Parse(target)
	if err != nil || !u.IsAbs() || u.Host == "" {
		return "", false
	}
	v := u.Query()
	v.Set("bucket", bucket)
	v.Set("key", o.Key)
	v.Set("etag", `"`+o.ETag+`"`)
	u.RawQuery = v.Encode()
	return u.String(), true
}

// runCallback answers with what the application said, or with 203: the object is stored either way.
func (q *request) runCallback(c *callback, o *store.Object) *Error {
	v := callbackValues{
		bucket: q.bucket, object: o, requestID: q.call.RequestID, clientIP: q.clientIP(), operation: q.call.Operation,
	}
	if c.wantsImage() {
		v.image = q.imageOf(o)
	}
	reply, err := q.server.callbacks.send(q, c, v)
	if err != nil {
		return err
	}
	h := q.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(reply)))
	q.w.WriteHeader(http.StatusOK)
	// A client that has gone away is not this server's failure.
	_, _ = q.w.Write(reply)
	return nil
}

// imageOf looks at the beginning of a stored object.
func (q *request) imageOf(o *store.Object) imageInfo {
	_, r, err := q.server.store.OpenObject(q.bucket, o.Key, o.VersionID)
	if err != nil {
		return imageInfo{}
	}
	defer r.Close()
	var head strings.Builder
	if err := r.CopyRange(&head, 0, min(r.Size(), imageHead)); err != nil {
		return imageInfo{}
	}
	return detectImage([]byte(head.String()))
}
