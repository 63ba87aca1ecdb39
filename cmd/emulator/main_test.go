package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// start runs the command and returns the addresses that it prints, and its end.
func start(t *testing.T, args ...string) (oss, api string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, append([]string{"--oss-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0"}, args...), w, io.Discard)
		w.CloseWithError(io.EOF)
		done <- err
	}()
	lines := bufio.NewScanner(r)
	address := regexp.MustCompile(`^(.+) on (https?://\S+)`)
	found := map[string]string{}
	for len(found) < 2 && lines.Scan() {
		m := address.FindStringSubmatch(lines.Text())
		if m == nil {
			t.Fatalf("line %q names no address", lines.Text())
		}
		found[strings.Fields(m[1])[0]] = m[2]
	}
	go io.Copy(io.Discard, r) // ends with the command
	stop = func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(60 * time.Second):
			return errors.New("the command does not end")
		}
	}
	if len(found) < 2 {
		t.Fatalf("the command ended: %v", stop())
	}
	return found["OSS"], found["RAM,"], stop
}

func TestServesUntilItIsStopped(t *testing.T) {
	dir := t.TempDir()
	oss, api, stop := start(t, "--data", dir, "--bucket", "family-album", "--access-key", "AK:SK")
	for address, want := range map[string]int{oss + "/family-album/k": http.StatusForbidden, oss + "/no-such-bucket/k": http.StatusNotFound, api + "/": http.StatusBadRequest} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", address, resp.StatusCode, want)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	// The directory is free again, and the bucket is still there.
	_, _, stop = start(t, "--data", dir, "--bucket", "family-album")
	if err := stop(); err != nil {
		t.Errorf("second stop: %v", err)
	}
}

func TestCommandLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "not-a-certificate")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args []string
		want string // part of the error
	}{
		"key without a secret": {[]string{"--access-key", "AK"}, "--access-key must be AccessKeyID:Secret"},
		"key without an id":    {[]string{"--access-key", ":SK"}, "--access-key must be AccessKeyID:Secret"},
		"certificate alone":    {[]string{"--tls-cert", file}, "--tls-cert and --tls-key go together"},
		"keys of no issuer":    {[]string{"--oidc-jwks", "https://issuer"}, "ISSUER=URL-or-file"},
		"CA that is none":      {[]string{"--oidc-ca", file}, "holds no PEM certificate"},
		"stray argument":       {[]string{"serve"}, `unexpected argument "serve"`},
		"bad bucket name":      {[]string{"--bucket", "Family_Album", "--oss-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0"}, "is not a bucket name"},
		"address that is none": {[]string{"--oss-addr", "nowhere", "--api-addr", "127.0.0.1:0"}, "listen for OSS"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), tt.args, io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
	var help strings.Builder
	if err := run(t.Context(), []string{"--help"}, io.Discard, &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "-oss-addr") {
		t.Errorf("--help: %v, %q", err, help.String())
	}
}
