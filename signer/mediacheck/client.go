// Package mediacheck asks WeChat whether images and sounds may be shown (mediaCheckAsync), and reads the push
// messages that bring the verdicts.
//
// Sources: https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/sec-center/sec-check/mediaCheckAsync.html,
// https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-access-token/getStableAccessToken.html and
// https://developers.weixin.qq.com/miniprogram/dev/framework/server-ability/message-push.html
package mediacheck

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Endpoint is the real service.
const Endpoint = "https://api.weixin.qq.com"

// Kinds of media, as mediaCheckAsync numbers them.
const (
	Audio = 1
	Image = 2
)

// MaxBytes is the largest file that WeChat looks at.
const MaxBytes = 10 << 20

// Error codes that matter here.
const (
	codeInvalidToken   = 40001
	codeInvalidOpenID  = 40003
	codeIllegalToken   = 40014
	codeExpiredToken   = 42001
	codeUserNotVisited = 61010 // the user has not used the mini-program for two hours
)

// Error is an errcode of WeChat. It holds neither token nor user.
type Error struct{ Code int }

// Error names the errcode, which WeChat's documentation explains.
func (e *Error) Error() string { return fmt.Sprintf("WeChat answered with errcode %d", e.Code) }

// Hopeless tells whether asking again about the same user cannot help.
func (e *Error) Hopeless() bool {
	return e.Code == codeInvalidOpenID || e.Code == codeUserNotVisited
}

const (
	// askTime bounds one request.
	askTime = 10 * time.Second
	// maxAnswer is far above what the two calls answer.
	maxAnswer = 64 << 10
	// tokenMargin is how long before its end a token is replaced. WeChat hands out the next one five minutes
	// before, and both work until then.
	tokenMargin = 4 * time.Minute
)

// Config names a mini-program.
type Config struct {
	// Endpoint is a base URL; empty is Endpoint.
	Endpoint string
	AppID    string
	// Secret returns the AppSecret; it is asked for every token, so that a changed one takes effect.
	Secret func() (string, error)
	// Scene in which the media will be seen, 1 to 4.
	Scene int
	// Client must not follow redirects: the query holds the access token.
	Client *http.Client
	Clock  func() time.Time
}

// Client asks for checks. It is safe for concurrent use.
type Client struct {
	cfg Config

	mu      sync.Mutex
	token   string
	expires time.Time
}

// New returns a client; it makes no call.
func New(cfg Config) *Client {
	if cfg.Endpoint == "" {
		cfg.Endpoint = Endpoint
	}
	cfg.Endpoint = strings.TrimRight(cfg.Endpoint, "/")
	return &Client{cfg: cfg}
}

// Check asks WeChat to look at media, which it fetches from address, of the user with openID. It returns the
// trace id that the verdict will carry. An error that wraps *Error came from WeChat. No error holds the
// address or a secret.
func (c *Client) Check(ctx context.Context, address string, kind int, openID string) (traceID string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	body, err := json.Marshal(map[string]any{"media_url": address, "media_type": kind, "version": 2, "scene": c.cfg.Scene, "openid": openID})
	if err != nil {
		return "", fmt.Errorf("encode a media check: %w", err)
	}
	for attempt := 0; ; attempt++ {
		token, err := c.accessToken(ctx)
		if err != nil {
			return "", err
		}
		var answer struct {
			TraceID string `json:"trace_id"`
		}
		err = c.post(ctx, "/wxa/media_check_async?access_token="+url.QueryEscape(token), body, &answer)
		var refusal *Error
		switch {
		case errors.As(err, &refusal) && attempt == 0 && (refusal.Code == codeInvalidToken || refusal.Code == codeIllegalToken || refusal.Code == codeExpiredToken):
			c.forget(token) // somebody replaced it; one more attempt with the new one
			continue
		case err != nil:
			return "", fmt.Errorf("ask for a media check: %w", err)
		case !validTrace(answer.TraceID):
			return "", errors.New("ask for a media check: WeChat's answer names no trace id")
		}
		return answer.TraceID, nil
	}
}

// accessToken returns a token that lasts a while. Tokens of getStableAccessToken are the same for all who
// ask, replicas and the application included, and leave tokens of getAccessToken alone.
func (c *Client) accessToken(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.cfg.Clock()
	if c.token != "" && now.Before(c.expires) {
		return c.token, nil
	}
	secret, err := c.cfg.Secret()
	if err != nil {
		return "", fmt.Errorf("read the AppSecret: %w", err)
	}
	body, err := json.Marshal(map[string]any{"grant_type": "client_credential", "appid": c.cfg.AppID, "secret": secret, "force_refresh": false})
	if err != nil {
		return "", fmt.Errorf("encode a token request: %w", err)
	}
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if err := c.post(ctx, "/cgi-bin/stable_token", body, &answer); err != nil {
		return "", fmt.Errorf("get an access token: %w", err)
	}
	if answer.AccessToken == "" || answer.ExpiresIn <= 0 || answer.ExpiresIn > 24*3600 {
		return "", errors.New("get an access token: WeChat's answer names none")
	}
	life := time.Duration(answer.ExpiresIn) * time.Second
	c.token, c.expires = answer.AccessToken, now.Add(max(life-tokenMargin, life/2))
	return c.token, nil
}

// forget drops token unless another caller has replaced it already.
func (c *Client) forget(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token == token {
		c.token = ""
	}
}

// post sends JSON and reads JSON. The query of path is secret.
func (c *Client) post(ctx context.Context, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.Endpoint+path, bytes.NewReader(body))
	if err != nil { // its text would quote the URL
		return errors.New("the endpoint of WeChat is no URL")
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.cfg.Client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return fmt.Errorf("reach WeChat: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK { // errors of WeChat itself come with 200
		return fmt.Errorf("WeChat answered with status %d", resp.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of WeChat: %w", err)
	}
	var refusal struct {
		ErrCode int `json:"errcode"`
	}
	if json.Unmarshal(raw, &refusal) != nil || json.Unmarshal(raw, into) != nil { // their texts could quote the token
		return errors.New("WeChat's answer is not readable")
	}
	if refusal.ErrCode != 0 {
		return &Error{refusal.ErrCode}
	}
	return nil
}

// validTrace tells whether s could be a trace id.
func validTrace(s string) bool {
	return s != "" && len(s) <= 128 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
