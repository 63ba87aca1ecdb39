package oss

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

func (q *request) getObject() *Error {
	if err := q.authorize(q.versioned("oss:GetObject", "oss:GetObjectVersion"), q.key); err != nil {
		return err
	}
	o, r, err := q.readable()
	if err != nil {
		return err
	}
	defer r.Close()
	if err := notRestored(o, q.now); err != nil {
		return err
	}
	if done, err := q.conditional(o); done || err != nil {
		return err
	}
	if process := q.param("x-oss-process"); process != "" {
		return q.process(o, r, process)
	}
	q.objectHeaders(o)
	if err := q.overrideHeaders(); err != nil {
		return err
	}
	h := q.w.Header()
	offset, length, status := int64(0), o.Size, http.StatusOK
	if rng := q.header("Range"); rng != "" {
		start, n, ok := parseRange(rng, o.Size)
		if !ok && q.header("x-oss-range-behavior") == "standard" {
			return newError(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "", "The requested range cannot be satisfied.").
				with("RangeRequested", rng).with("ActualObjectSize", strconv.FormatInt(o.Size, 10))
		}
		if ok {
			offset, length, status = start, n, http.StatusPartialContent
			h.Set("Content-Range", "bytes "+strconv.FormatInt(offset, 10)+"-"+strconv.FormatInt(offset+length-1, 10)+"/"+strconv.FormatInt(o.Size, 10))
		}
	}
	h.Set("Content-Length", strconv.FormatInt(length, 10))
	q.w.WriteHeader(status)
	// A client that has gone away is not this server's failure.
	_ = r.CopyRange(q.w, offset, length)
	return nil
}

// parseRange reads one byte range. OSS ignores a range that it cannot satisfy and sends the whole object.
func parseRange(text string, size int64) (start, length int64, ok bool) {
	spec, ok := strings.CutPrefix(text, "bytes=")
	if !ok || strings.Contains(spec, ",") {
		return 0, 0, false
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok {
		return 0, 0, false
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil || n <= 0 || size == 0 {
			return 0, 0, false
		}
		n = min(n, size)
		return size - n, n, true
	}
	start, err := strconv.ParseInt(first, 10, 64)
	if err != nil || start < 0 || start >= size {
		return 0, 0, false
	}
	end := size - 1
	if last != "" {
		end, err = strconv.ParseInt(last, 10, 64)
		if err != nil || end < start {
			return 0, 0, false
		}
		end = min(end, size-1)
	}
	return start, end - start + 1, true
}

// conditional judges If-Match and its relatives; done means that the answer (304) was given.
func (q *request) conditional(o *store.Object) (done bool, failure *Error) {
	modified := o.Modified.Truncate(time.Second)
	if v := q.header("If-Match"); v != "" && !etagMatches(v, o.ETag) {
		return false, preconditionFailed("If-Match")
	}
	if t, err := http.ParseTime(q.header("If-Unmodified-Since")); err == nil && modified.After(t) {
		return false, preconditionFailed("If-Unmodified-Since")
	}
	notModified := false
	if v := q.header("If-None-Match"); v != "" {
		notModified = etagMatches(v, o.ETag)
	} else if t, err := http.ParseTime(q.header("If-Modified-Since")); err == nil {
		notModified = !modified.After(t)
	}
	if !notModified {
		return false, nil
	}
	h := q.w.Header()
	h.Set("ETag", `"`+o.ETag+`"`)
	h.Set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
	q.w.WriteHeader(http.StatusNotModified)
	return true, nil
}

func etagMatches(header, etag string) bool {
	for v := range strings.SplitSeq(header, ",") {
		v = strings.TrimSpace(v)
		if v == "*" || strings.EqualFold(strings.Trim(v, `"`), etag) {
			return true
		}
	}
	return false
}

func preconditionFailed(condition string) *Error {
	return newError(http.StatusPreconditionFailed, "PreconditionFailed", "", "At least one of the pre-conditions you specified did not hold.").
		with("Condition", condition)
}

// objectHeaders are the headers of GetObject and HeadObject.
func (q *request) objectHeaders(o *store.Object) {
	h := q.w.Header()
	for name, value := range o.Headers {
		h.Set(name, value)
	}
	for name, value := range o.Meta {
		h.Set("x-oss-meta-"+name, value)
	}
	h.Set("ETag", `"`+o.ETag+`"`)
	h.Set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	h.Set("x-oss-object-type", o.Type)
	h.Set("x-oss-storage-class", o.StorageClass)
	h.Set("x-oss-hash-crc64ecma", strconv.FormatUint(o.CRC64, 10))
	h.Set("x-oss-server-time", strconv.FormatInt(q.server.clock().Sub(q.now).Milliseconds(), 10))
	if o.MD5 != "" {
		h.Set("Content-MD5", o.MD5)
	}
	if o.Type == store.TypeAppendable {
		h.Set("x-oss-next-append-position", strconv.FormatInt(o.Size, 10))
		if o.Sealed {
			h.Set("x-oss-sealed-time", o.Modified.UTC().Format(http.TimeFormat))
		}
	}
	if len(o.Tags) > 0 {
		h.Set("x-oss-tagging-count", strconv.Itoa(len(o.Tags)))
	}
	if v := restoreState(o, q.now); v != "" {
		h.Set("x-oss-restore", v)
	}
	q.versionHeader(o)
}

// overrideHeaders applies response-* parameters, which only signed requests may have.
func (q *request) overrideHeaders() *Error {
	for _, p := range q.query {
		name, ok := strings.CutPrefix(p.Name, "response-")
		if !ok {
			continue
		}
		switch name {
		case "content-type", "content-language", "expires", "cache-control", "content-disposition", "content-encoding":
		default:
			continue
		}
		if q.auth.kind == authAnonymous {
			return newError(http.StatusBadRequest, "InvalidRequest", "", "Request specific response headers cannot be used for anonymous GET requests.")
		}
		q.w.Header().Set(name, p.Value)
	}
	return nil
}

func (q *request) headObject() *Error {
	if err := q.authorize(q.versioned("oss:GetObject", "oss:GetObjectVersion"), q.key); err != nil {
		return err
	}
	o, r, err := q.readable()
	if err != nil {
		return err
	}
	r.Close()
	if done, err := q.conditional(o); done || err != nil {
		return err
	}
	q.objectHeaders(o)
	q.w.Header().Set("Content-Length", strconv.FormatInt(o.Size, 10))
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// getObjectMeta is the short form of HeadObject.
func (q *request) getObjectMeta() *Error {
	if err := q.authorize(q.versioned("oss:GetObject", "oss:GetObjectVersion"), q.key); err != nil {
		return err
	}
	o, err := q.lookup()
	if err != nil {
		return err
	}
	h := q.w.Header()
	h.Set("ETag", `"`+o.ETag+`"`)
	h.Set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
	h.Set("Content-Length", strconv.FormatInt(o.Size, 10))
	h.Set("x-oss-hash-crc64ecma", strconv.FormatUint(o.CRC64, 10))
	q.versionHeader(o)
	q.w.WriteHeader(http.StatusOK)
	return nil
}
