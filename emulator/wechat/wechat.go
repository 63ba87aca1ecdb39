// Package wechat emulates what a mini-program's server needs of WeChat: login (code2Session), access tokens and the
// asynchronous check of media, with the push message that brings its result.
//
// The error codes are those of the "code2Session", "getAccessToken", "getStableAccessToken" and "mediaCheckAsync"
// pages of developers.weixin.qq.com. As there, the HTTP status is 200 even when errcode is not 0.
package wechat

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits of the real service.
const (
	codeLife       = 5 * time.Minute
	tokenLife      = 2 * time.Hour
	tokenOverlap   = 5 * time.Minute // a replaced token keeps working this long
	loginsPerUser  = 100             // per minute
	maxRequestBody = 1 << 20
)

// Error codes.
const (
	codeBusy             = -1
	codeInvalidToken     = 40001
	codeInvalidGrant     = 40002
	codeInvalidAppID     = 40013
	codeInvalidCode      = 40029
	codeInvalidSecret    = 40125
	codeUsed             = 40163
	codeMissingToken     = 41001
	codeMissingAppID     = 41002
	codeMissingSecret    = 41004
	codeMissingCode      = 41008
	codeExpiredToken     = 42001
	codeRequiresPOST     = 43002
	codeTooOften         = 45011
	codeInvalidParameter = 47001
	codeInvalidMedia     = 40004
	codeInvalidOpenID    = 40003
	codeUserGone         = 61010
)

// Options configure a Service. Every field has a default.
type Options struct {
	// Apps maps an appid to its secret. Empty accepts every appid with every secret.
	Apps map[string]string
	// Push is where results of media checks are sent. Without a URL they are only kept.
	Push Push
	// Clock tells the time. Default time.Now.
	Clock func() time.Time
	// Random is the source of codes and tokens. Default crypto/rand.
	Random io.Reader
	// HTTPClient reads the media to check and delivers pushes. Default has a 10 s timeout.
	HTTPClient *http.Client
	// Logger receives one line per call. Default discards.
	Logger *slog.Logger
	// Disturb, when set, runs before every call of an operation, which is code2Session, getAccessToken,
	// getStableAccessToken or mediaCheckAsync. When it returns true the call is answered with "system busy" (-1).
	Disturb func(r *http.Request, operation string) bool
	// Done, when set, runs after every call.
	Done func(r *http.Request, operation string, errcode int, start time.Time)
}

// Service is an emulated WeChat. It is safe for concurrent use.
type Service struct {
	opts     Options
	randomMu sync.Mutex
	work     sync.WaitGroup

	mu     sync.Mutex
	codes  map[string]*loginCode
	spent  map[string]time.Time
	logins map[string][]time.Time
	tokens map[string]*accessToken // by token
	stable map[string]string       // appid -> token
	latest map[string]string       // appid -> token
	push   Push
	checks []Check
}

type loginCode struct {
	appID, openID, unionID string
	expires                time.Time
}

type accessToken struct {
	appID   string
	expires time.Time
}

// New returns a Service.
func New(opts Options) *Service {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Random == nil {
		opts.Random = rand.Reader
	}
	if opts.HTTPClient == nil {
		opts.HTTPClient = &http.Client{Timeout: 10 * time.Second}
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{opts: opts, push: opts.Push, codes: map[string]*loginCode{}, spent: map[string]time.Time{},
		logins: map[string][]time.Time{}, tokens: map[string]*accessToken{}, stable: map[string]string{}, latest: map[string]string{}}
}

// Close waits for the media checks that are under way.
func (s *Service) Close() { s.work.Wait() }

// Paths are the paths below which Handler has something to serve.
func Paths() []string { return []string{"/sns/", "/cgi-bin/", "/wxa/", "/_emulator/wechat/"} }

// Handler serves the API and, below /_emulator/wechat/, what stands in for the phone: issuing login codes.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/sns/jscode2session", s.operation("code2Session", s.code2Session))
	mux.HandleFunc("/cgi-bin/token", s.operation("getAccessToken", s.token))
	mux.HandleFunc("/cgi-bin/stable_token", s.operation("getStableAccessToken", s.stableToken))
	mux.HandleFunc("/wxa/media_check_async", s.operation("mediaCheckAsync", s.mediaCheck))
	mux.HandleFunc("POST /_emulator/wechat/codes", s.issueCode)
	mux.HandleFunc("PUT /_emulator/wechat/push", s.setPush)
	mux.HandleFunc("GET /_emulator/wechat/checks", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"items": s.Checks()})
	})
	return mux
}

// operation lets faults have their way with a call and reports how it ended.
func (s *Service) operation(name string, run http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := s.opts.Clock()
		noted := &noter{ResponseWriter: w}
		if s.opts.Disturb != nil && s.opts.Disturb(r, name) {
			s.fail(noted, codeBusy, "system error")
		} else {
			run(noted, r)
		}
		s.opts.Logger.Info("wechat", "operation", name, "errcode", noted.errcode)
		if s.opts.Done != nil {
			s.opts.Done(r, name, noted.errcode, start)
		}
	}
}

// noter remembers the errcode of an answer.
type noter struct {
	http.ResponseWriter
	errcode int
}

// IssueCode is wx.login: it returns a code that code2Session accepts once within five minutes. An empty appID stands
// for any app.
func (s *Service) IssueCode(appID, openID, unionID string) string {
	code := "0" + s.randomText(31)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code] = &loginCode{appID: appID, openID: openID, unionID: unionID, expires: s.opts.Clock().Add(codeLife)}
	return code
}

func (s *Service) issueCode(w http.ResponseWriter, r *http.Request) {
	var in struct {
		AppID   string `json:"appid"`
		OpenID  string `json:"openid"`
		UnionID string `json:"unionid"`
	}
	if err := strict(r.Body, &in); err != nil || in.OpenID == "" {
		w.WriteHeader(http.StatusBadRequest)
		answer(w, map[string]string{"message": "Send {\"openid\":\"…\"} and, if wanted, appid and unionid."})
		return
	}
	answer(w, map[string]string{"code": s.IssueCode(in.AppID, in.OpenID, in.UnionID)})
}

func (s *Service) setPush(w http.ResponseWriter, r *http.Request) {
	var in Push
	if err := strict(r.Body, &in); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		answer(w, map[string]string{"message": "Send {\"url\":\"…\",\"token\":\"…\"}."})
		return
	}
	s.mu.Lock()
	s.push = in
	s.mu.Unlock()
	answer(w, in)
}

// failure is an answer with an errcode.
type failure struct {
	Code    int    `json:"errcode"`
	Message string `json:"errmsg"`
}

func (s *Service) fail(w http.ResponseWriter, code int, message string) {
	if n, ok := w.(*noter); ok {
		n.errcode = code
	}
	answer(w, failure{code, message + ", rid: " + strings.ToLower(s.randomText(8)) + "-emulator"})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; encoding=utf-8")
	_ = json.NewEncoder(w).Encode(v)
}

func strict(r io.Reader, into any) error {
	dec := json.NewDecoder(io.LimitReader(r, maxRequestBody))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

// checkApp returns the errcode for an appid and secret, 0 when they belong together.
func (s *Service) checkApp(appID, secret string) (int, string) {
	want, known := s.opts.Apps[appID]
	switch {
	case appID == "":
		return codeMissingAppID, "appid missing"
	case secret == "":
		return codeMissingSecret, "appsecret missing"
	case len(s.opts.Apps) > 0 && !known:
		return codeInvalidAppID, "invalid appid"
	case known && want != secret:
		return codeInvalidSecret, "invalid appsecret"
	}
	return 0, ""
}

func (s *Service) code2Session(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if code, message := s.checkApp(q.Get("appid"), q.Get("secret")); code != 0 {
		s.fail(w, code, message)
		return
	}
	if q.Get("grant_type") != "authorization_code" {
		s.fail(w, codeInvalidGrant, "invalid grant_type")
		return
	}
	if q.Get("js_code") == "" {
		s.fail(w, codeMissingCode, "missing code")
		return
	}
	if code, ok := strings.CutPrefix(q.Get("js_code"), "emu-error:"); ok {
		if errcode, err := strconv.Atoi(code); err == nil && errcode != 0 {
			s.fail(w, errcode, "asked for by the code")
			return
		}
	}
	login, code, message := s.redeem(q.Get("appid"), q.Get("js_code"))
	if code != 0 {
		s.fail(w, code, message)
		return
	}
	out := struct {
		SessionKey string `json:"session_key"`
		OpenID     string `json:"openid"`
		UnionID    string `json:"unionid,omitempty"`
	}{base64.StdEncoding.EncodeToString(s.randomBytes(16)), login.openID, login.unionID}
	answer(w, out)
}

// redeem spends a code. A code that the emulator did not issue is taken when it reads emu:<openid>:<anything>, so
// that a test can log in without asking for a code first; it works once like any other.
func (s *Service) redeem(appID, text string) (*loginCode, int, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Clock()
	for code, at := range s.spent {
		if now.Sub(at) > codeLife {
			delete(s.spent, code)
			delete(s.codes, code)
		}
	}
	if _, used := s.spent[text]; used {
		return nil, codeUsed, "code been used"
	}
	login := s.codes[text]
	if login == nil {
		if parts := strings.SplitN(text, ":", 3); len(parts) == 3 && parts[0] == "emu" && parts[1] != "" {
			login = &loginCode{openID: parts[1], expires: now.Add(codeLife)}
		}
	}
	if login == nil || !now.Before(login.expires) || login.appID != "" && login.appID != appID {
		return nil, codeInvalidCode, "invalid code"
	}
	recent := s.logins[login.openID][:0]
	for _, at := range s.logins[login.openID] {
		if now.Sub(at) < time.Minute {
			recent = append(recent, at)
		}
	}
	if len(recent) >= loginsPerUser {
		s.logins[login.openID] = recent
		return nil, codeTooOften, "api minute-quota reach limit  mustslower  retry next minute"
	}
	s.logins[login.openID] = append(recent, now)
	s.spent[text] = now
	return login, 0, ""
}

func (s *Service) randomBytes(n int) []byte {
	s.randomMu.Lock()
	defer s.randomMu.Unlock()
	b := make([]byte, n)
	if _, err := io.ReadFull(s.opts.Random, b); err != nil {
		panic("wechat: the source of randomness failed: " + err.Error())
	}
	return b
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func (s *Service) randomText(n int) string {
	b := s.randomBytes(n)
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b)
}
