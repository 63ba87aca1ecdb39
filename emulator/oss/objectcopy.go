package oss

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// copySource is a parsed x-oss-copy-source header.
type copySource struct{ bucket, key, versionID string }

// parseCopySource reads /bucket/key?versionId=…; the key is percent-encoded.
func parseCopySource(header string) (copySource, *Error) {
	bad := invalidArgument("", "x-oss-copy-source", header, "Copy Source must mention the source bucket and key: /sourcebucket/sourcekey.")
	text, query, _ := strings.Cut(strings.TrimPrefix(header, "/"), "?")
	bucket, key, ok := strings.Cut(text, "/")
	if !ok || bucket == "" || key == "" {
		return copySource{}, bad
	}
	decoded, err := url.PathUnescape(key)
	if err != nil {
		return copySource{}, bad
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return copySource{}, bad
	}
	return copySource{bucket, decoded, values.Get("versionId")}, nil
}

// openSource authorises and opens the source of a copy.
func (q *request) openSource() (*store.Object, *store.Reader, *Error) {
	src, err := parseCopySource(q.header("x-oss-copy-source"))
	if err != nil {
		return nil, nil, err
	}
	sub := *q // the source is judged like a GetObject of its own, with its bucket's policy and ACLs
	sub.bucket, sub.key = src.bucket, src.key
	info, bucketErr := q.server.store.Bucket(src.bucket)
	if bucketErr != nil {
		return nil, nil, fromStore(bucketErr, src.bucket, src.key)
	}
	sub.info = info
	action := "oss:GetObject"
	if src.versionID != "" {
		action = "oss:GetObjectVersion"
	}
	if err := sub.authorize(action, src.key); err != nil {
		return nil, nil, err
	}
	o, r, openErr := q.server.store.OpenObject(src.bucket, src.key, src.versionID)
	if openErr != nil {
		return nil, nil, fromStore(openErr, src.bucket, src.key)
	}
	if o.DeleteMarker {
		r.Close()
		return nil, nil, fromStore(store.ErrNoSuchKey, src.bucket, src.key)
	}
	if err := notRestored(o, q.now); err != nil {
		r.Close()
		return nil, nil, err
	}
	if err := q.copyConditions(o); err != nil {
		r.Close()
		return nil, nil, err
	}
	if info.Versioning != store.VersioningOff {
		q.w.Header().Set("x-oss-copy-source-version-id", o.VersionID)
	}
	return o, r, nil
}

// copyConditions judges x-oss-copy-source-if-*.
func (q *request) copyConditions(o *store.Object) *Error {
	const prefix = "x-oss-copy-source-if-"
	if v := q.header(prefix + "match"); v != "" && !etagMatches(v, o.ETag) {
		return preconditionFailed(prefix + "match")
	}
	if v := q.header(prefix + "none-match"); v != "" && etagMatches(v, o.ETag) {
		return &Error{Status: http.StatusNotModified, Code: "NotModified", Message: "Not Modified"}
	}
	if t, err := http.ParseTime(q.header(prefix + "unmodified-since")); err == nil && o.Modified.After(t.Add(1e9)) {
		return preconditionFailed(prefix + "unmodified-since")
	}
	if t, err := http.ParseTime(q.header(prefix + "modified-since")); err == nil && !o.Modified.After(t) {
		return &Error{Status: http.StatusNotModified, Code: "NotModified", Message: "Not Modified"}
	}
	return nil
}

type copyResult struct {
	XMLName      xml.Name `xml:"CopyObjectResult"`
	LastModified string
	ETag         string
}

// copyObject copies without moving bytes: the copy shares the segments of the source.
func (q *request) copyObject() *Error {
	src, r, err := q.openSource()
	if err != nil {
		return err
	}
	defer r.Close()
	o, err := q.copiedObject(src)
	if err != nil {
		return err
	}
	forbid, err := forbidOverwrite(q.header("x-oss-forbid-overwrite"))
	if err != nil {
		return err
	}
	if err := q.authorizePut(q.key, &o); err != nil {
		return err
	}
	stored, putErr := q.server.store.PutObject(store.Put{Bucket: q.bucket, Object: o, ForbidOverwrite: forbid})
	if putErr != nil {
		return fromStore(putErr, q.bucket, q.key)
	}
	h := q.w.Header()
	h.Set("x-oss-hash-crc64ecma", strconv.FormatUint(stored.CRC64, 10))
	h.Set("ETag", `"`+stored.ETag+`"`)
	q.versionHeader(stored)
	copyEncryptionHeaders(h, stored)
	q.writeXML(http.StatusOK, copyResult{LastModified: xmlTime(stored.Modified), ETag: `"` + stored.ETag + `"`})
	return nil
}

// copiedObject combines the content of the source with the metadata that the directives ask for.
func (q *request) copiedObject(src *store.Object) (store.Object, *Error) {
	o, err := q.object(q.headerAttributes(), q.key)
	if err != nil {
		return o, err
	}
	switch directive := q.header("x-oss-metadata-directive"); strings.ToUpper(directive) {
	case "", "COPY":
		encryption := store.Object{Headers: o.Headers}
		o.Headers, o.Meta = map[string]string{}, src.Meta
		for name, value := range src.Headers {
			if !strings.HasPrefix(name, "x-oss-server-side-") {
				o.Headers[name] = value
			}
		}
		for name, value := range encryption.Headers {
			if strings.HasPrefix(name, "x-oss-server-side-") {
				o.Headers[name] = value
			}
		}
	case "REPLACE":
	default:
		return o, invalidArgument("", "x-oss-metadata-directive", directive, "Invalid metadata directive.")
	}
	switch directive := q.header("x-oss-tagging-directive"); strings.ToUpper(directive) {
	case "", "COPY":
		o.Tags = src.Tags
	case "REPLACE":
	default:
		return o, invalidArgument("", "x-oss-tagging-directive", directive, "Invalid tagging directive.")
	}
	o.Segments, o.Size, o.ETag, o.MD5, o.CRC64 = src.Segments, src.Size, src.ETag, src.MD5, src.CRC64
	if src.Type == store.TypeSymlink {
		o.Type, o.Target = src.Type, src.Target
	}
	return o, nil
}
