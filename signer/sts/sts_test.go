package sts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const goodAnswer = `{"RequestId":"R1","Credentials":{"AccessKeyId":"STS.A","AccessKeySecret":"s3cr3t","SecurityToken":"tok","Expiration":"2026-11-22T10:00:00Z"}}`

func tokenFile(t *testing.T, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAssumeRoleSendsTheTokenInTheBodyOnly(t *testing.T) {
	var query, form url.Values
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.Query()
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		form = r.PostForm
		fmt.Fprint(w, goodAnswer)
	}))
	defer server.Close()
	client, err := New(Config{Endpoint: server.URL, RoleARN: "acs:ram::1:role/r", OIDCProviderARN: "acs:ram::1:oidc-provider/p",
		TokenFile: tokenFile(t, "header.body.signature\n"), SessionName: "family/album", SessionDuration: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.AssumeRole(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := Credential{AccessKeyID: "STS.A", AccessKeySecret: "s3cr3t", SecurityToken: "tok", Expires: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("credential (-want +got):\n%s", diff)
	}
	wantForm := url.Values{"RoleArn": {"acs:ram::1:role/r"}, "OIDCProviderArn": {"acs:ram::1:oidc-provider/p"}, "OIDCToken": {"header.body.signature"},
		"RoleSessionName": {"family-album"}, "DurationSeconds": {"3600"}}
	if diff := cmp.Diff(wantForm, form); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
	if query.Get("Action") != "AssumeRoleWithOIDC" || query.Get("Version") != "2015-04-01" || query.Has("OIDCToken") {
		t.Errorf("query %v", query)
	}
	if s := fmt.Sprintf("%v %+v %#v", got, got, got); strings.Contains(s, "s3cr3t") || strings.Contains(s, "tok") {
		t.Errorf("a formatted credential shows its secret: %s", s)
	}
}

func TestAssumeRoleErrors(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		want   Error
		wantOK bool
	}{
		"denied":       {401, `{"RequestId":"R","Code":"AuthenticationFail.NoPermission","Message":"no"}`, Error{401, "AuthenticationFail.NoPermission", "no", "R"}, false},
		"throttled":    {400, `{"Code":"Throttling.User","Message":"slow"}`, Error{400, "Throttling.User", "slow", ""}, true},
		"not json":     {200, `<html>`, Error{200, "UnreadableAnswer", "the answer is not JSON; check that the endpoint is STS", ""}, false},
		"incomplete":   {200, `{"Credentials":{"AccessKeyId":"x"}}`, Error{200, "IncompleteAnswer", "the answer holds no complete credential", ""}, false},
		"server error": {503, `{"Code":"InternalError"}`, Error{503, "InternalError", "", ""}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parseAnswer(test.status, []byte(test.body))
			var got *Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(test.want, *got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.Temporary() != test.wantOK {
				t.Errorf("Temporary() = %v", got.Temporary())
			}
		})
	}
}

func TestNewRefusesBadConfig(t *testing.T) {
	good := Config{Endpoint: "https://sts.example.com", RoleARN: "r", OIDCProviderARN: "p", TokenFile: "f"}
	tests := map[string]func(*Config){
		"no scheme":     func(c *Config) { c.Endpoint = "sts.example.com" },
		"no role":       func(c *Config) { c.RoleARN = "" },
		"no token file": func(c *Config) { c.TokenFile = "" },
		"too short":     func(c *Config) { c.SessionDuration = time.Minute },
		"too long":      func(c *Config) { c.SessionDuration = 13 * time.Hour },
	}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			bad := good
			change(&bad)
			if _, err := New(bad); err == nil {
				t.Error("accepted")
			}
		})
	}
}

type scripted struct {
	answers chan Credential
	errs    chan error
	calls   chan struct{}
}

func (s scripted) AssumeRole(context.Context) (Credential, error) {
	s.calls <- struct{}{}
	select {
	case err := <-s.errs:
		return Credential{}, err
	case cred := <-s.answers:
		return cred, nil
	}
}

func TestProviderServesTheOldCredentialWhileRenewalFails(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	source := scripted{make(chan Credential, 2), make(chan error, 2), make(chan struct{}, 9)}
	p := NewProvider(source, ProviderOptions{Clock: func() time.Time { return now }})
	if _, err := p.Credential(); !errors.Is(err, ErrNoCredential) {
		t.Fatalf("before the first refresh: %v", err)
	}
	source.answers <- Credential{AccessKeyID: "one", Expires: now.Add(time.Hour)}
	if err := p.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	if wait := p.untilRenewal(); wait <= 0 {
		t.Fatalf("renewal is due at once: %s", wait)
	}
	now = now.Add(41 * time.Minute)
	if wait := p.untilRenewal(); wait > 0 {
		t.Fatalf("with 19 of 60 minutes left renewal waits %s", wait)
	}
	down := errors.New("down")
	source.errs <- down
	if err := p.Refresh(context.Background()); !errors.Is(err, down) {
		t.Fatal(err)
	}
	if cred, err := p.Credential(); err != nil || cred.AccessKeyID != "one" {
		t.Fatalf("held credential lost: %v", err)
	}
	now = now.Add(20 * time.Minute)
	if _, err := p.Credential(); !errors.Is(err, ErrNoCredential) || !errors.Is(err, down) {
		t.Fatalf("expired credential: %v", err)
	}
}

func TestRunRenewsAndStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	source := scripted{make(chan Credential, 2), make(chan error, 2), make(chan struct{}, 9)}
	p := NewProvider(source, ProviderOptions{})
	source.answers <- Credential{AccessKeyID: "one", Expires: time.Now().Add(time.Hour)}
	done := make(chan struct{})
	go func() { p.Run(ctx); close(done) }()
	<-source.calls
	cancel()
	<-done
}

func FuzzParseAnswer(f *testing.F) {
	f.Add(200, []byte(goodAnswer))
	f.Add(400, []byte(`{"Code":"x"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		cred, err := parseAnswer(status, body)
		if err == nil && (cred.AccessKeyID == "" || cred.AccessKeySecret == "" || cred.SecurityToken == "") {
			t.Error("an incomplete credential was accepted")
		}
	})
}
