package signer

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/auth"
	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/problem"
)

const (
	testAppSecret  = "app-secret-of-the-mini-program"
	testSessionKey = "HyVFkGl5F5OQWJZZaNzBBg=="
)

// weChatStandIn answers every login with the same text.
type weChatStandIn struct {
	*httptest.Server
	mu      sync.Mutex
	status  int
	answer  string
	secrets []string
}

func newWeChatStandIn(t *testing.T) *weChatStandIn {
	s := &weChatStandIn{status: http.StatusOK, answer: `{"openid":"oAlice","session_key":"` + testSessionKey + `"}`}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.secrets = append(s.secrets, r.URL.Query().Get("secret"))
		w.WriteHeader(s.status)
		fmt.Fprint(w, s.answer)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *weChatStandIn) says(status int, answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.answer = status, answer
}

// weChatFixture is a signer with WeChat login beside JWT.
func weChatFixture(t *testing.T, change ...func(*config.WeChat)) (*fixture, *weChatStandIn) {
	t.Helper()
	stand := newWeChatStandIn(t)
	file := filepath.Join(t.TempDir(), "appsecret")
	if err := os.WriteFile(file, []byte(testAppSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return newFixture(t, func(c *config.Config) {
		c.Auth.WeChat = &config.WeChat{AppID: "wx1", SecretFile: file, BaseURL: stand.URL}
		for _, change := range change {
			change(c.Auth.WeChat)
		}
	}), stand
}

// as sends a request with a token as it is.
func (f *fixture) as(token, method, path, body string) (int, http.Header, []byte) {
	f.t.Helper()
	req, err := http.NewRequest(method, f.api.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := send(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(resp.Body); err != nil {
		f.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, answer.Bytes()
}

func (f *fixture) logIn(code string) SessionResponse {
	f.t.Helper()
	status, header, body := f.as("", http.MethodPost, "/v1/sessions/wechat", `{"code":"`+code+`"}`)
	if status != http.StatusOK || header.Get("Cache-Control") != "no-store" {
		f.t.Fatalf("status %d, %v: %s", status, header, body)
	}
	return decode[SessionResponse](f.t, body)
}

func TestAWeChatUserUploadsAndSeesOnlyWhatIsTheirs(t *testing.T) {
	f, stand := weChatFixture(t)
	session := f.logIn("code-1")
	if session.ExpiresIn != 7200 || !strings.HasPrefix(session.Token, "uts_") || stand.secrets[0] != testAppSecret {
		t.Fatalf("session %+v, AppSecret %q", session, stand.secrets)
	}
	status, _, body := f.as(session.Token, http.MethodPost, "/v1/uploads", `{"files":[`+onePhoto+`]}`)
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	v := decode[UploadsResponse](t, body).Uploads[0]
	if !strings.HasPrefix(v.Key, "album/oAlice/") {
		t.Errorf("key %s", v.Key)
	}
	if status, answer := f.callback(callbackRequest{body: callbackForm(v).Encode()}); status != http.StatusOK {
		t.Fatalf("status %d: %s", status, answer)
	}
	_, _, body = f.as(session.Token, http.MethodGet, "/v1/uploads", "")
	if items := decode[UploadList](t, body).Items; len(items) != 1 || items[0].ID != v.ID {
		t.Errorf("records of the session %s", body)
	}
	if got := f.records("alice"); len(got) != 0 {
		t.Errorf("the holder of a JWT sees %+v", got)
	}
	for sample, want := range map[string]string{
		`uploadtenant_signer_wechat_logins_total{outcome="accepted"}`:               "1",
		`uploadtenant_signer_auth_total{method="session",outcome="accepted"}`:       "2",
		`uploadtenant_signer_auth_total{method="jwt",outcome="accepted"}`:           "1",
		`uploadtenant_signer_auth_upstream_duration_seconds_count{method="wechat"}`: "1",
	} {
		if got := f.metric(sample); got != want {
			t.Errorf("%s is %q, want %s", sample, got, want)
		}
	}
}

func TestEveryWeChatErrorIsAProblemDocument(t *testing.T) {
	f, stand := weChatFixture(t)
	tests := map[string]struct {
		status     int
		answer     string
		wantStatus int
		wantCode   string
		wantRetry  string
	}{
		"busy":              {200, `{"errcode":-1}`, 503, "wechat_busy", "2"},
		"invalid code":      {200, `{"errcode":40029}`, 401, "wechat_code_invalid", ""},
		"used code":         {200, `{"errcode":40163}`, 401, "wechat_code_used", ""},
		"missing code":      {200, `{"errcode":41008}`, 401, "wechat_code_invalid", ""},
		"risky user":        {200, `{"errcode":40226}`, 403, "wechat_user_blocked", ""},
		"too often":         {200, `{"errcode":45011}`, 429, "wechat_rate_limited", "60"},
		"daily quota":       {200, `{"errcode":45009}`, 503, "wechat_quota_exceeded", "3600"},
		"wrong appID":       {200, `{"errcode":40013}`, 503, "wechat_misconfigured", "60"},
		"wrong AppSecret":   {200, `{"errcode":40125}`, 503, "wechat_misconfigured", "60"},
		"address not known": {200, `{"errcode":40164}`, 503, "wechat_misconfigured", "60"},
		"another errcode":   {200, `{"errcode":50002}`, 503, "wechat_failed", "10"},
		"nobody":            {200, `{}`, 503, "auth_unavailable", "2"},
		"garbage":           {200, `<html>`, 503, "auth_unavailable", "2"},
		"outage":            {502, ``, 503, "auth_unavailable", "2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			stand.says(test.status, test.answer)
			status, header, body := f.as("", http.MethodPost, "/v1/sessions/wechat", `{"code":"c"}`)
			p := decode[problem.Problem](t, body)
			if status != test.wantStatus || p.Code != test.wantCode || p.Status != status || p.Detail == "" || p.RequestID == "" || header.Get("Retry-After") != test.wantRetry {
				t.Errorf("status %d, Retry-After %q: %s", status, header.Get("Retry-After"), body)
			}
			if f.metric(`uploadtenant_signer_wechat_logins_total{outcome="`+test.wantCode+`"}`) == "" {
				t.Error("not counted")
			}
		})
	}
}

func TestBadLoginsAreProblemDocuments(t *testing.T) {
	f, _ := weChatFixture(t)
	tests := map[string]struct {
		method, body string
		wantStatus   int
		wantCode     string
	}{
		"no code":       {"POST", `{}`, 400, "wechat_code_missing"},
		"empty code":    {"POST", `{"code":""}`, 400, "wechat_code_missing"},
		"number":        {"POST", `{"code":1}`, 400, "invalid_field"},
		"unknown field": {"POST", `{"code":"c","openid":"oAlice"}`, 400, "unknown_field"},
		"not JSON":      {"POST", `code=c`, 400, "invalid_json"},
		"endless code":  {"POST", `{"code":"` + strings.Repeat("c", 600) + `"}`, 401, "wechat_code_invalid"},
		"endless body":  {"POST", `{"code":"` + strings.Repeat("c", 1<<20) + `"}`, 413, "body_too_large"},
		"by GET":        {"GET", ``, 405, "method_not_allowed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			status, _, body := f.as("", test.method, "/v1/sessions/wechat", test.body)
			if p := decode[problem.Problem](t, body); status != test.wantStatus || p.Code != test.wantCode || p.RequestID == "" {
				t.Errorf("status %d: %s", status, body)
			}
		})
	}
	plain := newFixture(t)
	status, _, body := plain.as("", http.MethodPost, "/v1/sessions/wechat", `{"code":"c"}`)
	if p := decode[problem.Problem](t, body); status != http.StatusNotFound || p.Code != "wechat_not_configured" {
		t.Errorf("a tenant without WeChat: status %d: %s", status, body)
	}
}

func TestFailedLoginsOfOneAddressEnd(t *testing.T) {
	f, stand := weChatFixture(t, func(c *config.WeChat) { c.FailedLoginsPerMinute = 3 })
	f.stopClock() // each third of a minute allows one more
	from := func(address, code string) (int, string) {
		req, err := http.NewRequest(http.MethodPost, f.api.URL+"/v1/sessions/wechat", strings.NewReader(`{"code":"`+code+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", address)
		resp, err := send(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("Retry-After")
	}
	for range 10 {
		if status, _ := from("203.0.113.7", "good"); status != http.StatusOK {
			t.Fatalf("a good login: %d", status)
		}
	}
	stand.says(http.StatusOK, `{"errcode":-1}`)
	for range 10 { // not the caller's fault
		if status, _ := from("203.0.113.7", "good"); status != http.StatusServiceUnavailable {
			t.Fatalf("while WeChat is busy: %d", status)
		}
	}
	stand.says(http.StatusOK, `{"errcode":40029}`)
	for range 3 {
		if status, _ := from("203.0.113.7", "guess"); status != http.StatusUnauthorized {
			t.Fatalf("a guess: %d", status)
		}
	}
	asked := len(stand.secrets)
	if status, retry := from("203.0.113.7", "guess"); status != http.StatusTooManyRequests || retry == "" || len(stand.secrets) != asked {
		t.Errorf("the fourth guess: status %d, Retry-After %q, WeChat asked %d times more", status, retry, len(stand.secrets)-asked)
	}
	if status, _ := from("198.51.100.1, 203.0.113.7", "guess"); status != http.StatusTooManyRequests {
		t.Errorf("with an address made up before it: %d", status)
	}
	if status, _ := from("203.0.113.8", "guess"); status != http.StatusUnauthorized {
		t.Errorf("another address: %d", status)
	}
}

// A session is good for one tenant, and neither a ticket nor a token of another kind is a session.
func TestSessionsOfOtherTenantsAreRefused(t *testing.T) {
	f, _ := weChatFixture(t)
	other, _ := weChatFixture(t)
	other.stop()
	other.cfg.Tenant = "family/other" // with the same ticket keys
	other.start()
	changed, _ := weChatFixture(t)
	changed.stop()
	changed.cfg.Auth.WeChat.AppID = "wx2"
	changed.start()
	plain := newFixture(t) // WeChat login was taken away
	session := f.logIn("code-1").Token
	ticket := f.grant("alice", onePhoto).Ticket
	for name, test := range map[string]struct {
		f     *fixture
		token string
	}{
		"other tenant": {other, session}, "other mini-program": {changed, session}, "no login any more": {plain, session},
		"a ticket": {f, ticket}, "a ticket in the clothes of a session": {f, "uts_" + ticket}, "dev user": {f, "dev:alice"},
	} {
		status, header, body := test.f.as(test.token, http.MethodGet, "/v1/uploads", "")
		if p := decode[problem.Problem](t, body); status != http.StatusUnauthorized || p.Code != "unauthorized" || header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: status %d: %s", name, status, body)
		}
	}
	if status, _, body := f.as(session, http.MethodPost, "/v1/uploads/complete", `{"ticket":"`+strings.TrimPrefix(session, "uts_")+`"}`); status != http.StatusBadRequest {
		t.Errorf("a session as a ticket: status %d: %s", status, body)
	}
	f.stop()
	f.start() // another replica, or a restart
	if status, _, body := f.as(session, http.MethodGet, "/v1/uploads", ""); status != http.StatusOK {
		t.Errorf("another replica: status %d: %s", status, body)
	}
}

func TestAChangedAppSecretIsUsedAtOnce(t *testing.T) {
	f, stand := weChatFixture(t)
	f.logIn("code-1")
	if err := os.WriteFile(f.cfg.Auth.WeChat.SecretFile, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.logIn("code-2")
	if got := strings.Join(stand.secrets, " "); got != testAppSecret+" new" {
		t.Errorf("AppSecrets %q", got)
	}
}

func TestWeChatLoginsLeaveNoSecretInTheLog(t *testing.T) {
	var log bytes.Buffer
	f, stand := weChatFixture(t)
	f.logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.stop()
	f.start()
	session := f.logIn("secretcode-0")
	for i, answer := range []string{`{"errcode":40029,"errmsg":"invalid code: secretcode"}`, `{"errcode":40125}`, `<` + testSessionKey, `{"openid":"a\nb","session_key":"` + testSessionKey + `"}`} {
		stand.says(http.StatusOK, answer)
		f.as("", http.MethodPost, "/v1/sessions/wechat", fmt.Sprintf(`{"code":"secretcode-%d"}`, i))
	}
	stand.CloseClientConnections()
	stand.Close()
	_, _, answer := f.as("", http.MethodPost, "/v1/sessions/wechat", `{"code":"secretcode-9"}`)
	f.as(session.Token+"x", http.MethodGet, "/v1/uploads", "")
	f.stop()
	for _, secret := range []string{testAppSecret, testSessionKey, "secretcode", "jscode2session", session.Token[:30]} {
		if strings.Contains(log.String(), secret) || bytes.Contains(answer, []byte(secret)) {
			t.Errorf("the log or the answer shows %q:\n%s\n%s", secret, log.String(), answer)
		}
	}
	if !strings.Contains(log.String(), "wechat_misconfigured") || !strings.Contains(log.String(), "reach WeChat") {
		t.Errorf("the log does not tell what is wrong:\n%s", log.String())
	}
}

func TestForwardAuthentication(t *testing.T) {
	var log bytes.Buffer
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") {
		case "Bearer alice-token":
			w.Header().Set("X-User-Id", "alice")
		case "Bearer banned-token":
			w.WriteHeader(http.StatusForbidden)
		case "Bearer broken-token":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer application.Close()
	f := newFixture(t, func(c *config.Config) {
		c.Auth = config.Auth{Forward: &config.Forward{URL: application.URL + "/whoami?key=secretquery"}}
	})
	f.logger = slog.New(slog.NewJSONHandler(&log, nil))
	f.stopClock() // users are remembered for a while
	tests := []struct {
		token      string
		wantStatus int
		wantCode   string
		outcome    string
	}{
		{"alice-token", 200, "", "accepted"},
		{"guest-token", 401, "unauthorized", "invalid"},
		{"banned-token", 403, "forbidden", "forbidden"},
		{"broken-token", 503, "auth_unavailable", "unavailable"},
		{makeJWT("alice", f.server.clock().Add(time.Hour)), 401, "unauthorized", "invalid"},
	}
	for _, test := range tests {
		status, header, body := f.as(test.token, http.MethodGet, "/v1/uploads", "")
		p := decode[problem.Problem](t, body)
		if status != test.wantStatus || p.Code != test.wantCode || (status == 503) != (header.Get("Retry-After") != "") || (status == 401) != (header.Get("WWW-Authenticate") != "") {
			t.Errorf("%.12s: status %d, %v: %s", test.token, status, header, body)
		}
		if f.metric(`uploadtenant_signer_auth_total{method="forward",outcome="`+test.outcome+`"}`) == "0" {
			t.Errorf("%.12s was not counted as %s", test.token, test.outcome)
		}
	}
	application.Close()
	if status, _, _ := f.as("alice-token", http.MethodGet, "/v1/uploads", ""); status != http.StatusOK {
		t.Errorf("a remembered user while the application is away: %d", status)
	}
	if status, _, _ := f.as("bob-token", http.MethodGet, "/v1/uploads", ""); status != http.StatusServiceUnavailable {
		t.Errorf("an unknown user while the application is away: %d", status)
	}
	f.stop()
	for _, secret := range []string{"secretquery", "alice-token", "broken-token", "bob-token"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log shows %q:\n%s", secret, log.String())
		}
	}
	if !strings.Contains(log.String(), "status 500") {
		t.Errorf("the log does not tell what the application answered:\n%s", log.String())
	}
}

// What is remembered of a token ends with the token.
func TestNoTokenOutlivesItsExpiry(t *testing.T) {
	f := newFixture(t)
	f.stop()
	var ahead atomic.Int64
	cfg := *f.cfg
	cfg.Index.SQLitePath = ":memory:"
	begin := time.Now()
	s, err := New(t.Context(), Options{Config: &cfg, Credentials: f.credentials, Clock: func() time.Time { return begin.Add(time.Duration(ahead.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	token := makeJWT("alice", begin.Add(10*time.Minute))
	for after, want := range []int{http.StatusOK, http.StatusOK, http.StatusUnauthorized} {
		ahead.Store(int64([]time.Duration{0, 10*time.Minute + auth.Skew - 5*time.Second, 10*time.Minute + auth.Skew + 5*time.Second}[after]))
		r := httptest.NewRequest(http.MethodGet, "/v1/uploads", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		s.API().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("at step %d: status %d, want %d: %s", after, w.Code, want, w.Body)
		}
	}
}

func TestWithoutAuthenticationEverybodyIsRefused(t *testing.T) {
	f := newFixture(t, func(c *config.Config) { c.Auth = config.Auth{} })
	for _, token := range []string{"", "x", "dev:alice", makeJWT("alice", f.server.clock().Add(time.Hour))} {
		if status, _, body := f.as(token, http.MethodGet, "/v1/uploads", ""); status != http.StatusUnauthorized {
			t.Errorf("%.10q: status %d: %s", token, status, body)
		}
	}
}
