package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// WeChatEndpoint is the real service.
const WeChatEndpoint = "https://api.weixin.qq.com"

// Error codes of code2Session. Source: the page "code2Session" and the list of global return codes of
// https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/user-login/code2Session.html
const (
	WeChatBusy        = -1
	WeChatBadAppID    = 40013
	WeChatInvalidCode = 40029
	WeChatBadSecret   = 40125
	WeChatUsedCode    = 40163
	WeChatBadAddress  = 40164
	WeChatRiskyUser   = 40226
	WeChatNoCode      = 41008
	WeChatQuota       = 45009
	WeChatTooOften    = 45011
)

// WeChatError is an errcode. It says nothing about the code or the user.
type WeChatError struct{ Code int }

// Error names the errcode, which WeChat's documentation explains.
func (e *WeChatError) Error() string { return fmt.Sprintf("WeChat answered with errcode %d", e.Code) }

// ErrNoUnionID is a login without a unionid: the mini-program is bound to no WeChat Open Platform account.
var ErrNoUnionID = errors.New("WeChat names no unionid for this mini-program")

const (
	// weChatTimeout of one login; a person waits for it.
	weChatTimeout = 5 * time.Second
	// weChatSlots are the logins in flight; more wait, within their timeout.
	weChatSlots = 64
	// maxWeChatCode is far above the 32 characters that wx.login gives.
	maxWeChatCode = 512
	// maxWeChatAnswer is far above what code2Session answers.
	maxWeChatAnswer = 64 << 10
)

// WeChatConfig names a mini-program.
type WeChatConfig struct {
	// Endpoint is a base URL; empty is WeChatEndpoint.
	Endpoint string
	AppID    string
	// Secret returns the AppSecret; it is asked for every login, so that a changed one takes effect at once.
	Secret func() (string, error)
	// UnionID makes the unionid the user instead of the openid.
	UnionID bool
	// Client must not follow redirects: the query holds the AppSecret.
	Client *http.Client
}

// WeChat trades the code of wx.login for the user it belongs to. It is safe for concurrent use.
type WeChat struct {
	cfg   WeChatConfig
	slots chan struct{}
}

// NewWeChat checks cfg.
func NewWeChat(cfg WeChatConfig) (*WeChat, error) {
	if cfg.AppID == "" || cfg.Secret == nil || cfg.Client == nil {
		return nil, errors.New("WeChat login needs an appid, an AppSecret and a client")
	}
	if cfg.Endpoint == "" {
		cfg.Endpoint = WeChatEndpoint
	}
	cfg.Endpoint = strings.TrimRight(cfg.Endpoint, "/")
	return &WeChat{cfg: cfg, slots: make(chan struct{}, weChatSlots)}, nil
}

// weChatAnswer leaves out session_key on purpose: what is not read cannot leak.
type weChatAnswer struct {
	OpenID  string `json:"openid"`
	UnionID string `json:"unionid"`
	ErrCode int    `json:"errcode"`
}

// Login returns the user of code. Errors are a *WeChatError, ErrNoUnionID, ErrInvalid for a code that cannot
// be one, or wrap ErrUnavailable. None holds the code or the AppSecret.
func (w *WeChat) Login(ctx context.Context, code string) (string, error) {
	if code == "" || len(code) > maxWeChatCode || strings.ContainsFunc(code, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", ErrInvalid
	}
	ctx, cancel := context.WithTimeout(ctx, weChatTimeout)
	defer cancel()
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-ctx.Done():
		return "", fmt.Errorf("%w: too many logins at once", ErrUnavailable)
	}
	raw, err := w.ask(ctx, code)
	if err != nil {
		return "", err
	}
	return w.user(raw)
}

// ask returns the body of code2Session's answer.
func (w *WeChat) ask(ctx context.Context, code string) ([]byte, error) {
	secret, err := w.cfg.Secret()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	query := url.Values{"appid": {w.cfg.AppID}, "secret": {secret}, "js_code": {code}, "grant_type": {"authorization_code"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.cfg.Endpoint+"/sns/jscode2session?"+query.Encode(), nil)
	if err != nil { // its text would quote the URL
		return nil, fmt.Errorf("%w: the endpoint of WeChat is no URL", ErrUnavailable)
	}
	resp, err := w.cfg.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: reach WeChat: %w", ErrUnavailable, withoutURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK { // errors of WeChat itself come with 200
		return nil, fmt.Errorf("%w: WeChat answered with status %d", ErrUnavailable, resp.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxWeChatAnswer))
	if err != nil {
		return nil, fmt.Errorf("%w: read the answer of WeChat: %w", ErrUnavailable, err)
	}
	return raw, nil
}

// user reads an answer.
func (w *WeChat) user(raw []byte) (string, error) {
	var answer weChatAnswer
	if err := json.Unmarshal(raw, &answer); err != nil { // its text could quote the session_key
		return "", fmt.Errorf("%w: WeChat's answer is not readable", ErrUnavailable)
	}
	if answer.ErrCode != 0 {
		return "", &WeChatError{answer.ErrCode}
	}
	user := answer.OpenID
	if w.cfg.UnionID {
		if user = answer.UnionID; user == "" && answer.OpenID != "" {
			return "", ErrNoUnionID
		}
	}
	if CheckUser(user) != nil {
		return "", fmt.Errorf("%w: WeChat's answer names no user", ErrUnavailable)
	}
	return user, nil
}

// withoutURL strips the URL, whose query may be secret, from an error of an HTTP client.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
