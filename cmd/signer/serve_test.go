package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/sts"
	"github.com/uploadtenant/uploadtenant/test/await"
)

type someCredentials struct{}

func (someCredentials) Credential() (sts.Credential, error) {
	return sts.Credential{AccessKeyID: "STS.A", AccessKeySecret: "s", SecurityToken: "t", Expires: time.Now().Add(time.Hour)}, nil
}

// addresses hands on the two addresses of the line that tells that the ports are open.
type addresses chan [2]string

func (a addresses) Write(line []byte) (int, error) {
	var said struct{ Msg, Addr, OpsAddr string }
	if json.Unmarshal(line, &said) == nil && said.Msg == "serving" {
		a <- [2]string{said.Addr, said.OpsAddr}
	}
	return len(line), nil
}

// A pod that ends still gets connections until its Service knows: it says that it is not ready, and answers.
func TestReadinessFailsBeforeThePortCloses(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(keys, []byte(`{"current":"k","keys":{"k":"`+base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32))+`"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := signer.New(t.Context(), signer.Options{Credentials: someCredentials{}, DevUsers: true, Config: &config.Config{
		Fixed: config.Fixed{
			Tenant:         "a/b",
			TenantUID:      "u",
			Bucket:         config.Bucket{Name: "b", Region: "r", Prefix: "p/", Endpoint: "http://127.0.0.1:1", UploadURL: "http://127.0.0.1:1/b"},
			TicketKeysFile: keys,
			Index:          config.Index{SQLitePath: ":memory:"},
		},
		Live: config.Live{
			Limits:      config.Limits{MaxSize: 1, ContentTypes: []string{"image/*"}, FilesPerRequest: 1},
			KeyTemplate: "{prefix}{id}",
			Grant:       config.Grant{Signature: "V4", Expiry: 60},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	said, done := make(addresses, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan time.Time)
	end := shutdown{delay: time.Second, limit: time.Minute, after: func(delay time.Duration) <-chan time.Time {
		if delay != time.Second {
			t.Errorf("the port stays open for %s, want a second", delay)
		}
		return over
	}}
	go func() {
		done <- serve(ctx, server, slog.New(slog.NewJSONHandler(said, nil)), "127.0.0.1:0", "127.0.0.1:0", end)
	}()
	at := <-said
	status := func(url string) int {
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer dev:ann")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := status("http://" + at[1] + "/readyz"); got != http.StatusOK {
		t.Fatalf("before the end: readiness %d", got)
	}
	cancel()
	await.True(t, "readiness fails", func() bool { return status("http://"+at[1]+"/readyz") == http.StatusServiceUnavailable })
	if got := status("http://" + at[0] + "/v1/uploads"); got != http.StatusOK {
		t.Errorf("a request after readiness failed: status %d", got)
	}
	close(over)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := status("http://" + at[0] + "/v1/uploads"); got != 0 {
		t.Errorf("the port is still open: status %d", got)
	}
}
