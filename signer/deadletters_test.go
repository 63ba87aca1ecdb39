package signer

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/test/await"
)

// An operator can list what was given up and have it delivered after all.
func TestDeadLettersAreListedAndReplayed(t *testing.T) {
	f := newFixture(t)
	f.receiver.mu.Lock()
	f.receiver.failures = 1 << 30
	f.receiver.mu.Unlock()
	v := f.grant("alice", onePhoto)
	if status, answer := f.callback(callbackRequest{body: callbackForm(v).Encode()}); status != http.StatusOK {
		t.Fatalf("status %d: %s", status, answer)
	}
	await.True(t, "a first attempt", func() bool { return f.metric(`uploadtenant_signer_event_attempts_total{result="retried"}`) != "" })
	bury(t, f)
	ops := func(method, path, body string) *httptest.ResponseRecorder {
		return ask(f.server, "127.0.0.1", method, path, body)
	}
	if w := ops(http.MethodGet, "/events/dead", ""); !strings.Contains(w.Body.String(), v.ID) || f.metric("uploadtenant_signer_events_dead") != "1" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ops(http.MethodPost, "/events/replay", `{"unknown":1}`); w.Code != http.StatusBadRequest {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	f.receiver.mu.Lock()
	f.receiver.failures = 0
	f.receiver.mu.Unlock()
	if w := ops(http.MethodPost, "/events/replay", `{"ids":["`+v.ID+`"]}`); strings.TrimSpace(w.Body.String()) != `{"replayed":1}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	await.True(t, "the event arrives", func() bool { return len(f.receiver.received()) == 1 })
}

// ask sends a request to the ops port that arrives on the given local address.
func ask(s *Server, local, method, path, body string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, "http://localhost:8081"+path, strings.NewReader(body))
	if local != "" {
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP(local), Port: 8081}))
	}
	s.Ops().ServeHTTP(w, r)
	return w
}

// Dead letters hold what users uploaded, so other pods, which reach the ops port for its metrics, get none.
func TestDeadLettersAreForLoopbackOnly(t *testing.T) {
	f := newFixture(t)
	for local, want := range map[string]int{"127.0.0.1": http.StatusOK, "::1": http.StatusOK, "10.244.0.17": http.StatusForbidden, "fd00::1": http.StatusForbidden, "": http.StatusForbidden} {
		for path, method := range map[string]string{"/events/dead": http.MethodGet, "/events/replay": http.MethodPost} {
			if w := ask(f.server, local, method, path, ""); w.Code != want {
				t.Errorf("%s %s on %q: %d, want %d", method, path, local, w.Code, want)
			}
		}
		if w := ask(f.server, local, http.MethodGet, "/metrics", ""); w.Code != http.StatusOK {
			t.Errorf("/metrics on %q: %d", local, w.Code)
		}
	}
}

// bury gives every pending event up. Nobody delivers meanwhile: an attempt that has begun ends before.
func bury(t *testing.T, f *fixture) {
	t.Helper()
	f.stop()
	store, err := index.OpenSQLite(t.Context(), f.cfg.Index.SQLitePath, nil)
	if err != nil {
		t.Fatal(err)
	}
	due, err := store.Claim(t.Context(), 10, time.Minute)
	if err != nil || len(due) == 0 {
		t.Fatalf("%d events are pending, %v", len(due), err)
	}
	for _, d := range due {
		if err := store.Bury(t.Context(), d.Seq, "test"); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	f.start()
}
