package signer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/guard"
	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/signer/mediacheck"
	"github.com/uploadtenant/uploadtenant/signer/oss"
	"github.com/uploadtenant/uploadtenant/signer/problem"
)

// Reasons of uploads that were rejected because of WeChat's media check.
const (
	// reasonRisky is what WeChat calls risky, reasonReview what it wants a person to look at.
	reasonRisky, reasonReview = "content_risky", "content_review"
	// reasonUnanswered is an upload that WeChat did not judge.
	reasonUnanswered = "check_unanswered"
	// reasonBefore is an upload that was rejected before its index was lost.
	reasonBefore = "rejected_before"
)

const (
	// mediaWait is how long a verdict may take: WeChat promises half an hour.
	mediaWait = 35 * time.Minute
	// mediaPause, times the questions so far, follows a check that WeChat could not make.
	mediaPause = 5 * time.Minute
	// mediaGiveUp bounds all questions about one upload: WeChat forgets users who were away for two hours.
	mediaGiveUp = 2 * time.Hour
	// mediaAsks bounds the questions about one upload.
	mediaAsks = 4
	// mediaKeep is how long questions are remembered.
	mediaKeep = 24 * time.Hour
	// mediaAddress is how long WeChat may fetch the object.
	mediaAddress = time.Hour
	// maxProcessed is the largest image that OSS makes smaller.
	// Source: https://help.aliyun.com/en/oss/user-guide/overview-17
	maxProcessed = 20 << 20
	// checkedValue of quarantineTag marks an object that WeChat passed, for the day on which the index is lost.
	checkedValue = "checked"
	// maxPush is far above what a push message has.
	maxPush = 64 << 10
)

// mediaChecker is what a tenant with verification.mediaCheck has.
type mediaChecker struct {
	cfg    *config.MediaCheck
	appID  string
	client *mediacheck.Client
}

// mediaChecks prepares the media check when the tenant wants it.
func (s *Server) mediaChecks(opts Options) error {
	m := s.cfg.Verification.MediaCheck
	if m == nil {
		return nil
	}
	wechat := s.cfg.Auth.WeChat
	s.media = &mediaChecker{cfg: m, appID: wechat.AppID, client: mediacheck.New(mediacheck.Config{
		Endpoint: wechat.BaseURL, AppID: wechat.AppID, Scene: m.Scene, Clock: s.clock,
		Secret: func() (string, error) { return readSecret(wechat.SecretFile) },
		Client: s.timed("wechat", guardedClient(opts, guard.Private, authTimeout)),
	})}
	if _, err := s.media.receiver(); err != nil {
		return fmt.Errorf("read the secret of the message push: %w", err)
	}
	return nil
}

// receiver reads the secrets of the message push; a push is rare enough to read them each time.
func (m *mediaChecker) receiver() (*mediacheck.Receiver, error) {
	token, err := readSecret(m.cfg.PushTokenFile)
	if err != nil {
		return nil, err
	}
	r := &mediacheck.Receiver{Token: token, AppID: m.appID}
	if m.cfg.PushAESKeyFile == "" {
		return r, nil
	}
	switch key, err := readSecret(m.cfg.PushAESKeyFile); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if r.AESKey, err = mediacheck.ParseAESKey(key); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// pending is returned for an upload whose verdict is awaited.
type pending struct{ until time.Time }

// Error tells until when; it is never shown.
func (p *pending) Error() string { return "WeChat's verdict is awaited until " + p.until.String() }

// mediaKind tells what WeChat takes the upload for; 0 is nothing that it checks.
func mediaKind(upload *index.Upload) int {
	switch {
	case strings.HasPrefix(upload.ContentType, "image/"):
		return mediacheck.Image
	case strings.HasPrefix(upload.ContentType, "audio/"):
		return mediacheck.Audio
	}
	return 0
}

// checkMedia asks WeChat about the upload, or looks what it said. It returns why the upload is to be
// rejected, or "", or a *pending while the verdict is awaited.
func (v *verifier) checkMedia(ctx context.Context, item *index.Verification) (string, error) {
	upload := &item.Upload
	kind := mediaKind(upload)
	if v.media == nil || kind == 0 {
		return "", nil
	}
	if reason, decided, err := v.decidedBefore(ctx, upload); decided || err != nil {
		return reason, err
	}
	checks, err := v.store.MediaChecks(ctx, upload.ID)
	if err != nil {
		return "", err
	}
	if reason, decided := v.decided(checks); decided {
		return reason, nil
	}
	now := v.clock()
	if until := awaited(checks); now.Before(until) {
		return "", &pending{until}
	}
	tooLarge := upload.Size > maxProcessed || kind == mediacheck.Audio && upload.Size > mediacheck.MaxBytes
	if tooLarge || len(checks) >= mediaAsks || now.Sub(item.Since) >= mediaGiveUp {
		return v.unanswered(upload), nil
	}
	return v.askMedia(ctx, item, kind)
}

// decidedBefore looks at what the sweeper found: perhaps the index was lost, and what was decided then stands
// at the object.
func (v *verifier) decidedBefore(ctx context.Context, upload *index.Upload) (reason string, decided bool, err error) {
	if upload.Source != index.SourceSweep {
		return "", false, nil
	}
	tags, err := v.bucket.Tags(ctx, upload.Key)
	if err != nil && !oss.NotFound(err) && !oss.Denied(err) {
		return "", false, fmt.Errorf("read the tags of the object: %w", err)
	}
	switch tags[quarantineTag] {
	case checkedValue:
		return "", true, nil
	case quarantineValue:
		return reasonBefore, true, nil
	}
	return "", false, nil
}

// decided tells what the verdicts say.
func (v *verifier) decided(checks []index.MediaCheck) (reason string, decided bool) {
	for _, c := range checks {
		switch c.Verdict {
		case mediacheck.Pass:
			return "", true
		case mediacheck.Risky:
			return reasonRisky, true
		case mediacheck.Review:
			if v.media.cfg.AcceptReview {
				return "", true
			}
			return reasonReview, true
		}
	}
	return "", false
}

// awaited tells until when nothing more is asked; checks are the questions so far, newest first.
func awaited(checks []index.MediaCheck) time.Time {
	switch {
	case len(checks) == 0:
		return time.Time{}
	case checks[0].Verdict != "": // WeChat could not make the check
		return checks[0].AskedAt.Add(time.Duration(len(checks)) * mediaPause)
	}
	return checks[0].AskedAt.Add(mediaWait)
}

// unanswered decides about an upload that WeChat does not judge.
func (v *verifier) unanswered(upload *index.Upload) string {
	v.metrics.MediaChecks.WithLabelValues("unanswered").Inc()
	v.log.Warn("WeChat did not judge an upload", "upload", upload.ID, "accepted", v.media.cfg.AcceptUnanswered)
	if v.media.cfg.AcceptUnanswered {
		return ""
	}
	return reasonUnanswered
}

// askMedia puts the question.
func (v *verifier) askMedia(ctx context.Context, item *index.Verification, kind int) (string, error) {
	upload := &item.Upload
	if _, err := v.bucket.Head(ctx, upload.Key); oss.NotFound(err) {
		return reasonMissing, nil
	} else if err != nil {
		return "", fmt.Errorf("look at the object: %w", err)
	}
	query := map[string]string{}
	if kind == mediacheck.Image && (upload.Size > mediacheck.MaxBytes || !weChatReads[upload.ContentType]) {
		query["x-oss-process"] = "image/resize,l_2048/format,jpg" // what WeChat cannot read, OSS converts
	}
	address, _, err := v.bucket.Presign(http.MethodGet, v.cfg.Bucket.UploadURL, upload.Key, query, mediaAddress)
	if err != nil {
		return "", err
	}
	trace, err := v.media.client.Check(ctx, address, kind, upload.User)
	var refusal *mediacheck.Error
	if errors.As(err, &refusal) && refusal.Hopeless() {
		v.log.Warn("WeChat does not check uploads of this user now", "upload", upload.ID, "error", refusal)
		return v.unanswered(upload), nil
	}
	if err != nil {
		return "", err
	}
	if err := v.store.MediaAsked(ctx, trace, upload.ID); err != nil {
		return "", err
	}
	v.metrics.MediaChecks.WithLabelValues("asked").Inc()
	v.log.Info("asked WeChat about an upload", "upload", upload.ID, "weChatTrace", trace)
	// The verdict may have overtaken the question.
	checks, err := v.store.MediaChecks(ctx, upload.ID)
	if err != nil {
		return "", err
	}
	if reason, decided := v.decided(checks); decided {
		return reason, nil
	}
	return "", &pending{awaited(checks)}
}

// weChatReads are the image types that mediaCheckAsync takes as they are.
var weChatReads = map[string]bool{"image/jpeg": true, "image/png": true, "image/bmp": true, "image/gif": true}

// handlePush is /v1/wechat/push: a GET by which WeChat proves the address, and POSTs with messages.
func (s *Server) handlePush(c *call) error {
	if s.media == nil {
		return problem.New(http.StatusNotFound, "media_check_not_configured", "this tenant asks WeChat nothing: set verification.mediaCheck in its UploadTenant")
	}
	receiver, err := s.media.receiver()
	if err != nil {
		return fmt.Errorf("read the secret of the message push: %w", err)
	}
	query, now := c.r.URL.Query(), s.clock()
	if c.r.Method == http.MethodGet {
		text, err := receiver.Greeting(query, now)
		if err != nil {
			return s.pushRefused(err)
		}
		c.text(clip(text))
		return nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxPush))
	if err != nil {
		return problem.New(http.StatusBadRequest, "incomplete_body", "the message is too long or ended early")
	}
	verdict, err := receiver.Open(query, body, now)
	if err != nil {
		return s.pushRefused(err)
	}
	if verdict != nil {
		if err := s.store.MediaAnswered(c.r.Context(), verdict.TraceID, verdict.Outcome); err != nil {
			return err // WeChat sends it again
		}
		s.metrics.MediaChecks.WithLabelValues(verdict.Outcome).Inc()
		s.log.Info("WeChat answered", "weChatTrace", verdict.TraceID, "outcome", verdict.Outcome, "label", verdict.Label, "errcode", verdict.Code)
		s.verifier.nudge()
	}
	c.text("success")
	return nil
}

func (s *Server) pushRefused(err error) error {
	s.metrics.MediaChecks.WithLabelValues("refused").Inc()
	if errors.Is(err, mediacheck.ErrMalformed) {
		return problem.New(http.StatusBadRequest, "push_malformed", "the message cannot be read")
	}
	return problem.New(http.StatusForbidden, "push_refused", "this is no message of WeChat for this mini-program: "+err.Error())
}

// text writes plain text with status 200.
func (c *call) text(text string) {
	h := c.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	c.w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(c.w, text)
}
