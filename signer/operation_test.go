package signer

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Rotated secrets are used without a restart: tokens of the old one end, and events carry both signatures
// while the file holds both secrets.
func TestRotatedSecretsAreUsedWithoutARestart(t *testing.T) {
	f := newFixture(t)
	var ahead atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	cfg := *f.cfg
	cfg.Index.SQLitePath = ":memory:"
	s, err := New(t.Context(), Options{Config: &cfg, Credentials: f.credentials, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	const newSecret = "another HS256 secret of at least 32 bytes"
	accepted := func(secret, user string) bool {
		r := httptest.NewRequest(http.MethodGet, "/v1/uploads", nil)
		r.Header.Set("Authorization", "Bearer "+signJWT(secret, user, time.Now().Add(time.Hour)))
		w := httptest.NewRecorder()
		s.API().ServeHTTP(w, r)
		return w.Code == http.StatusOK
	}
	if !accepted(testSecret, "ann") || accepted(newSecret, "bob") {
		t.Fatal("the first secret is not the one that counts")
	}
	rewrite(t, cfg.Auth.JWT.HS256SecretFile, newSecret+"\n")
	rewrite(t, cfg.Events.SecretFile, testEventSecret+"\nwhsec_"+strings.Repeat("QUJD", 8)+"\n")
	ahead.Store(int64(time.Minute))
	if !accepted(newSecret, "cid") || accepted(testSecret, "dan") {
		t.Error("the rotated secret is not the one that counts")
	}
	if n := strings.Count(s.deliverer.Secrets.Get().Sign("id", clock(), nil), "v1,"); n != 2 {
		t.Errorf("%d signatures, want one per secret", n)
	}
}

// Readiness fails first; requests are answered until the port closes.
func TestADrainingSignerIsNotReadyButAnswers(t *testing.T) {
	f := newFixture(t)
	ops := httptest.NewServer(f.server.Ops())
	defer ops.Close()
	ready := func() int {
		resp, err := http.Get(ops.URL + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	if status := ready(); status != http.StatusOK {
		t.Fatalf("before: status %d", status)
	}
	f.server.Drain()
	if status := ready(); status != http.StatusServiceUnavailable {
		t.Errorf("draining: status %d, want 503", status)
	}
	req, err := http.NewRequest(http.MethodGet, f.api.URL+"/v1/uploads", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+makeJWT("alice", time.Now().Add(time.Hour)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !resp.Close {
		t.Errorf("a request while draining: status %d, Connection: close is %v; want 200 and the end of the connection", resp.StatusCode, resp.Close)
	}
}

func TestMetricsTellHowBusyTheIndexIs(t *testing.T) {
	f := newFixture(t)
	for range 2 {
		if status, answer := f.callback(callbackRequest{body: callbackForm(f.grant("alice", onePhoto)).Encode()}); status != http.StatusOK {
			t.Fatalf("status %d: %s", status, answer)
		}
	}
	for sample, want := range map[string]string{"index_commits_total": "2", "index_commit_records_total": "2"} {
		if got := f.metric("uploadtenant_signer_" + sample); got != want {
			t.Errorf("%s is %q, want %s", sample, got, want)
		}
	}
	if f.metric("uploadtenant_signer_index_connections") == "0" {
		t.Error("no connection is open")
	}
}
