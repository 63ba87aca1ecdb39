package oss

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uploadtenant/uploadtenant/emulator/iam"
	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// request is one call on its way through the server.
type request struct {
	server *Server
	call   *Call
	w      http.ResponseWriter
	r      *http.Request
	now    time.Time

	bucket, key string
	query       []param // in the order of the URL
	op          *operation
	info        *store.Bucket // nil for service calls and for buckets that do not exist
	auth        authentication
}

// param is a query parameter, decoded. OSS tells "?acl" and "?acl=" not apart, and neither does this.
type param struct{ Name, Value string }

// authentication is who signed a request, and how.
type authentication struct {
	kind      authKind
	principal iam.Principal
	// secure names of the signature version, for the policy condition acs:SignatureVersion.
	version string
}

type authKind int

const (
	authAnonymous authKind = iota
	authHeader
	authQuery
	authForm
)

// operation is one entry of the OSS API.
type operation struct {
	name string
	// action is the RAM action; empty means that the handler authorises by itself.
	action string
	handle func(*request) *Error
	// noBucket marks operations that may name a bucket that does not exist.
	noBucket bool
}

func (q *request) serve() {
	if err := q.resolve(); err != nil {
		q.hookThenFail(err)
		return
	}
	if hook := q.server.opts.Hooks.Before; hook != nil {
		w, r, ok := hook(q.call, q.w, q.r)
		if !ok {
			return
		}
		q.w, q.r = w, r
	}
	q.applyCORS()
	if err := q.perform(); err != nil {
		q.fail(err)
	}
}

func (q *request) hookThenFail(e *Error) {
	if hook := q.server.opts.Hooks.Before; hook != nil {
		w, r, ok := hook(q.call, q.w, q.r)
		if !ok {
			return
		}
		q.w, q.r = w, r
	}
	q.fail(e)
}

// perform authenticates, authorises and carries out the operation.
func (q *request) perform() *Error {
	if q.op.name == opPostObject || q.op.name == opOptions {
		return q.op.handle(q) // a form carries its own signature; a preflight has none
	}
	// OSS looks for the bucket before it looks at the key: strangers are told as well that there is none.
	if q.bucket != "" && q.info == nil && !q.op.noBucket {
		return q.noSuchBucket()
	}
	if err := q.authenticate(); err != nil {
		return err
	}
	if q.op.action != "" {
		if err := q.authorize(q.op.action, q.key); err != nil {
			return err
		}
	}
	return q.op.handle(q)
}

// noSuchBucket is the answer of operations on a bucket that is not there. Some newer sub-resources are then not
// looked at, and their PUT fails as a PutBucket with a strange body.
func (q *request) noSuchBucket() *Error {
	if q.r.Method == http.MethodPut && (q.has("overwriteConfig") || q.has("objectWorm")) {
		return malformedXML("0015-00000231", "")
	}
	return fromStore(store.ErrNoSuchBucket, q.bucket, q.key)
}

// resolve finds bucket, key and operation in host, path and query.
func (q *request) resolve() *Error {
	if err := q.parseQuery(); err != nil {
		return err
	}
	path, err := url.PathUnescape(strings.TrimPrefix(q.r.URL.EscapedPath(), "/"))
	if err != nil {
		return newError(http.StatusBadRequest, "InvalidURI", "", "Couldn't parse the specified URI.")
	}
	q.bucket = q.server.hostBucket(q.r.Host)
	q.key = path
	if q.bucket == "" {
		q.bucket, q.key, _ = strings.Cut(path, "/")
	}
	q.call.Bucket, q.call.Key = q.bucket, q.key
	if q.bucket != "" {
		q.info, _ = q.server.store.Bucket(q.bucket) // absence is reported once the caller is known
	}
	q.op = q.findOperation()
	if q.op == nil {
		return newError(http.StatusMethodNotAllowed, "MethodNotAllowed", "",
			"The specified method is not allowed against this resource.").
			with("Method", q.r.Method).with("ResourceType", q.level().String())
	}
	q.call.Operation = q.op.name
	if q.bucket != "" && !validBucketName(q.bucket) {
		return newError(http.StatusBadRequest, "InvalidBucketName", "", "The specified bucket is not valid.").
			with("BucketName", q.bucket)
	}
	if q.key != "" && q.op.name != opOptions {
		return checkKey(q.key)
	}
	return nil
}

func (q *request) parseQuery() *Error {
	for pair := range strings.SplitSeq(q.r.URL.RawQuery, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		n, err1 := url.QueryUnescape(name)
		v, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			return newError(http.StatusBadRequest, "InvalidURI", "", "Couldn't parse the specified URI.")
		}
		q.query = append(q.query, param{n, v})
	}
	return nil
}

// has tells whether the query names the parameter.
func (q *request) has(name string) bool {
	return slices.ContainsFunc(q.query, func(p param) bool { return p.Name == name })
}

// param returns the first value of a query parameter, or "".
func (q *request) param(name string) string {
	for _, p := range q.query {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

func (q *request) header(name string) string { return q.r.Header.Get(name) }

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)

func validBucketName(name string) bool { return bucketName.MatchString(name) }

// maxKeyBytes is the longest object name (H/zh/oss/user-guide/object-naming-conventions).
const maxKeyBytes = 1023

// checkKey refuses names that OSS does not store.
func checkKey(key string) *Error {
	if key == "" || len(key) > maxKeyBytes || !utf8.ValidString(key) || key[0] == '/' || key[0] == '\\' {
		return newError(http.StatusBadRequest, "InvalidObjectName", "", "The specified object is not valid.").
			with("ObjectName", key)
	}
	return nil
}

// hostBucket returns the bucket that a Host header names, or "" when the bucket is in the path.
func (s *Server) hostBucket(host string) string {
	host = strings.ToLower(host)
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if net.ParseIP(strings.Trim(host, "[]")) != nil {
		return ""
	}
	if bucket := s.cnameBucket(host); bucket != "" {
		return bucket
	}
	suffixes := append([]string{
		"localhost", "127.0.0.1", "oss-" + s.opts.Region + ".aliyuncs.com",
		"oss-" + s.opts.Region + "-internal.aliyuncs.com", "oss-accelerate.aliyuncs.com",
	}, s.opts.Endpoints...)
	for _, suffix := range suffixes {
		if host == suffix {
			return ""
		}
		if bucket, ok := strings.CutSuffix(host, "."+suffix); ok && !strings.Contains(bucket, ".") {
			return bucket
		}
	}
	// Any other name that begins with an existing bucket: whatever a hosts file or a wildcard DNS entry offers.
	if first, rest, ok := strings.Cut(host, "."); ok && rest != "" {
		if _, err := s.store.Bucket(first); err == nil {
			return first
		}
	}
	return ""
}

// level is what an operation works on.
type level int

const (
	levelService level = iota
	levelBucket
	levelObject
)

func (l level) String() string { return [...]string{"SERVICE", "BUCKET", "OBJECT"}[l] }

func (q *request) level() level {
	switch {
	case q.bucket == "":
		return levelService
	case q.key == "":
		return levelBucket
	}
	return levelObject
}

// resource is the name of the addressed thing in RAM policies.
func (q *request) resource(key string) string {
	r := fmt.Sprintf("acs:oss:*:%s:%s", q.server.opts.AccountID, q.bucket)
	if q.bucket == "" {
		return r + "*"
	}
	if key != "" {
		r += "/" + key
	}
	return r
}
