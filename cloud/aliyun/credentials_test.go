package aliyun_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/aliyun"
)

// stsServer answers AssumeRoleWithOIDC with one-hour sessions and remembers which session made each other call.
type stsServer struct {
	*httptest.Server
	now      func() time.Time
	sessions atomic.Int64
	down     atomic.Bool
	lastKey  atomic.Value
}

func newSTSServer(t *testing.T, now func() time.Time) *stsServer {
	s := &stsServer{now: now}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *stsServer) serve(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("Action") != "AssumeRoleWithOIDC" {
		s.lastKey.Store(r.FormValue("AccessKeyId"))
		fmt.Fprint(w, `{"AccountId":"1"}`)
		return
	}
	if s.down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"Code":"ServiceUnavailable","RequestId":"R"}`)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"Credentials": map[string]string{
		"AccessKeyId": fmt.Sprintf("STS.%d", s.sessions.Add(1)), "AccessKeySecret": "secret", "SecurityToken": "token",
		"Expiration": s.now().Add(time.Hour).UTC().Format(time.RFC3339),
	}})
}

func TestAssumedRoleIsRenewedBeforeItEnds(t *testing.T) {
	clock := atomic.Int64{}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := func() time.Time { return start.Add(time.Duration(clock.Load())) }
	server := newSTSServer(t, now)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("header.payload.signature"), 0o600); err != nil {
		t.Fatal(err)
	}
	services, err := aliyun.NewOpener(aliyun.Options{Clock: now}).Open(cloud.Account{
		ID: "1", Region: "cn-hangzhou", Endpoints: cloud.Endpoints{STS: server.URL},
		Credentials: cloud.Credentials{OIDC: &cloud.OIDCCredentials{
			RoleARN: "acs:ram::1:role/manager", ProviderARN: "acs:ram::1:oidc-provider/p", TokenFile: token,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		at      time.Duration
		down    bool
		want    string
		wantErr bool
	}{
		{at: 0, want: "STS.1"},
		{at: 49 * time.Minute, want: "STS.1"},
		{at: 51 * time.Minute, down: true, want: "STS.1"}, // the old session serves while STS is down
		{at: 52 * time.Minute, want: "STS.2"},
		{at: 3 * time.Hour, down: true, wantErr: true},
		{at: 3 * time.Hour, want: "STS.3"},
	}
	for _, step := range steps {
		clock.Store(int64(step.at))
		server.down.Store(step.down)
		_, err := services.Identity.Caller(t.Context())
		if (err != nil) != step.wantErr {
			t.Fatalf("at %s: err = %v", step.at, err)
		}
		if err != nil && cloud.ClassOf(err) != cloud.Retryable {
			t.Errorf("at %s: class of %v is %s", step.at, err, cloud.ClassOf(err))
		}
		if got := server.lastKey.Load(); err == nil && got != step.want {
			t.Errorf("at %s: called as %v, want %s", step.at, got, step.want)
		}
	}
}

func TestEnvironmentCredentials(t *testing.T) {
	server := newSTSServer(t, time.Now)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("header.payload.signature"), 0o600); err != nil {
		t.Fatal(err)
	}
	rrsa := map[string]string{
		"ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/m", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1:oidc-provider/p", "ALIBABA_CLOUD_OIDC_TOKEN_FILE": token,
	}
	tests := map[string]struct {
		env     map[string]string
		want    string
		wantErr string
	}{
		"access key":     {env: map[string]string{"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s"}, want: "LTAI"},
		"RRSA variables": {env: rrsa, want: "STS.1"},
		"nothing":        {wantErr: "ALIBABA_CLOUD_ACCESS_KEY_ID"},
		"half a key":     {env: map[string]string{"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI"}, wantErr: "ALIBABA_CLOUD_ACCESS_KEY_ID"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			services, err := aliyun.NewOpener(aliyun.Options{Getenv: func(key string) string { return tc.env[key] }}).Open(cloud.Account{
				ID: "1", Region: "cn-hangzhou", Endpoints: cloud.Endpoints{STS: server.URL},
				Credentials: cloud.Credentials{Environment: true},
			})
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) || cloud.ClassOf(err) != cloud.Denied {
					t.Errorf("err = %v, want one that names %s", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := services.Identity.Caller(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := server.lastKey.Load(); got != tc.want {
				t.Errorf("called as %v, want %s", got, tc.want)
			}
		})
	}
}

func TestAccountsAreOpenedOnce(t *testing.T) {
	opener := aliyun.NewOpener(aliyun.Options{})
	account := func(secret string) cloud.Account {
		return cloud.Account{ID: "1", Region: "cn-hangzhou", Credentials: cloud.Credentials{Static: &cloud.StaticCredentials{AccessKeyID: "id", AccessKeySecret: secret}}}
	}
	first, err := opener.Open(account("a"))
	if err != nil {
		t.Fatal(err)
	}
	again, _ := opener.Open(account("a"))
	rotated, _ := opener.Open(account("b"))
	if first.Roles != again.Roles {
		t.Error("the same account was opened twice")
	}
	if first.Roles == rotated.Roles {
		t.Error("a rotated key got the old services")
	}
}
