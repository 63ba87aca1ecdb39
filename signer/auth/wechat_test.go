package auth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/uploadtenant/uploadtenant/test/await"
)

const (
	appSecret = "app-secret-0123456789"
	loginCode = "0a3KT10w3xYzAbCd"
)

// fakeWeChat answers every login with answer.
func fakeWeChat(t *testing.T, answer http.HandlerFunc, change ...func(*WeChatConfig)) *WeChat {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	client := &http.Client{Timeout: await.Patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	cfg := WeChatConfig{Endpoint: server.URL, AppID: "wx1", Secret: func() (string, error) { return appSecret, nil }, Client: client}
	for _, c := range change {
		c(&cfg)
	}
	w, err := NewWeChat(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		w.Write([]byte(body))
	}
}

func TestLoginReadsEveryAnswer(t *testing.T) {
	unionID := func(c *WeChatConfig) { c.UnionID = true }
	tests := map[string]struct {
		answer      http.HandlerFunc
		change      func(*WeChatConfig)
		want        string
		wantErr     error
		wantErrcode int
	}{
		"openid":                {answer: says(200, `{"session_key":"k==","openid":"oAlice","unionid":"uAlice"}`), want: "oAlice"},
		"errcode of zero":       {answer: says(200, `{"errcode":0,"errmsg":"ok","openid":"oAlice"}`), want: "oAlice"},
		"unionid":               {answer: says(200, `{"openid":"oAlice","unionid":"uAlice"}`), change: unionID, want: "uAlice"},
		"no unionid":            {answer: says(200, `{"openid":"oAlice"}`), change: unionID, wantErr: ErrNoUnionID},
		"bad code":              {answer: says(200, `{"errcode":40029,"errmsg":"invalid code, rid: x"}`), wantErrcode: 40029},
		"error beside a user":   {answer: says(200, `{"errcode":40029,"openid":"oAlice"}`), wantErrcode: 40029},
		"busy":                  {answer: says(200, `{"errcode":-1,"errmsg":"system error"}`), wantErrcode: -1},
		"nobody":                {answer: says(200, `{"session_key":"k=="}`), wantErr: ErrUnavailable},
		"user with a newline":   {answer: says(200, `{"openid":"o\nAlice"}`), wantErr: ErrUnavailable},
		"endless user":          {answer: says(200, `{"openid":"`+strings.Repeat("o", 300)+`"}`), wantErr: ErrUnavailable},
		"not JSON":              {answer: says(200, `<html>`+appSecret), wantErr: ErrUnavailable},
		"errcode of text":       {answer: says(200, `{"errcode":"40029"}`), wantErr: ErrUnavailable},
		"endless answer":        {answer: says(200, `{"x":"`+strings.Repeat("x", 1<<20)+`","openid":"oAlice"}`), wantErr: ErrUnavailable},
		"server error":          {answer: says(502, `{"openid":"oAlice"}`), wantErr: ErrUnavailable},
		"redirect":              {answer: http.RedirectHandler("/elsewhere", http.StatusFound).ServeHTTP, wantErr: ErrUnavailable},
		"connection dropped":    {answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, wantErr: ErrUnavailable},
		"unreadable AppSecret":  {answer: says(200, `{}`), change: func(c *WeChatConfig) { c.Secret = func() (string, error) { return "", errors.New("gone") } }, wantErr: ErrUnavailable},
		"unreachable endpoint":  {answer: says(200, `{}`), change: func(c *WeChatConfig) { c.Endpoint = "http://127.0.0.1:1" }, wantErr: ErrUnavailable},
		"endpoint that is none": {answer: says(200, `{}`), change: func(c *WeChatConfig) { c.Endpoint = "http://a b" }, wantErr: ErrUnavailable},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			change := test.change
			if change == nil {
				change = func(*WeChatConfig) {}
			}
			user, err := fakeWeChat(t, test.answer, change).Login(t.Context(), loginCode)
			var answered *WeChatError
			errcode := 0
			if errors.As(err, &answered) {
				errcode = answered.Code
			}
			if user != test.want || errcode != test.wantErrcode || test.wantErr != nil && !errors.Is(err, test.wantErr) || (err == nil) != (test.want != "") {
				t.Errorf("user %q, error %v, want %q, %v %d", user, err, test.want, test.wantErr, test.wantErrcode)
			}
			if err != nil && (strings.Contains(err.Error(), appSecret) || strings.Contains(err.Error(), loginCode) || strings.Contains(err.Error(), "jscode2session")) {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

func TestLoginSendsWhatTheProtocolAsksFor(t *testing.T) {
	var got atomic.Value
	w := fakeWeChat(t, func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Method + " " + r.URL.Path + "?" + r.URL.Query().Encode())
		w.Write([]byte(`{"openid":"oAlice"}`))
	})
	if _, err := w.Login(t.Context(), "a&b=c"); err != nil {
		t.Fatal(err)
	}
	if want := "GET /sns/jscode2session?appid=wx1&grant_type=authorization_code&js_code=a%26b%3Dc&secret=" + appSecret; got.Load() != want {
		t.Errorf("asked %v, want %s", got.Load(), want)
	}
}

func TestCodesThatCannotBeOneAreNotAsked(t *testing.T) {
	var asked atomic.Int32
	w := fakeWeChat(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	for name, code := range map[string]string{"empty": "", "endless": strings.Repeat("0", maxWeChatCode+1), "newline": "0a\n", "space": "0 a", "not ASCII": "零"} {
		if _, err := w.Login(t.Context(), code); !errors.Is(err, ErrInvalid) || asked.Load() != 0 {
			t.Errorf("%s: %v, asked %d times", name, err, asked.Load())
		}
	}
}

func TestLoginsInFlightAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		release := make(chan struct{})
		server := roundTrip(func(r *http.Request) (*http.Response, error) {
			most.Store(max(most.Load(), running.Add(1)))
			<-release
			running.Add(-1)
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{"openid":"oAlice"}`)), Request: r}, nil
		})
		w, err := NewWeChat(WeChatConfig{AppID: "wx1", Secret: func() (string, error) { return appSecret, nil }, Client: &http.Client{Transport: server}})
		if err != nil {
			t.Fatal(err)
		}
		logins := func(ctx context.Context) <-chan error {
			results := make(chan error, weChatSlots)
			for range weChatSlots {
				go func() {
					_, err := w.Login(ctx, loginCode)
					results <- err
				}()
			}
			return results
		}
		asking := logins(t.Context())
		synctest.Wait()
		if n := running.Load(); n != weChatSlots {
			t.Errorf("%d logins at once, want %d", n, weChatSlots)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		waiting := logins(ctx)
		for range weChatSlots {
			if err := <-waiting; !errors.Is(err, ErrUnavailable) {
				t.Errorf("%v, want ErrUnavailable", err)
			}
		}
		close(release)
		for range weChatSlots {
			if err := <-asking; err != nil {
				t.Error(err)
			}
		}
		if most.Load() > weChatSlots {
			t.Errorf("%d logins at once", most.Load())
		}
	})
}

func FuzzWeChatAnswer(f *testing.F) {
	w, err := NewWeChat(WeChatConfig{AppID: "wx1", Secret: func() (string, error) { return "", nil }, Client: http.DefaultClient})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"openid":"oAlice","session_key":"k","errcode":0}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if user, err := w.user(raw); (err == nil) != (CheckUser(user) == nil) {
			t.Errorf("user %q, error %v", user, err)
		}
	})
}
