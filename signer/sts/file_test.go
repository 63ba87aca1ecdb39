package sts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/sts"
)

func TestSessionFile(t *testing.T) {
	want := sts.Credential{AccessKeyID: "STS.1", AccessKeySecret: "secret", SecurityToken: "token", Expires: time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC)}
	raw, err := sts.MarshalSession(want)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := sts.File(file).AssumeRole(t.Context())
	if err != nil || got != want {
		t.Errorf("credential = %+v, err = %v", got, err)
	}
	if _, err := sts.File(file + ".missing").AssumeRole(t.Context()); err == nil {
		t.Error("a missing file gave a credential")
	}
}

func FuzzParseSession(f *testing.F) {
	f.Add([]byte(`{"accessKeyId":"a","accessKeySecret":"topsecret","securityToken":"t","expiration":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"accessKeySecret":"topsecret"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		cred, err := sts.ParseSession(raw)
		if err == nil && (cred.AccessKeyID == "" || cred.Expires.IsZero()) {
			t.Error("accepted an incomplete session")
		}
		if err != nil && strings.Contains(err.Error(), "topsecret") {
			t.Errorf("the message holds a secret: %v", err)
		}
	})
}
