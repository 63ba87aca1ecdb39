// Package oss speaks the protocol of Alibaba Cloud OSS over HTTP: buckets, objects, multipart and form uploads,
// header and query signatures of version 1 and 4, and upload callbacks. Every call is authenticated, authorised
// by the identity service and by ACLs, and then carried out on a store.
//
// It shares no code with the rest of the repository: a mistake must not cancel itself out.
package oss

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator/iam"
	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// Identity answers whose key a request was signed with, and what its owner may do. *iam.Service implements it.
type Identity interface {
	Credential(accessKeyID string) (iam.Credential, bool)
	Authorize(iam.Request) iam.Decision
}

// Rules switch between behaviours that differ from account to account or that the documentation leaves open.
// The zero value is a new account of today, on a machine of one's own.
type Rules struct {
	// PublicByDefault leaves BlockPublicAccess off on new buckets, as before October 2025.
	PublicByDefault bool
	// RefuseV1 refuses signature version 1 on form uploads and Authorization headers (EC 0002-00000080) on every
	// bucket, as on buckets created since September 2025. SetBucketV1 decides for one bucket.
	RefuseV1 bool
	// StrictDateSkew refuses a form whose x-oss-date is more than 15 minutes in the past.
	StrictDateSkew bool
	// ListedFieldsOnly refuses every form field that the policy does not mention, not just those of the V4 signature.
	ListedFieldsOnly bool
	// RefusePrivateCallbacks refuses callbackUrl with a loopback or private address (EC 0007-00000008), as OSS does.
	RefusePrivateCallbacks bool
}

// Options configure a Server. AccountID, Region, Store and Identity are required.
type Options struct {
	AccountID string
	Region    string
	Store     *store.Store
	Identity  Identity
	Rules     Rules
	// Endpoints are further host names that buckets are subdomains of, besides localhost, 127.0.0.1 and
	// oss-REGION.aliyuncs.com.
	Endpoints []string
	// Clock tells the time for signatures, expiry and dates. Default time.Now.
	Clock func() time.Time
	// Logger receives one line per request. Default discards.
	Logger *slog.Logger
	// CallbackKey signs callbacks. Required when callbacks are used.
	CallbackKey *CallbackKey
	// CallbackKeyURL is the address of the public key, sent as x-oss-pub-key-url. Empty derives it from the host
	// of the upload request.
	CallbackKeyURL string
	// CallbackTransport carries the callbacks. Default has no proxy and no keep-alive.
	CallbackTransport http.RoundTripper
	// CallbackTimeout is the time an application has to answer. Default 5 s, as documented.
	CallbackTimeout time.Duration
	// Hooks observe and disturb.
	Hooks Hooks
	// Admin serves paths below /_emulator/ other than the callback key.
	Admin http.Handler
}

// Call is one request, for logs, counters and fault injection. Fields are filled in as they become known.
type Call struct {
	RequestID string
	// Operation is the name in the OSS API, for example PutObject or GetBucketInfo; empty when the request is none.
	Operation   string
	Bucket, Key string
	// Caller is the zero Principal until the call is authenticated, and for anonymous calls.
	Caller iam.Principal
	Start  time.Time
	// Status is the HTTP status; Code and EC are set when the call was refused.
	Status   int
	Code, EC string
	// Received and Sent count body bytes.
	Received, Sent int64
}

// Hooks are the places where faults are injected and calls are recorded. All are optional.
type Hooks struct {
	// Before runs when the operation is known and nothing has been decided. It may delay, replace the writer or the
	// body, or answer by itself and return false.
	Before func(c *Call, w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request, bool)
	// After runs when the answer has been written.
	After func(c *Call, r *http.Request)
	// Callback runs before a callback is sent and tells what becomes of it. The call is the upload.
	Callback func(c *Call, url string) CallbackFault
	// CallbackDone runs when a callback was sent, or dropped.
	CallbackDone func(c *Call, report CallbackReport)
	// ListDelay tells how long a new object stays out of lists.
	ListDelay func() time.Duration
}

// Server is the HTTP handler. It is safe for concurrent use.
type Server struct {
	opts       Options
	store      *store.Store
	clock      func() time.Time
	log        *slog.Logger
	operations map[string]*operation
	callbacks  *callbackSender
	buffers    sync.Pool // of *bufio.Reader for forms
}

// New returns a server over opts.Store.
func New(opts Options) *Server {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{opts: opts, store: opts.Store, clock: opts.Clock, log: opts.Logger, operations: operationTable()}
	s.callbacks = newCallbackSender(opts)
	s.buffers.New = func() any { return newFormBuffer() }
	return s
}

// KeyPath is where the public key of the callbacks is served.
const KeyPath = "/_emulator/callback_pub_key.pem"

func isControlPath(path string) bool {
	return path == "/_emulator" || strings.HasPrefix(path, "/_emulator/")
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// In host style the path is an object's name, which may be anything.
	if isControlPath(r.URL.Path) && s.hostBucket(r.Host) == "" {
		s.serveAdmin(w, r)
		return
	}
	call := &Call{RequestID: s.requestID(), Start: s.clock()}
	tracked := &trackingWriter{ResponseWriter: w, call: call}
	h := tracked.Header()
	h.Set("Server", "AliyunOSS")
	h.Set("x-oss-request-id", call.RequestID)
	h.Set("Date", call.Start.UTC().Format(http.TimeFormat))
	q := &request{server: s, call: call, w: tracked, r: r, now: call.Start}
	q.countBody()
	q.serve()
	if s.opts.Hooks.After != nil {
		s.opts.Hooks.After(call, r)
	}
	s.log.LogAttrs(r.Context(), slog.LevelInfo, "oss", slog.String("operation", call.Operation),
		slog.String("bucket", call.Bucket), slog.String("key", call.Key), slog.Int("status", call.Status),
		slog.String("code", call.Code), slog.String("ec", call.EC), slog.String("caller", call.Caller.ARN()),
		slog.String("requestId", call.RequestID), slog.Duration("took", s.clock().Sub(call.Start)))
}

// requestID returns 24 upper-case hex digits, as OSS uses them: the time first, so that they sort.
func (s *Server) requestID() string {
	var raw [12]byte
	binary.BigEndian.PutUint32(raw[:4], uint32(s.clock().Unix())) // wraps in 2106
	rand.Read(raw[4:])                                            // never fails since Go 1.24
	return strings.ToUpper(hex.EncodeToString(raw[:]))
}

// trackingWriter notes the status and the bytes of an answer.
type trackingWriter struct {
	http.ResponseWriter
	call  *Call
	wrote bool
}

func (w *trackingWriter) WriteHeader(status int) {
	if !w.wrote {
		w.wrote = true
		w.call.Status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *trackingWriter) Write(p []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(p)
	w.call.Sent += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *trackingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type countingBody struct {
	io.ReadCloser
	call *Call
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.call.Received += int64(n)
	return n, err
}

func (q *request) countBody() {
	if q.r.Body != nil && q.r.Body != http.NoBody {
		q.r = q.r.WithContext(q.r.Context())
		q.r.Body = &countingBody{q.r.Body, q.call}
	}
}
