package wechat_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/uploadtenant/uploadtenant/emulator/wechat"
)

type fixture struct {
	t       *testing.T
	svc     *wechat.Service
	url     string
	elapsed time.Duration
}

func start(t *testing.T, change ...func(*wechat.Options)) *fixture {
	t.Helper()
	f := &fixture{t: t}
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	opts := wechat.Options{Apps: map[string]string{"wx1": "s1"}, Clock: func() time.Time { return begin.Add(f.elapsed) }}
	for _, c := range change {
		c(&opts)
	}
	f.svc = wechat.New(opts)
	server := httptest.NewServer(f.svc.Handler())
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// call returns the decoded answer, which always comes with status 200.
func (f *fixture) call(method, path, body string) map[string]any {
	f.t.Helper()
	req, err := http.NewRequest(method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil || resp.StatusCode != http.StatusOK {
		f.t.Fatalf("%s %s: %s %s", method, path, resp.Status, raw)
	}
	return out
}

func errcode(answer map[string]any) int {
	n, _ := answer["errcode"].(float64)
	return int(n)
}

func session(appID, secret, code, grant string) string {
	return "/sns/jscode2session?" + url.Values{"appid": {appID}, "secret": {secret}, "js_code": {code}, "grant_type": {grant}}.Encode()
}

func TestCode2Session(t *testing.T) {
	const grant = "authorization_code"
	tests := map[string]struct {
		path func(f *fixture) string
		want int
	}{
		"granted":             {func(f *fixture) string { return session("wx1", "s1", f.svc.IssueCode("wx1", "oAlice", "u1"), grant) }, 0},
		"self-made code":      {func(*fixture) string { return session("wx1", "s1", "emu:oAlice:1", grant) }, 0},
		"unknown code":        {func(*fixture) string { return session("wx1", "s1", "nonsense", grant) }, 40029},
		"code of another app": {func(f *fixture) string { return session("wx1", "s1", f.svc.IssueCode("wx2", "oAlice", ""), grant) }, 40029},
		"expired code": {func(f *fixture) string {
			code := f.svc.IssueCode("wx1", "oAlice", "")
			f.elapsed = 5 * time.Minute
			return session("wx1", "s1", code, grant)
		}, 40029},
		"used code": {func(f *fixture) string {
			code := f.svc.IssueCode("wx1", "oAlice", "")
			f.call("GET", session("wx1", "s1", code, grant), "")
			return session("wx1", "s1", code, grant)
		}, 40163},
		"used self-made code": {func(f *fixture) string {
			f.call("GET", session("wx1", "s1", "emu:o:1", grant), "")
			return session("wx1", "s1", "emu:o:1", grant)
		}, 40163},
		"no code":      {func(*fixture) string { return session("wx1", "s1", "", grant) }, 41008},
		"no appid":     {func(*fixture) string { return session("", "s1", "emu:o:1", grant) }, 41002},
		"no secret":    {func(*fixture) string { return session("wx1", "", "emu:o:1", grant) }, 41004},
		"other appid":  {func(*fixture) string { return session("wx9", "s1", "emu:o:1", grant) }, 40013},
		"wrong secret": {func(*fixture) string { return session("wx1", "s2", "emu:o:1", grant) }, 40125},
		"wrong grant":  {func(*fixture) string { return session("wx1", "s1", "emu:o:1", "client_credential") }, 40002},
		"too often": {func(f *fixture) string {
			for range 100 {
				f.call("GET", session("wx1", "s1", f.svc.IssueCode("", "oAlice", ""), grant), "")
			}
			return session("wx1", "s1", f.svc.IssueCode("", "oAlice", ""), grant)
		}, 45011},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			got := f.call("GET", tt.path(f), "")
			if errcode(got) != tt.want {
				t.Fatalf("got %v, want errcode %d", got, tt.want)
			}
			if tt.want == 0 && (got["openid"] != "oAlice" || got["session_key"] == nil) {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestAccessTokens(t *testing.T) {
	f := start(t)
	const get = "/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=s1"
	check := func(token any) int {
		return errcode(f.call("POST", "/wxa/media_check_async?access_token="+token.(string), `{}`))
	}
	const usable, invalid, expired = 40004, 40001, 42001 // a usable token gets as far as the missing media_url
	first := f.call("GET", get, "")
	if first["expires_in"] != float64(7200) {
		t.Errorf("got %v", first)
	}
	second := f.call("GET", get, "")["access_token"]
	if second == first["access_token"] {
		t.Error("a second token is the first")
	}
	if got := check(first["access_token"]); got != usable {
		t.Errorf("the replaced token at once: %d", got)
	}
	f.elapsed = 5 * time.Minute
	if got := check(first["access_token"]); got != expired {
		t.Errorf("the replaced token after five minutes: %d", got)
	}
	if got := check(second); got != usable {
		t.Errorf("the new token: %d", got)
	}
	if got := check("nonsense"); got != invalid {
		t.Errorf("no token: %d", got)
	}

	stable := func(force string) any {
		return f.call("POST", "/cgi-bin/stable_token", `{"grant_type":"client_credential","appid":"wx1","secret":"s1","force_refresh":`+force+`}`)["access_token"]
	}
	a := stable("false")
	if b := stable("false"); a != b {
		t.Error("the stable token changed")
	}
	if b := stable("true"); a == b {
		t.Error("force_refresh changed nothing")
	}
	f.elapsed += 2 * time.Hour
	if got := check(second); got != expired {
		t.Errorf("the token after two hours: %d", got)
	}
	if got := errcode(f.call("GET", "/cgi-bin/stable_token", "")); got != 43002 {
		t.Errorf("GET of a stable token: %d", got)
	}
}

func TestMediaCheckPushesItsVerdict(t *testing.T) {
	media := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "missing") {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte("picture"))
	}))
	t.Cleanup(media.Close)
	type push struct {
		TraceID string `json:"trace_id"`
		Event   string
		ErrCode int `json:"errcode"`
		Result  struct{ Suggest string }
	}
	got := make(chan push, 1)
	tries := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tries++
		if tries == 1 { // the first try of the first push fails
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		q := r.URL.Query()
		if q.Get("signature") != wechat.Signature("door", q.Get("timestamp"), q.Get("nonce")) {
			t.Error("the push is not signed")
		}
		var p push
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			t.Error(err)
		}
		got <- p
	}))
	t.Cleanup(receiver.Close)
	f := start(t, func(o *wechat.Options) { o.Push = wechat.Push{URL: receiver.URL, Token: "door"} })
	token := f.call("GET", "/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=s1", "")["access_token"].(string)
	for path, want := range map[string]push{
		"/a.jpg":       {Result: struct{ Suggest string }{"pass"}},
		"/risky.jpg":   {Result: struct{ Suggest string }{"risky"}},
		"/review.jpg":  {Result: struct{ Suggest string }{"review"}},
		"/missing.jpg": {ErrCode: -1010},
	} {
		body, _ := json.Marshal(map[string]any{"media_url": media.URL + path, "media_type": 2, "version": 2, "scene": 1, "openid": "oAlice"})
		answer := f.call("POST", "/wxa/media_check_async?access_token="+token, string(body))
		if errcode(answer) != 0 {
			t.Fatalf("%s: %v", path, answer)
		}
		want.TraceID, want.Event = answer["trace_id"].(string), "wxa_media_check"
		if diff := cmp.Diff(want, <-got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	f.svc.Close()
	if checks := f.svc.Checks(); len(checks) != 4 || !checks[0].Pushed {
		t.Errorf("checks %+v", checks)
	}
}

func TestDisturbedCallIsBusy(t *testing.T) {
	f := start(t, func(o *wechat.Options) { o.Disturb = func(*http.Request, string) bool { return true } })
	if got := errcode(f.call("GET", session("wx1", "s1", "emu:o:1", "authorization_code"), "")); got != -1 {
		t.Errorf("got %d, want -1", got)
	}
}

func TestCodeIsIssuedOverHTTP(t *testing.T) {
	f := start(t)
	code := f.call("POST", "/_emulator/wechat/codes", `{"appid":"wx1","openid":"oBob","unionid":"uBob"}`)["code"].(string)
	got := f.call("GET", session("wx1", "s1", code, "authorization_code"), "")
	if got["openid"] != "oBob" || got["unionid"] != "uBob" {
		t.Errorf("got %v", got)
	}
}
