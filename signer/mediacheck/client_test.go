package mediacheck

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// weChat is the two calls, with answers by the number of the call.
type weChat struct {
	*httptest.Server
	calls   []string
	bodies  []map[string]any
	answers map[string][]string
}

func newWeChat(t *testing.T, answers map[string][]string) *weChat {
	w := &weChat{answers: answers}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Method != http.MethodPost {
			t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		}
		w.bodies = append(w.bodies, body)
		w.calls = append(w.calls, strings.TrimPrefix(r.URL.Path, "/")+"?"+r.URL.Query().Get("access_token"))
		left := w.answers[r.URL.Path]
		if len(left) == 0 {
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		if len(left) > 1 {
			w.answers[r.URL.Path] = left[1:]
		}
		_, _ = rw.Write([]byte(left[0]))
	}))
	t.Cleanup(w.Close)
	return w
}

const tokenPath, checkPath = "/cgi-bin/stable_token", "/wxa/media_check_async"

func (w *weChat) client(now *time.Time) *Client {
	return New(Config{Endpoint: w.URL, AppID: "wx1", Scene: 4, Client: w.Client(), Clock: func() time.Time { return *now },
		Secret: func() (string, error) { return "the AppSecret", nil }})
}

func TestOneTokenServesUntilItEnds(t *testing.T) {
	w := newWeChat(t, map[string][]string{
		tokenPath: {`{"access_token":"A1","expires_in":7200}`, `{"access_token":"A2","expires_in":7200}`, `{"access_token":"A3","expires_in":7200}`},
		checkPath: {`{"errcode":0,"trace_id":"t-1"}`, `{"errcode":0,"trace_id":"t-2"}`, `{"errcode":0,"trace_id":"t-3"}`, `{"errcode":40001,"errmsg":"not latest"}`, `{"errcode":0,"trace_id":"t-4"}`},
	})
	now := time.Unix(1_800_000_000, 0)
	c := w.client(&now)
	for i, elapsed := range []time.Duration{0, 115 * time.Minute, 2 * time.Minute, time.Minute} {
		now = now.Add(elapsed)
		if trace, err := c.Check(t.Context(), "https://oss.example/a?sig=1", Image, "oAlice"); err != nil || trace != "t-"+string(rune('1'+i)) {
			t.Fatalf("check %d: %q, %v", i, trace, err)
		}
	}
	want := []string{"cgi-bin/stable_token?", "wxa/media_check_async?A1", "wxa/media_check_async?A1",
		"cgi-bin/stable_token?", "wxa/media_check_async?A2", // four minutes before the end
		"wxa/media_check_async?A2", "cgi-bin/stable_token?", "wxa/media_check_async?A3"} // somebody made it invalid
	if diff := cmp.Diff(want, w.calls); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"grant_type": "client_credential", "appid": "wx1", "secret": "the AppSecret", "force_refresh": false}, w.bodies[0]); diff != "" {
		t.Errorf("token request (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"media_url": "https://oss.example/a?sig=1", "media_type": 2.0, "version": 2.0, "scene": 4.0, "openid": "oAlice"}, w.bodies[1]); diff != "" {
		t.Errorf("check (-want +got):\n%s", diff)
	}
}

func TestEveryBadAnswerIsAnErrorWithoutSecrets(t *testing.T) {
	good := `{"access_token":"A-secret-token","expires_in":7200}`
	tests := map[string]struct {
		token, check string
		wantCode     int
		wantHopeless bool
	}{
		"token refused":        {`{"errcode":40125,"errmsg":"invalid appsecret"}`, "", 40125, false},
		"token without a life": {`{"access_token":"A-secret-token"}`, "", 0, false},
		"token unreadable":     {`A-secret-token`, "", 0, false},
		"token of one type":    {`{"access_token":7}`, "", 0, false},
		"no token":             {"", "", 0, false},
		"user not seen":        {good, `{"errcode":61010,"errmsg":"code is expired"}`, 61010, true},
		"no such user":         {good, `{"errcode":40003,"errmsg":"invalid openid"}`, 40003, true},
		"quota":                {good, `{"errcode":45009}`, 45009, false},
		"always invalid":       {good, `{"errcode":40001}`, 40001, false},
		"no trace":             {good, `{"errcode":0}`, 0, false},
		"strange trace":        {good, `{"errcode":0,"trace_id":"a b"}`, 0, false},
		"check unreadable":     {good, `<html>A-secret-token`, 0, false},
		"no answer":            {good, "", 0, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			answers := map[string][]string{}
			for path, answer := range map[string]string{tokenPath: tc.token, checkPath: tc.check} {
				if answer != "" {
					answers[path] = []string{answer}
				}
			}
			w := newWeChat(t, answers)
			now := time.Unix(1_800_000_000, 0)
			_, err := w.client(&now).Check(t.Context(), "https://oss.example/a?x-oss-signature=secret", Image, "oAlice")
			var refusal *Error
			if err == nil || errors.As(err, &refusal) != (tc.wantCode != 0) || refusal != nil && (refusal.Code != tc.wantCode || refusal.Hopeless() != tc.wantHopeless) {
				t.Fatalf("got %v", err)
			}
			for _, secret := range []string{"A-secret-token", "AppSecret", "x-oss-signature", "oAlice"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows %q: %v", secret, err)
				}
			}
		})
	}
	// A connection that breaks names the URL, whose query is the token.
	w := newWeChat(t, map[string][]string{tokenPath: {good}})
	now := time.Unix(1_800_000_000, 0)
	c := w.client(&now)
	if _, err := c.accessToken(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Close()
	_, err := c.Check(t.Context(), "https://oss.example/a", Image, "oAlice")
	var u *url.Error
	if err == nil || errors.As(err, &u) || strings.Contains(err.Error(), "A-secret-token") {
		t.Errorf("got %v", err)
	}
}
