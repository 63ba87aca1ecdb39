package signer

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/index/pgtest"
	"github.com/uploadtenant/uploadtenant/test/await"
)

// A database that is away costs callbacks, never a grant or the process: OSS tells the client that its
// callback failed, and the signer goes on when the database is back.
func TestASignerOutlivesItsPostgres(t *testing.T) {
	server := pgtest.Start(t)
	dsn := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(dsn, []byte(server.DSN("postgres")), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(c *config.Config) { c.Index = config.Index{PostgresDSNFile: dsn} })
	ready := func() int {
		w := httptest.NewRecorder()
		f.server.Ops().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		return w.Code
	}
	const known = `{"name":"a.jpg","size":12345,"contentType":"image/jpeg","md5":"d8e8fca2dc0f896fd7cb4cb0031ba249"}`
	await.True(t, "the schema is there", func() bool { return ready() == http.StatusOK })
	first, second := f.grant("alice", onePhoto), f.grant("alice", onePhoto)
	if status, answer := f.callback(callbackRequest{body: callbackForm(first).Encode()}); status != http.StatusOK || ready() != http.StatusOK {
		t.Fatalf("status %d: %s; ready %d", status, answer, ready())
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if status, answer := f.callback(callbackRequest{body: callbackForm(second).Encode()}); status < 500 {
		t.Errorf("callback without a database: %d: %s", status, answer)
	}
	if got := ready(); got != http.StatusOK {
		t.Errorf("ready without a database: %d, want 200: grants need none", got)
	}
	for _, file := range []string{onePhoto, known} {
		if v := f.grant("alice", file); v.Status != "upload" {
			t.Errorf("a grant without a database: %+v", v)
		}
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	await.True(t, "the callback is taken again", func() bool {
		status, _ := f.callback(callbackRequest{body: callbackForm(second).Encode()})
		return status == http.StatusOK
	})
	if got := f.records("alice"); len(got) != 2 {
		t.Errorf("%d records, want both", len(got))
	}
	await.True(t, "both events arrive", func() bool { return len(f.receiver.received()) >= 2 })
}

// A new pod whose connection string is wrong must not replace one that works: it is not ready before it has
// reached its database once.
func TestASignerThatNeverReachedItsPostgresIsNotReady(t *testing.T) {
	dsn := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(dsn, []byte("host="+t.TempDir()+" user=nobody sslmode=disable"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(c *config.Config) { c.Index = config.Index{PostgresDSNFile: dsn} })
	w := httptest.NewRecorder()
	f.server.Ops().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d: %s, want 503", w.Code, w.Body)
	}
}
