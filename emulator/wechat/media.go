package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Check is one media check and what became of it.
type Check struct {
	TraceID  string    `json:"traceId"`
	AppID    string    `json:"appid"`
	OpenID   string    `json:"openid"`
	Time     time.Time `json:"time"`
	Suggest  string    `json:"suggest"` // pass, review or risky
	Label    int       `json:"label"`
	ErrCode  int       `json:"errcode"`
	Pushed   bool      `json:"pushed"`
	PushedTo string    `json:"pushedTo,omitempty"` // the answer's status, or why there was none
}

// Labels of verdicts (mediaCheckAsync page).
const (
	labelNormal = 100
	labelPorn   = 20002
)

// codeDownloadFailed is what a result carries when the media could not be read.
const codeDownloadFailed = -1010

// maxMedia is the largest image that WeChat checks.
const maxMedia = 10 << 20

type mediaRequest struct {
	MediaURL  string `json:"media_url"`
	MediaType int    `json:"media_type"` // 1 audio, 2 image
	Version   int    `json:"version"`
	Scene     int    `json:"scene"` // 1 profile, 2 comment, 3 forum, 4 social log
	OpenID    string `json:"openid"`
}

// mediaCheck answers at once and checks afterwards, like the real one.
func (s *Service) mediaCheck(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		s.fail(w, codeRequiresPOST, "require POST method")
		return
	}
	appID, code, message := s.appOf(r.URL.Query().Get("access_token"))
	if code != 0 {
		s.fail(w, code, message)
		return
	}
	var in mediaRequest
	if err := json.NewDecoder(io.LimitReader(r.Body, maxRequestBody)).Decode(&in); err != nil {
		s.fail(w, codeInvalidParameter, "data format error")
		return
	}
	switch u, err := url.Parse(in.MediaURL); {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		s.fail(w, codeInvalidMedia, "invalid media_url")
		return
	case in.MediaType != 1 && in.MediaType != 2:
		s.fail(w, codeInvalidMedia, "invalid media type")
		return
	case in.Version != 2 || in.Scene < 1 || in.Scene > 4:
		s.fail(w, codeInvalidParameter, "data format error: version must be 2 and scene 1 to 4")
		return
	case in.OpenID == "":
		s.fail(w, codeInvalidOpenID, "invalid openid")
		return
	case strings.Contains(in.OpenID, "gone"): // nobody comes and goes here, so the name says who has not been seen lately
		s.fail(w, codeUserGone, "code is expired")
		return
	}
	trace := s.randomText(16)
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		s.judge(context.WithoutCancel(r.Context()), appID, trace, in)
	}()
	answer(w, struct {
		failure
		TraceID string `json:"trace_id"`
	}{failure{0, "ok"}, trace})
}

// judge reads the media and pushes the verdict. Nobody looks at the picture: a path that contains "risky" is risky,
// one that contains "review" is to be reviewed, everything else passes.
func (s *Service) judge(ctx context.Context, appID, trace string, in mediaRequest) {
	c := Check{TraceID: trace, AppID: appID, OpenID: in.OpenID, Time: s.opts.Clock().UTC(), Suggest: "pass", Label: labelNormal}
	if !s.readable(ctx, in.MediaURL) {
		c.ErrCode, c.Suggest, c.Label = codeDownloadFailed, "", 0
	} else if u, err := url.Parse(in.MediaURL); err == nil {
		switch {
		case strings.Contains(u.Path, "risky"):
			c.Suggest, c.Label = "risky", labelPorn
		case strings.Contains(u.Path, "review"):
			c.Suggest, c.Label = "review", labelPorn
		}
	}
	s.mu.Lock()
	push := s.push
	s.mu.Unlock()
	if push.URL != "" {
		c.Pushed, c.PushedTo = s.deliver(ctx, push, c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checks = append(s.checks, c)
	if len(s.checks) > 1000 {
		s.checks = slices.Delete(s.checks, 0, len(s.checks)-1000)
	}
}

func (s *Service) readable(ctx context.Context, media string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, media, nil)
	if err != nil {
		return false
	}
	resp, err := s.opts.HTTPClient.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxMedia+1))
	return err == nil && resp.StatusCode == http.StatusOK && n > 0 && n <= maxMedia
}

// deliver sends the wxa_media_check event. A receiver that does not answer 200 is asked three times in all.
func (s *Service) deliver(ctx context.Context, push Push, c Check) (ok bool, how string) {
	body, query, err := s.message(push, c)
	if err != nil {
		return false, err.Error()
	}
	target, err := url.Parse(push.URL)
	if err != nil {
		return false, "the push URL is not valid"
	}
	own := target.Query()
	for name, values := range query {
		own[name] = values
	}
	target.RawQuery = own.Encode()
	for range 3 {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
		if err != nil {
			return false, "the push URL is not valid"
		}
		req.Header.Set("Content-Type", map[bool]string{true: "text/xml", false: "application/json"}[push.XML])
		resp, err := s.opts.HTTPClient.Do(req)
		if err != nil {
			how = "the receiver could not be reached"
			continue
		}
		_ = resp.Body.Close()
		if how = resp.Status; resp.StatusCode == http.StatusOK {
			return true, how
		}
	}
	return false, how
}

// Checks returns the newest media checks, oldest first.
func (s *Service) Checks() []Check {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.checks)
}
