package signer

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/callback"
	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/signer/oss"
	"github.com/uploadtenant/uploadtenant/signer/problem"
	"github.com/uploadtenant/uploadtenant/signer/ticket"
)

const (
	// maxCallbackBody is far above what callbackBody can make: a ticket, a key and some numbers.
	maxCallbackBody = 64 << 10
	// callbackTime stays below the 5 s after which OSS gives up.
	callbackTime = 4 * time.Second
)

// handleCallback records what OSS reports. The RSA signature says that OSS sent it, the sealed ticket what was
// granted, and the object that it was stored.
func (s *Server) handleCallback(c *call) (err error) {
	ctx, cancel := context.WithTimeout(c.r.Context(), callbackTime)
	defer cancel()
	upload, t, reason, err := s.verifyCallback(ctx, c)
	if err != nil {
		result := "refused"
		if reason == "key_unavailable" || reason == "object_unavailable" {
			result = "failed"
		}
		s.metrics.Callbacks.WithLabelValues(result, reason).Inc()
		s.log.Warn("callback refused", "reason", reason, "requestID", c.requestID, "remote", c.r.RemoteAddr)
		return err
	}
	defer func() { s.traceHandled(c, t.ID, "callback", err) }()
	upload.Source = index.SourceCallback
	recorded, err := s.record(ctx, t, upload)
	switch {
	case errors.Is(err, index.ErrDeleted), errors.Is(err, index.ErrConflict):
		s.metrics.Callbacks.WithLabelValues("refused", "replayed").Inc()
		return problem.New(http.StatusConflict, "callback_replayed", "the upload was deleted or replaced since")
	case err != nil:
		s.metrics.Callbacks.WithLabelValues("failed", "index").Inc()
		return err
	case !recorded.Created && recorded.Upload.ETag != "" && upload.ETag != "" && recorded.Upload.ETag != upload.ETag:
		s.metrics.Callbacks.WithLabelValues("refused", "replayed").Inc()
		return problem.New(http.StatusConflict, "callback_replayed", "the upload is recorded with another content")
	case damaged(t, &recorded.Upload):
		s.metrics.Callbacks.WithLabelValues("refused", "mismatch").Inc()
	case recorded.Created:
		s.metrics.Callbacks.WithLabelValues("recorded", "").Inc()
	default:
		s.metrics.Callbacks.WithLabelValues("duplicate", "").Inc()
	}
	return answerRecord(c, t, &recorded.Upload)
}

// verifyCallback checks, in this order, the method, the ticket, the signature, and that both speak of the
// same object. The ticket comes first because it costs nothing and no stranger has one: the key, which the
// request names, is fetched for nobody else. It returns a reason for the metric along with the problem.
func (s *Server) verifyCallback(ctx context.Context, c *call) (*index.Upload, *ticket.Ticket, string, error) {
	if c.r.Method != http.MethodPost {
		c.w.Header().Set("Allow", http.MethodPost)
		return nil, nil, "method", problem.New(http.StatusMethodNotAllowed, "method_not_allowed", "this path takes callbacks of OSS by POST")
	}
	signature, err := callback.ParseHeaders(c.r.Header)
	if err != nil {
		return nil, nil, "unsigned", problem.New(http.StatusForbidden, "callback_unsigned", "this path takes callbacks that OSS signed")
	}
	body, err := c.read(maxCallbackBody)
	if err != nil {
		return nil, nil, "body", err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, nil, "body", problem.New(http.StatusBadRequest, "callback_malformed", "the body is not form encoded")
	}
	t, err := s.tickets.Open(form.Get("ticket"))
	if err != nil {
		return nil, nil, "ticket", problem.New(http.StatusForbidden, "callback_ticket_invalid", "the ticket is not one of this tenant")
	}
	key, err := s.keys.Get(ctx, signature.KeyURL)
	switch {
	case errors.Is(err, callback.ErrKeyURL):
		return nil, nil, "key_url", problem.New(http.StatusForbidden, "callback_key_refused", "the public key URL is not one of those that are allowed")
	case err != nil:
		s.log.Error("callback key not available", "requestID", c.requestID, "error", err)
		return nil, nil, "key_unavailable", problem.New(http.StatusServiceUnavailable, "callback_key_unavailable", "the public key cannot be fetched now")
	}
	if key.Verify(callback.SignedText(s.callbackPath, c.r.URL.RawQuery, body), signature.Value) != nil {
		return nil, nil, "signature", problem.New(http.StatusForbidden, "callback_signature_invalid", "the signature does not match; check that callback.url is the external URL of the signer")
	}
	upload, p := s.compareCallback(form, t)
	if p != nil {
		return nil, nil, "mismatch", p
	}
	if reason, err := s.confirmCallback(ctx, c, t, upload); err != nil {
		return nil, nil, reason, err
	}
	return upload, t, "", nil
}

// confirmCallback looks at the object, because the signature does not prove that there is one: OSS signs, with
// one key for all, whatever callback any customer asks for with an upload to a bucket of his own, and that key
// has 512 bits, which anybody can factor. The ticket proves what was granted; its owner could still claim an
// upload that never happened, or another content.
func (s *Server) confirmCallback(ctx context.Context, c *call, t *ticket.Ticket, upload *index.Upload) (reason string, err error) {
	o, err := s.bucket.Head(ctx, t.Key)
	switch {
	case oss.Denied(err):
		// The tenant does not let its signer read (access.allowRead: false); signature and ticket must do.
		return "", nil
	case oss.NotFound(err):
		if known, err := s.store.Lookup(ctx, t.ID); err == nil && known.ETag == upload.ETag {
			return "", nil // a duplicate; the object was there the first time, and moved or went since
		}
		return "no_object", problem.New(http.StatusForbidden, "callback_mismatch", "there is no such object")
	case err != nil:
		return "object_unavailable", s.ossProblem(c, err)
	case !s.sameTicket(o.Meta["ticket"], t), upload.ETag != "" && !strings.EqualFold(o.ETag, upload.ETag):
		return "mismatch", problem.New(http.StatusForbidden, "callback_mismatch", "the stored object is another one")
	}
	if p := mismatch(t, o.Size, o.ContentType); p != nil {
		return "mismatch", p
	}
	upload.MD5, upload.CRC64, upload.ETag = o.HashOf(t.MD5, upload.MD5), o.CRC64, o.ETag
	return "", nil
}

func (s *Server) sameTicket(text string, t *ticket.Ticket) bool {
	stored, err := s.tickets.Open(text)
	return err == nil && stored.ID == t.ID
}

// compareCallback holds the facts that OSS reports against the ticket.
func (s *Server) compareCallback(form url.Values, t *ticket.Ticket) (*index.Upload, *problem.Problem) {
	size, err := strconv.ParseInt(form.Get("size"), 10, 64)
	if err != nil || form.Get("bucket") != s.cfg.Bucket.Name || form.Get("object") != t.Key {
		return nil, problem.New(http.StatusForbidden, "callback_mismatch", "the object is not the one of the ticket")
	}
	upload := uploadOf(t)
	upload.ETag, upload.CRC64 = clip(form.Get("etag")), clip(form.Get("crc64"))
	upload.MD5 = oss.MD5Hex(form.Get("contentMd5"))
	if p := mismatch(t, size, form.Get("mimeType")); p != nil {
		return nil, p
	}
	// Image facts are empty for other objects, and no reason to refuse one.
	upload.ImageWidth, upload.ImageHeight = pixels(form.Get("width")), pixels(form.Get("height"))
	upload.ImageFormat = clip(form.Get("format"))
	return upload, nil
}

// pixels of an image; what is no such number is unknown. No object proves them, so nothing rests on them.
func pixels(text string) int {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}
