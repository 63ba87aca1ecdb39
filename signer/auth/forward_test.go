package auth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/uploadtenant/uploadtenant/test/await"
)

// application answers whoami.
type application struct {
	*httptest.Server
	asked  atomic.Int32
	answer atomic.Pointer[http.HandlerFunc]
}

func newApplication(t *testing.T, answer http.HandlerFunc) *application {
	t.Helper()
	a := &application{}
	a.answer.Store(&answer)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.asked.Add(1)
		(*a.answer.Load())(w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

func forward(t *testing.T, a *application, change ...func(*ForwardConfig)) *Forward {
	t.Helper()
	client := &http.Client{Timeout: await.Patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	cfg := ForwardConfig{URL: a.URL + "/whoami?key=secretquery", Tenant: "family/album", Cache: 30 * time.Second, Client: client, Clock: clock}
	for _, c := range change {
		c(&cfg)
	}
	f, err := NewForward(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func names(user string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-User-Id", user)
		for i := 0; i < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
	}
}

// namesWith names alice with a status.
func namesWith(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-User-Id", "alice")
		w.WriteHeader(status)
	}
}

func TestForwardReadsEveryAnswer(t *testing.T) {
	field := func(c *ForwardConfig) { c.UserField = "data.id" }
	tests := map[string]struct {
		answer  http.HandlerFunc
		change  func(*ForwardConfig)
		want    string
		wantErr error
	}{
		"header":                  {answer: names("alice"), want: "alice"},
		"204":                     {answer: namesWith(http.StatusNoContent), want: "alice"},
		"own header":              {answer: names("bob", "X-Uid", "alice"), change: func(c *ForwardConfig) { c.UserHeader = "x-uid" }, want: "alice"},
		"no header":               {answer: says(200, `{"id":"alice"}`), wantErr: ErrUnavailable},
		"two headers":             {answer: names("alice", "X-User-Id", "bob"), wantErr: ErrUnavailable},
		"endless user":            {answer: names(strings.Repeat("a", maxUser+1)), wantErr: ErrUnavailable},
		"field":                   {answer: says(200, `{"data":{"id":"alice"}}`), change: field, want: "alice"},
		"field of a number":       {answer: says(200, `{"data":{"id":42}}`), change: field, want: "42"},
		"field of a boolean":      {answer: says(200, `{"data":{"id":true}}`), change: field, wantErr: ErrUnavailable},
		"field of null":           {answer: says(200, `{"data":{"id":null}}`), change: field, wantErr: ErrUnavailable},
		"field of an object":      {answer: says(200, `{"data":{"id":{}}}`), change: field, wantErr: ErrUnavailable},
		"field that is missing":   {answer: says(200, `{"data":[]}`), change: field, wantErr: ErrUnavailable},
		"field, but a header":     {answer: names("alice"), change: field, wantErr: ErrUnavailable},
		"field, not JSON":         {answer: says(200, `<html>`), change: field, wantErr: ErrUnavailable},
		"field, endless answer":   {answer: says(200, `{"data":{"id":"alice"},"x":"`+strings.Repeat("x", maxForwardAnswer)+`"}`), change: field, wantErr: ErrUnavailable},
		"401":                     {answer: says(401, ""), wantErr: ErrInvalid},
		"401 with a user":         {answer: namesWith(http.StatusUnauthorized), wantErr: ErrInvalid},
		"403":                     {answer: says(403, ""), wantErr: ErrForbidden},
		"404":                     {answer: says(404, ""), wantErr: ErrUnavailable},
		"404 with a user":         {answer: namesWith(http.StatusNotFound), wantErr: ErrUnavailable},
		"302 with a user":         {answer: namesWith(http.StatusFound), wantErr: ErrUnavailable},
		"500 with a user":         {answer: namesWith(http.StatusInternalServerError), wantErr: ErrUnavailable},
		"429":                     {answer: says(429, ""), wantErr: ErrUnavailable},
		"500":                     {answer: says(500, ""), wantErr: ErrUnavailable},
		"redirect to a login":     {answer: http.RedirectHandler("/login", http.StatusFound).ServeHTTP, wantErr: ErrUnavailable},
		"connection dropped":      {answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, wantErr: ErrUnavailable},
		"unreachable application": {answer: names("alice"), change: func(c *ForwardConfig) { c.URL = "http://127.0.0.1:1/?key=secretquery" }, wantErr: ErrUnavailable},
		"URL that is none":        {answer: names("alice"), change: func(c *ForwardConfig) { c.URL = "http://a b/?key=secretquery" }, wantErr: ErrUnavailable},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			change := test.change
			if change == nil {
				change = func(*ForwardConfig) {}
			}
			user, err := forward(t, newApplication(t, test.answer), change).Authenticate(t.Context(), "caller-token")
			if user != test.want || test.wantErr != nil && !errors.Is(err, test.wantErr) || (err == nil) != (test.want != "") {
				t.Errorf("user %q, error %v, want %q, %v", user, err, test.want, test.wantErr)
			}
			if err != nil && (strings.Contains(err.Error(), "secretquery") || strings.Contains(err.Error(), "caller-token")) {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

func TestForwardSendsTheDocumentedHeaders(t *testing.T) {
	var got atomic.Value
	a := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Method + " " + r.URL.String() + " " + r.Header.Get("Authorization") + " " + r.Header.Get("X-Upload-Tenant") + " " + r.Header.Get("Cookie"))
		w.Header().Set("X-User-Id", "alice")
	})
	if _, err := forward(t, a).Authenticate(t.Context(), "a.b.c"); err != nil {
		t.Fatal(err)
	}
	if want := "GET /whoami?key=secretquery Bearer a.b.c family/album "; got.Load() != want {
		t.Errorf("asked %q, want %q", got.Load(), want)
	}
}

func TestForwardIsRememberedForAsLongAsAllowed(t *testing.T) {
	tests := map[string]struct {
		cache  time.Duration
		answer http.HandlerFunc
		after  time.Duration
		want   int32 // questions for two requests
	}{
		"within the time":       {30 * time.Second, names("alice"), 29 * time.Second, 1},
		"after the time":        {30 * time.Second, names("alice"), 30 * time.Second, 2},
		"switched off":          {0, names("alice"), 0, 2},
		"no-store":              {30 * time.Second, names("alice", "Cache-Control", "private, no-store"), 0, 2},
		"shorter max-age":       {30 * time.Second, names("alice", "Cache-Control", "max-age=5"), 5 * time.Second, 2},
		"longer max-age":        {30 * time.Second, names("alice", "Cache-Control", "max-age=600"), 31 * time.Second, 2},
		"a refusal":             {30 * time.Second, says(401, ""), 4 * time.Second, 1},
		"a refusal, later":      {30 * time.Second, says(403, ""), 5 * time.Second, 2},
		"a refusal, not cached": {0, says(401, ""), 0, 2},
		"an outage":             {30 * time.Second, says(500, ""), 0, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			at := now
			tick := func() time.Time { return at }
			a := newApplication(t, test.answer)
			c := NewCache(forward(t, a, func(c *ForwardConfig) { c.Cache, c.Clock = test.cache, tick }), test.cache, tick)
			firstUser, firstErr := c.Authenticate(t.Context(), "token")
			at = at.Add(test.after)
			secondUser, secondErr := c.Authenticate(t.Context(), "token")
			if a.asked.Load() != test.want || firstUser != secondUser || Outcome(firstErr) != Outcome(secondErr) {
				t.Errorf("asked %d times, want %d; %q %v, then %q %v", a.asked.Load(), test.want, firstUser, firstErr, secondUser, secondErr)
			}
			if _, err := c.Authenticate(t.Context(), "another token"); a.asked.Load() != test.want+1 || Outcome(err) != Outcome(firstErr) {
				t.Errorf("another token: %v after %d questions", err, a.asked.Load())
			}
		})
	}
}

// roundTrip is a transport without a network, so that a test of synctest can wait for those who wait for it.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCallersWithOneTokenShareOneQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var asked atomic.Int32
		application := roundTrip(func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			<-release
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"X-User-Id": {"alice"}}, Body: http.NoBody, Request: r}, nil
		})
		f, err := NewForward(ForwardConfig{URL: "http://application/whoami", Client: &http.Client{Transport: application}, Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		impatient, leave := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() {
			_, err := f.Authenticate(impatient, "token")
			first <- err
		}()
		var wg sync.WaitGroup
		synctest.Wait() // the application is asked
		for range 20 {
			wg.Go(func() {
				if user, err := f.Authenticate(t.Context(), "token"); err != nil || user != "alice" {
					t.Errorf("user %q, error %v", user, err)
				}
			})
		}
		leave() // the one who asked goes away; the others still get the answer
		if err := <-first; !errors.Is(err, context.Canceled) || Outcome(err) != Unavailable {
			t.Errorf("the caller who left: %v", err)
		}
		synctest.Wait() // all wait for the answer
		close(release)
		wg.Wait()
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestASlowApplicationIsNotBuried(t *testing.T) {
	release := make(chan struct{})
	a := newApplication(t, func(w http.ResponseWriter, _ *http.Request) { <-release })
	defer close(release)
	f := forward(t, a)
	for range forwardSlots {
		f.slots <- struct{}{}
	}
	if _, err := f.Authenticate(t.Context(), "token"); !errors.Is(err, ErrUnavailable) || a.asked.Load() != 0 {
		t.Errorf("%v after %d questions", err, a.asked.Load())
	}
}

func TestForwardOfBadSettingsIsRefused(t *testing.T) {
	for name, cfg := range map[string]ForwardConfig{"no URL": {Client: http.DefaultClient}, "no client": {URL: "http://a"},
		"two places": {URL: "http://a", Client: http.DefaultClient, UserHeader: "A", UserField: "a"}} {
		if _, err := NewForward(cfg); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func FuzzForwardAnswer(f *testing.F) {
	fw, err := NewForward(ForwardConfig{URL: "http://a", Client: http.DefaultClient, UserField: "data.id"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"data":{"id":"alice"}}`), "max-age=5, no-store")
	f.Add([]byte(`{"data":{"id":1e3}}`), "max-age=-99999999999999999999")
	f.Fuzz(func(t *testing.T, body []byte, cacheControl string) {
		fw.user(nil, body)
		if d := freshness([]string{cacheControl}, time.Minute); d < 0 || d > time.Minute {
			t.Errorf("%q is fresh for %v", cacheControl, d)
		}
	})
}
