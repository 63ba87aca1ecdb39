package signer

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/auth"
	"github.com/uploadtenant/uploadtenant/signer/onewrite"
	"github.com/uploadtenant/uploadtenant/signer/problem"
)

// call is one request on its way through a handler.
type call struct {
	w         http.ResponseWriter
	r         *http.Request
	requestID string
	user      string
	// live is what judges this request, from its first byte to its last.
	live   *settings
	status int
	// code of the problem that was answered, "" when all went well.
	code string
	// started is when the request came.
	started time.Time
	// uploads are the ids of what was granted, kept only for the access log.
	uploads []string
	// lengthLine and idLine are header values with a place of their own, not one on the heap each.
	lengthLine, idLine [1]string
}

// handler answers a call. A problem is written as it is; any other error becomes a 500 whose cause is
// logged but not shown.
type handler func(*call) error

// operation is one method on one path.
type operation struct {
	name    string
	method  string
	pattern string
	// public operations need no bearer token.
	public bool
	handle handler
	doc    operationDoc
}

// reserved tells whether p belongs to the API, so that callback.url cannot take it.
func reserved(p string) bool {
	clean := path.Clean(p)
	return clean == "/v1" || strings.HasPrefix(clean, "/v1/") || clean == "/openapi.json"
}

// routes builds the handler of the public port.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	byPattern := map[string][]operation{}
	for _, op := range s.operations() {
		byPattern[op.pattern] = append(byPattern[op.pattern], op)
	}
	for pattern, ops := range byPattern {
		mux.Handle(pattern, s.methods(ops))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c := s.newCall(w, r)
		s.cors(c)
		problem.New(http.StatusNotFound, "not_found", "there is nothing at this path; see /openapi.json").Write(w, c.requestID)
	})
	// Nothing but a callback may arrive on this path, and it is matched as it is, without any cleaning.
	callbackHandler := s.instrument(operation{name: "callback", public: true, handle: s.handleCallback})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			// Whoever keeps a connection opens the next one to a process that stays.
			w.Header()["Connection"] = closeConnection
		}
		if s.callbackPath != "" && (r.URL.Path == s.callbackPath || r.URL.Path == internalCallbackPath) {
			callbackHandler(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// internalCallbackPath takes callbacks as well, for an ingress that rewrites the external path. The
// signature is checked over the external path either way.
const internalCallbackPath = "/v1/callback"

// methods dispatches by method, answers preflights and refuses what is left.
func (s *Server) methods(ops []operation) http.Handler {
	handlers := map[string]http.HandlerFunc{}
	allow := []string{http.MethodOptions}
	for _, op := range ops {
		handlers[op.method] = s.instrument(op)
		allow = append(allow, op.method)
	}
	allowed := strings.Join(allow, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := handlers[r.Method]; h != nil {
			h(w, r)
			return
		}
		c := s.newCall(w, r)
		known := s.cors(c)
		w.Header().Set("Allow", allowed)
		if r.Method == http.MethodOptions {
			if known {
				w.Header().Set("Access-Control-Allow-Methods", allowed)
				w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id")
				w.Header().Set("Access-Control-Max-Age", "600")
			}
			w.WriteHeader(http.StatusNoContent)
			return
		}
		problem.New(http.StatusMethodNotAllowed, "method_not_allowed", "this path takes "+allowed).Write(w, c.requestID)
	})
}

// instrument wraps an operation with request id, CORS, authentication, metrics and error handling.
func (s *Server) instrument(op operation) http.HandlerFunc {
	recorder := s.metrics.Operation(op.name)
	return func(w http.ResponseWriter, r *http.Request) {
		start := s.clock()
		c := s.newCall(w, r)
		c.started = start
		s.cors(c)
		err := s.authenticate(c, op.public)
		if err == nil && !op.public {
			err = s.throttle(c)
		}
		if err == nil {
			err = op.handle(c)
		}
		if err != nil {
			s.fail(c, op, err)
		}
		took := s.clock().Sub(start)
		recorder.Done(c.status, took)
		// The access log of what went well is for debugging; what was refused is always told.
		level := slog.LevelDebug
		if c.status >= http.StatusBadRequest {
			level = slog.LevelInfo
		}
		if s.log.Enabled(r.Context(), level) {
			attrs := []slog.Attr{slog.String("operation", op.name), slog.Int("status", c.status),
				slog.String("code", c.code), slog.Duration("took", took), slog.String("requestID", c.requestID)}
			if len(c.uploads) > 0 {
				attrs = append(attrs, slog.Any("uploads", c.uploads))
			}
			s.log.LogAttrs(r.Context(), level, "request", attrs...)
		}
	}
}

func (s *Server) newCall(w http.ResponseWriter, r *http.Request) *call {
	c := &call{w: w, r: r, live: s.live.Load(), status: http.StatusOK, requestID: requestID(r.Header.Get("X-Request-Id"))}
	c.idLine[0] = c.requestID
	w.Header()["X-Request-Id"] = c.idLine[:]
	return c
}

// requestID keeps a caller's id when it is harmless to log, else it makes one.
func requestID(given string) string {
	if n := len(given); n >= 8 && n <= 64 && !strings.ContainsFunc(given, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) {
		return given
	}
	return rand.Text()[:20]
}

// authenticate sets the user of a call or says why it has none.
func (s *Server) authenticate(c *call, public bool) error {
	if public {
		return nil
	}
	token, err := auth.BearerToken(auth.Only(c.r.Header["Authorization"]))
	if err == nil {
		c.user, err = s.auth.Authenticate(c.r.Context(), token)
	}
	if err == nil {
		return nil
	}
	reason, status := auth.Outcome(err), http.StatusUnauthorized
	code, detail := "unauthorized", "send a valid token as Authorization: Bearer <token>"
	switch {
	case errors.Is(err, auth.ErrNoToken):
		reason = "missing"
	case reason == auth.Expired:
		code, detail = "token_expired", "the token has expired; get a new one and try again"
	case reason == auth.Forbidden:
		status, code, detail = http.StatusForbidden, "forbidden", "the application does not let this user upload"
	case reason == auth.Unavailable:
		status, code, detail = http.StatusServiceUnavailable, "auth_unavailable", "the identity provider cannot be reached; try again later"
		c.w.Header().Set("Retry-After", "2")
		s.log.Warn("a token could not be judged", "requestID", c.requestID, "error", err)
	}
	s.metrics.AuthFailures.WithLabelValues(reason).Inc()
	if status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", "Bearer")
	}
	return problem.New(status, code, detail)
}

// throttle refuses a user, or everybody, who asks too often.
func (s *Server) throttle(c *call) error {
	if limits := &c.live.Limits; limits.PerUser.RequestsPerMinute == 0 && limits.PerTenant.RequestsPerMinute == 0 {
		return nil
	}
	wait, ok := s.usage.allow(c.user, s.clock())
	if ok {
		return nil
	}
	c.w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
	return problem.New(http.StatusTooManyRequests, codeRateLimited, "too many requests; wait as long as Retry-After says")
}

// fail writes err as a problem document.
func (s *Server) fail(c *call, op operation, err error) {
	var p *problem.Problem
	if !errors.As(err, &p) {
		s.log.Error("request failed", "operation", op.name, "requestID", c.requestID, "error", err)
		p = problem.New(http.StatusInternalServerError, "internal", "something went wrong here; try again, and report the request id if it persists")
	}
	c.status, c.code = p.Status, p.Code
	p.Write(c.w, c.requestID)
}

// json writes value with status 200.
func (c *call) json(value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	c.body(body)
	return nil
}

// Header values that every answer shares; nobody may change them.
var (
	jsonType        = []string{"application/json"}
	noStore         = []string{"no-store"}
	varyOrigin      = []string{"Origin"}
	closeConnection = []string{"close"}
)

// body writes a JSON text with status 200. OSS wants the Content-Length of a callback's answer.
func (c *call) body(body []byte) {
	h := c.w.Header()
	h["Content-Type"] = jsonType
	h["Cache-Control"] = noStore
	c.lengthLine[0] = strconv.Itoa(len(body))
	h["Content-Length"] = c.lengthLine[:]
	c.w.WriteHeader(http.StatusOK)
	onewrite.Write(c.w, c.r, body)
}

// read returns the request body of at most limit bytes.
func (c *call) read(limit int64) ([]byte, error) {
	if c.r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge(limit)
	case err != nil:
		return nil, problem.New(http.StatusBadRequest, "incomplete_body", "the request body ended early")
	}
	return body, nil
}

func tooLarge(limit int64) error {
	return problem.New(http.StatusRequestEntityTooLarge, "body_too_large", fmt.Sprintf("the request body may have at most %d bytes", limit))
}

// decode reads a JSON body strictly: one value, no unknown field.
func (c *call) decode(limit int64, into any) error {
	if !jsonBody(c.r) {
		return problem.New(http.StatusUnsupportedMediaType, "unsupported_media_type", "send the body as application/json")
	}
	body, err := c.read(limit)
	if err != nil {
		return err
	}
	return decodeStrict(body, into)
}

// decodeOptional is decode for a small body that may be missing.
func (c *call) decodeOptional(into any) error {
	if c.r.ContentLength == 0 {
		return nil
	}
	return c.decode(maxSmallBody, into)
}

// jsonBody tells whether a request says that its body is JSON, or says nothing.
func jsonBody(r *http.Request) bool {
	contentType := r.Header.Get("Content-Type")
	if contentType == "" || contentType == "application/json" {
		return true
	}
	essence, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(essence), "application/json")
}

// cors answers browsers of exactly the tenant's origins, and tells whether the caller is one of them.
func (s *Server) cors(c *call) bool {
	if len(c.live.AllowedOrigins) == 0 {
		return false
	}
	h := c.w.Header()
	h["Vary"] = varyOrigin
	origin := c.r.Header.Get("Origin")
	if origin == "" || !originAllowed(c.live.AllowedOrigins, origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After")
	return true
}

// originAllowed matches like the CORS rules of OSS: exact, or with one '*' for any run of characters.
func originAllowed(allowed []string, origin string) bool {
	for _, pattern := range allowed {
		before, after, wild := strings.Cut(pattern, "*")
		if !wild && strings.EqualFold(pattern, origin) {
			return true
		}
		if wild && len(origin) >= len(before)+len(after) && strings.HasPrefix(origin, before) && strings.HasSuffix(origin, after) {
			return true
		}
	}
	return false
}
