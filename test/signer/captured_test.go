package signer

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"testing"

	"github.com/uploadtenant/uploadtenant/devmode"
	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/test/await"
)

// captured is one callback as OSS signed and sent it.
type captured struct {
	header http.Header
	path   string
	body   []byte
}

// wire is a network on which an attacker reads every callback and lets none through, so that a test decides
// what the signer hears, and when.
type wire struct {
	*httptest.Server
	mu   sync.Mutex
	seen []captured
}

func newWire(t *testing.T) *wire {
	w := &wire{}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read a callback: %v", err)
		}
		header := r.Header.Clone()
		header.Del("Content-Length") // belongs to the connection
		w.mu.Lock()
		w.seen = append(w.seen, captured{header, r.URL.RequestURI(), body})
		w.mu.Unlock()
		rw.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(w.Close)
	return w
}

var passedSweep = regexp.MustCompile(`uploadtenant_signer_sweeps_total\{result="passed"\} [1-9]`)

// startUnswept is startConfigured with a clock that stands still, on which no object gets old enough for the
// sweeper: what is recorded, a callback or a client told of. The first pass knows no such grace, so it is over.
func startUnswept(t *testing.T, configure func(*config.Config)) *tenant {
	t.Helper()
	x := startOptions(t, tenantYAML, devmode.Options{Clock: newStopped().now, Configure: configure})
	await.True(t, "the first pass of the sweeper is over", func() bool {
		req, err := http.NewRequest(http.MethodGet, x.OpsURL+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, text := x.send(req)
		return passedSweep.Match(text)
	})
	return x
}

// tap makes OSS call the wire, by the path of the tenant's callback.url.
func (w *wire) tap(c *config.Config) { c.Callback.URL = w.URL + "/family/album/callback" }

// take returns the callback that came since the last one was taken. OSS waits for its answer before it answers
// the upload.
func (w *wire) take(t testing.TB) captured {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.seen) != 1 {
		t.Fatalf("OSS made %d callbacks", len(w.seen))
	}
	c := w.seen[0]
	w.seen = nil
	return c
}

// unheard stores an upload of user whose callback is w's alone.
func (x *tenant) unheard(w *wire, user string, content []byte) (api.Verdict, captured) {
	x.t.Helper()
	v := x.grant(user, content)
	if status, answer := x.post(v.URL, form{v.Fields, content}); status != http.StatusNonAuthoritativeInfo {
		x.t.Fatalf("upload: status %d: %s", status, answer)
	}
	return v, w.take(x.t)
}

// deliver brings a callback to the signer.
func (x *tenant) deliver(c captured) (int, []byte) {
	x.t.Helper()
	req, err := http.NewRequest(http.MethodPost, x.SignerURL+c.path, bytes.NewReader(c.body))
	if err != nil {
		x.t.Fatal(err)
	}
	req.Header = c.header.Clone()
	x.scan.Add(c.header["Authorization"]...)
	return x.send(req)
}

// startForgeable starts a signer, like startUnswept, that believes a key which an attacker holds. forge makes a
// callback of any body, signed with it.
func startForgeable(t *testing.T, configure func(*config.Config)) (x *tenant, forge func(body string) captured) {
	t.Helper()
	key := newWeakKey(t)
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(key.pem()) }))
	t.Cleanup(keys.Close)
	x = startUnswept(t, func(c *config.Config) {
		configure(c)
		c.Callback.KeyURLPrefixes = append(c.Callback.KeyURLPrefixes, keys.URL+"/")
	})
	return x, func(body string) captured { return key.callback(keys.URL, body) }
}

// callback is one that the holder of a weak key makes up, who serves the key at keyHost.
func (k *weakKey) callback(keyHost, body string) captured {
	const path = "/family/album/callback"
	return captured{http.Header{"Authorization": {k.sign([]byte(path + "\n" + body))},
		"X-Oss-Pub-Key-Url": {base64.StdEncoding.EncodeToString([]byte(keyHost + "/key.pem"))}}, path, []byte(body)}
}
