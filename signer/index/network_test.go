package index_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/signer/index/pgtest"
)

// Over the network, the server is known by its certificate and the signer by its password, for a role that
// owns nothing but its database.
func TestPostgresOverTCPWithTLSAndAPassword(t *testing.T) {
	server := pgtest.Start(t)
	remote, err := server.Listen(t.Context(), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(ca, remote.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(remote.URL)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := at.User.Password()
	address, trusted := remote.URL+"&connect_timeout=60", "&sslrootcert="+ca // a busy machine takes its time
	tests := map[string]struct {
		url  string
		want bool
	}{
		"right":              {address + trusted, true},
		"unknown authority":  {address, false},
		"another host name":  {strings.Replace(address, "127.0.0.1", "localhost", 1) + trusted, false},
		"wrong password":     {strings.Replace(address, password, password+"x", 1) + trusted, false},
		"no password":        {strings.Replace(address, ":"+password, "", 1) + trusted, false},
		"without encryption": {strings.Replace(address, "verify-full", "disable", 1), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "dsn")
			if err := os.WriteFile(file, []byte(test.url+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			store, err := index.OpenPostgres(t.Context(), index.PostgresOptions{DSNFile: file, Schema: testSchema})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			if test.want {
				ready(t, store)
			}
			err = store.Ping(t.Context())
			if (err == nil) != test.want {
				t.Errorf("got %v, want success %v", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), password) {
				t.Error("the error holds the password")
			}
			if !test.want {
				return
			}
			u := upload("ann", "over-tcp")
			u.CreatedAt = time.Now().UTC().Truncate(time.Millisecond)
			if got, err := store.Record(t.Context(), u, nil); err != nil || !got.Created {
				t.Errorf("record: %+v, %v", got, err)
			}
		})
	}
}
