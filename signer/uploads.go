package signer

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uploadtenant/uploadtenant/policy"
	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/signer/oss"
	"github.com/uploadtenant/uploadtenant/signer/problem"
	"github.com/uploadtenant/uploadtenant/signer/ticket"
)

const (
	// maxMetadata and metadataDepth bound what a client may attach. The ticket carries it, and all
	// x-oss-meta-* headers of an object together may have 8 KiB.
	maxMetadata   = 2048
	metadataDepth = 4
	// maxFileBody is a generous bound of one file's JSON: name, type and metadata with escapes.
	maxFileBody = 8 << 10
	// maxSmallBody bounds every other request.
	maxSmallBody = 16 << 10
)

// handleUploads is POST /v1/uploads. It makes no cloud call and touches no database.
func (s *Server) handleUploads(c *call) error {
	req, err := s.readFiles(c)
	if err != nil {
		return err
	}
	if len(req.Files) == 0 {
		return problem.New(http.StatusBadRequest, "no_files", `name at least one file: {"files":[{"name":"a.jpg","size":12345,"contentType":"image/jpeg"}]}`)
	}
	if len(req.Files) > c.live.Limits.FilesPerRequest {
		return problem.New(http.StatusBadRequest, "too_many_files", fmt.Sprintf("at most %d files fit into one request, not %d; send several requests", c.live.Limits.FilesPerRequest, len(req.Files)))
	}
	now := s.clock()
	state, ends, err := c.live.granter.current(now)
	if err != nil {
		return s.noCredentials(c, err)
	}
	buffer, _ := s.answers.Get().(*[]byte)
	if buffer == nil {
		buffer = new([]byte)
	}
	answer := append((*buffer)[:0], `{"uploads":[`...)
	for i := range req.Files {
		if i > 0 {
			answer = append(answer, ',')
		}
		if answer, err = s.appendVerdict(answer, c, &req.Files[i], state, now, ends); err != nil {
			return err
		}
	}
	answer = append(answer, `]}`...)
	c.body(answer)
	if cap(answer) <= maxPooledAnswer {
		*buffer = answer
		s.answers.Put(buffer)
	}
	return nil
}

// readFiles reads the request body.
func (s *Server) readFiles(c *call) (*UploadsRequest, error) {
	limit := int64(c.live.Limits.FilesPerRequest)*maxFileBody + maxSmallBody
	if n := c.r.ContentLength; n >= 0 && n <= smallRequest && jsonBody(c.r) {
		// The usual small request: no reader around the body, no reflection.
		buffer, _ := s.bodies.Get().(*[smallRequest]byte)
		if buffer == nil {
			buffer = new([smallRequest]byte)
		}
		defer s.bodies.Put(buffer) // whatever is parsed out of it is copied
		if _, err := io.ReadFull(c.r.Body, buffer[:n]); err != nil {
			return nil, problem.New(http.StatusBadRequest, "incomplete_body", "the request body ended early")
		}
		var scan fileScanner
		if req := scan.request(string(buffer[:n])); req != nil {
			return req, nil
		}
		req := &UploadsRequest{}
		return req, decodeStrict(buffer[:n], req)
	}
	req := &UploadsRequest{}
	return req, c.decode(limit, req)
}

// smallRequest is the size of a request body that is read into a pooled buffer.
const smallRequest = 4 << 10

// maxPooledAnswer keeps one large batch from holding its memory for ever.
const maxPooledAnswer = 256 << 10

// appendVerdict decides about one file.
func (s *Server) appendVerdict(dst []byte, c *call, f *FileRequest, state *signingState, now, ends time.Time) ([]byte, error) {
	accepted, violation := c.live.granter.limits.Check(policy.File{Name: f.Name, Size: f.Size, ContentType: f.ContentType})
	if violation == nil {
		violation = checkHash(f)
	}
	if violation == nil {
		violation = checkMetadata(f)
	}
	expires := c.live.granter.expiry(f.Size, now, ends)
	if violation == nil {
		violation = s.usage.reserve(c.r.Context(), c.user, f.Size, now, expires)
	}
	if violation != nil {
		return s.appendRejected(dst, c, violation)
	}
	r := grantRequest{id: ticket.NewID(now), user: c.user, name: f.Name, size: f.Size, md5: f.MD5, metadata: f.Metadata, accepted: accepted}
	if f.MD5 != "" {
		if v := s.deduplicate(c, &r, f, now); v != nil {
			answer, err := json.Marshal(v)
			return append(dst, answer...), err
		}
	}
	dst, err := c.live.granter.appendGrant(dst, &r, state, now, expires)
	if err == nil {
		s.lastGrant.Store(now.Unix())
		s.granted.Inc()
		s.noteGrant(c, r.id, r.accepted.ContentType, r.size)
	}
	return dst, err
}

// appendRejected appends the verdict for a file that breaks a limit.
func (s *Server) appendRejected(dst []byte, c *call, v *policy.Violation) ([]byte, error) {
	s.metrics.Verdicts.WithLabelValues("rejected", v.Code).Inc()
	p := *problem.New(violationStatus(v.Code), v.Code, v.Detail)
	p.RequestID = c.requestID
	rejected, err := json.Marshal(Verdict{Status: "rejected", Error: &p})
	if err != nil {
		return dst, fmt.Errorf("encode a verdict: %w", err)
	}
	return append(dst, rejected...), nil
}

// violationStatus is the status that the problem of a verdict names.
func violationStatus(code string) int {
	switch code {
	case codeQuota:
		return http.StatusTooManyRequests
	case codeQuotaUnknown:
		return http.StatusServiceUnavailable
	case policy.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case policy.CodeTypeNotAllowed, policy.CodeExtensionNotAllowed, policy.CodeTypeMismatch:
		return http.StatusUnsupportedMediaType
	}
	return http.StatusBadRequest
}

// checkHash takes 32 hex digits or nothing, and makes them lower-case.
func checkHash(f *FileRequest) *policy.Violation {
	if f.MD5 == "" {
		return nil
	}
	f.MD5 = strings.ToLower(f.MD5)
	if len(f.MD5) != 32 || oss.MD5Hex(f.MD5) == "" {
		return &policy.Violation{Code: "invalid_md5", Detail: "md5 must be 32 hexadecimal digits"}
	}
	return nil
}

// checkMetadata takes a small, shallow JSON object or nothing, and makes it compact.
func checkMetadata(f *FileRequest) *policy.Violation {
	raw := bytes.TrimSpace(f.Metadata)
	if len(raw) == 0 || string(raw) == "null" || string(raw) == "{}" {
		f.Metadata = nil
		return nil
	}
	if raw[0] != '{' || !utf8.Valid(raw) { // encoding/json lets any byte pass in what it does not decode
		return &policy.Violation{Code: "invalid_metadata", Detail: "metadata must be a JSON object in UTF-8"}
	}
	if bytes.ContainsAny(raw, " \t\r\n") {
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil { // decoded once already, so it is valid
			return &policy.Violation{Code: "invalid_metadata", Detail: "metadata must be a JSON object"}
		}
		raw = compact.Bytes()
	}
	if len(raw) > maxMetadata {
		return &policy.Violation{Code: "invalid_metadata", Detail: fmt.Sprintf("metadata has %d bytes, at most %d are allowed", len(raw), maxMetadata)}
	}
	if jsonDepth(raw) > metadataDepth {
		return &policy.Violation{Code: "invalid_metadata", Detail: fmt.Sprintf("metadata may be nested %d levels deep", metadataDepth)}
	}
	f.Metadata = raw
	return nil
}

// jsonDepth returns how deep valid JSON is nested.
func jsonDepth(raw []byte) int {
	depth, deepest, inString := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// handleComplete is POST /v1/uploads/complete: the client's way to record an upload whose callback was lost.
func (s *Server) handleComplete(c *call) (err error) {
	var req CompleteRequest
	if err := c.decode(maxSmallBody, &req); err != nil {
		return err
	}
	t, err := s.tickets.Open(req.Ticket)
	if err != nil {
		return problem.New(http.StatusBadRequest, "invalid_ticket", "the ticket is not one of this tenant; send the ticket of the grant unchanged")
	}
	if t.User != c.user {
		return problem.New(http.StatusForbidden, "ticket_of_another_user", "the ticket belongs to another user")
	}
	defer func() { s.traceHandled(c, t.ID, "complete", err) }()
	ctx := c.r.Context()
	known, err := s.store.Lookup(ctx, t.ID)
	switch {
	case err == nil:
		return answerRecord(c, t, &known)
	case errors.Is(err, index.ErrDeleted):
		return problem.New(http.StatusGone, "deleted", "the upload was deleted")
	case !errors.Is(err, index.ErrNotFound):
		return err
	}
	upload, err := s.confirm(ctx, t)
	switch {
	case oss.NotFound(err) && s.clock().Unix() >= t.Expires:
		return problem.New(http.StatusGone, "expired", "the grant has expired and no object was stored; ask for a new grant")
	case oss.NotFound(err):
		return problem.New(http.StatusNotFound, "not_uploaded", "the object is not there yet; upload it first")
	case err != nil:
		return s.ossProblem(c, err)
	}
	upload.Source = index.SourceComplete
	recorded, err := s.record(ctx, t, upload)
	switch {
	case errors.Is(err, index.ErrDeleted):
		return problem.New(http.StatusGone, "deleted", "the upload was deleted")
	case errors.Is(err, index.ErrConflict):
		return problem.New(http.StatusConflict, "object_mismatch", "the object at this key belongs to another upload")
	case err != nil:
		return err
	}
	return answerRecord(c, t, &recorded.Upload)
}

// answerRecord shows an upload, unless its content is not what was announced.
func answerRecord(c *call, t *ticket.Ticket, u *index.Upload) error {
	if damaged(t, u) {
		return problem.New(http.StatusConflict, "hash_mismatch", "the object's MD5 is not the announced one; the file was damaged on its way or is another one")
	}
	return c.json(recordOf(u))
}

// damaged tells whether the content that OSS hashed is another one than was announced. Such an upload is
// recorded as rejected: it is stored, so it counts against the allowance, and its owner can find and delete it.
func damaged(t *ticket.Ticket, u *index.Upload) bool {
	return t.MD5 != "" && u.MD5 != "" && u.MD5 != t.MD5
}

// ossProblem hides the cause of a failed OSS call from the client and logs it.
func (s *Server) ossProblem(c *call, err error) error {
	var p *problem.Problem
	if errors.As(err, &p) {
		return p
	}
	var refusal *oss.Error
	requestID := ""
	if errors.As(err, &refusal) {
		requestID = refusal.RequestID
	}
	s.log.Error("oss call failed", "requestID", c.requestID, "ossRequestID", requestID, "error", err)
	c.w.Header().Set("Retry-After", "2")
	return problem.New(http.StatusServiceUnavailable, "storage_unavailable", "the object store cannot be asked now; try again later")
}

// confirm looks at the stored object and holds it against the ticket.
func (s *Server) confirm(ctx context.Context, t *ticket.Ticket) (*index.Upload, error) {
	o, err := s.bucket.Head(ctx, t.Key)
	if err != nil {
		return nil, err
	}
	stored, err := s.tickets.Open(o.Meta["ticket"])
	if err != nil || stored.ID != t.ID {
		// forbid-overwrite and the random id in the key make this impossible for our own uploads.
		return nil, problem.New(http.StatusConflict, "object_mismatch", "the object at this key does not belong to this upload")
	}
	upload := uploadOf(t)
	upload.MD5, upload.CRC64, upload.ETag, upload.CreatedAt = o.HashOf(t.MD5), o.CRC64, o.ETag, o.LastModified
	if p := mismatch(t, o.Size, o.ContentType); p != nil {
		return nil, p
	}
	return upload, nil
}

// mismatch holds what OSS stored against what was granted.
func mismatch(t *ticket.Ticket, size int64, contentType string) *problem.Problem {
	canonical, _ := policy.CanonicalType(contentType)
	switch {
	case size != t.Size:
		return problem.New(http.StatusConflict, "object_mismatch", fmt.Sprintf("the object has %d bytes, %d were granted", size, t.Size))
	case canonical != t.Type:
		return problem.New(http.StatusConflict, "object_mismatch", fmt.Sprintf("the object has content type %s, %s was granted", clip(contentType), t.Type))
	}
	return nil
}

// uploadOf copies what the ticket knows.
func uploadOf(t *ticket.Ticket) *index.Upload {
	return &index.Upload{ID: t.ID, User: t.User, Key: t.Key, Name: t.Name, Size: t.Size, ContentType: t.Type, Status: index.StatusCompleted, Metadata: t.Metadata}
}

// record writes the upload with its event and tells the deliverer.
func (s *Server) record(ctx context.Context, t *ticket.Ticket, upload *index.Upload) (index.Recorded, error) {
	if upload.CreatedAt.IsZero() {
		upload.CreatedAt = s.clock()
	}
	upload.CreatedAt = upload.CreatedAt.UTC().Truncate(time.Millisecond)
	switch {
	case damaged(t, upload):
		upload.Status, upload.Reason = index.StatusRejected, reasonContent
	case s.verifies():
		upload.Status = index.StatusVerifying
	}
	var event *index.Event
	if s.deliverer != nil && upload.Status != index.StatusVerifying { // whose event the verifier writes
		var err error
		if event, err = s.event("upload."+upload.Status, upload, upload.CreatedAt); err != nil {
			return index.Recorded{}, err
		}
	}
	start := s.clock()
	recorded, err := s.store.Record(ctx, *upload, event)
	if err != nil {
		return index.Recorded{}, fmt.Errorf("record the upload: %w", err)
	}
	if recorded.Created {
		s.metrics.Records.WithLabelValues(upload.Source).Inc()
		s.metrics.Bytes.Add(float64(upload.Size))
		s.usage.settle(upload.User, upload.Size)
		s.traceRecord(upload, start)
		s.log.Info("upload recorded", s.uploadLog(t.ID), "source", upload.Source, "size", upload.Size, "contentType", upload.ContentType)
		switch {
		case upload.Status == index.StatusVerifying:
			s.verifier.nudge()
		case s.deliverer != nil:
			s.deliverer.Wake()
		}
	}
	return recorded, nil
}

// noCredentials answers when nothing can be signed.
func (s *Server) noCredentials(c *call, err error) error {
	s.log.Error("no credentials to sign with", "requestID", c.requestID, "error", err)
	c.w.Header().Set("Retry-After", "2")
	return problem.New(http.StatusServiceUnavailable, "credentials_unavailable", "the signer has no valid cloud credentials now; try again later")
}

// handleList is GET /v1/uploads: the caller's own records, newest first.
func (s *Server) handleList(c *call) error {
	query := c.r.URL.Query()
	limit := 20
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			return problem.New(http.StatusBadRequest, "invalid_limit", "limit must be a number from 1 to 100")
		}
		limit = n
	}
	cursor, err := parseCursor(query.Get("cursor"))
	if err != nil {
		return err
	}
	// One more than asked for tells whether there is a next page.
	uploads, err := s.store.List(c.r.Context(), c.user, cursor, limit+1)
	if err != nil {
		return err
	}
	list := UploadList{Items: make([]Record, 0, len(uploads))}
	for i := range uploads[:min(limit, len(uploads))] {
		list.Items = append(list.Items, recordOf(&uploads[i]))
	}
	if len(uploads) > limit {
		list.NextCursor = base64.RawURLEncoding.EncodeToString([]byte(uploads[limit-1].ID))
	}
	return c.json(list)
}

func parseCursor(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || !ticket.ValidID(string(raw)) {
		return "", problem.New(http.StatusBadRequest, "invalid_cursor", "cursor must be the nextCursor of the page before")
	}
	return string(raw), nil
}

// handleGet is GET /v1/uploads/{id}. Another user's upload does not exist for the caller.
func (s *Server) handleGet(c *call) error {
	upload, err := s.own(c.r.Context(), c.user, c.r.PathValue("id"))
	if err != nil {
		return err
	}
	return c.json(recordOf(&upload))
}
