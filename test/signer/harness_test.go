package signer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/uploadtenant/uploadtenant/devmode"
	"github.com/uploadtenant/uploadtenant/devmode/manifest"
	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/logscan"
	"github.com/uploadtenant/uploadtenant/test/await"
)

const tenantYAML = `
apiVersion: oss.uploadtenant.io/v1alpha1
kind: UploadTenant
metadata: {name: album, namespace: family}
spec:
  bucket: {name: family-album, prefix: album/}
  limits:
    size: {max: 1Mi}
    contentTypes: [image/jpeg, image/png, text/plain]
    filesPerRequest: 100
  callback: {url: "https://upload.example.com/family/album/callback"}
`

// tenant is a signer with the emulated cloud behind it.
type tenant struct {
	t testing.TB
	*devmode.Server
	stop func()
	scan *logscan.Scan
}

// startTenant runs text, plus more YAML below spec, until the test ends or stop is called. State in dir
// survives; an empty dir keeps it in memory.
func startTenant(t testing.TB, text, dir string) *tenant {
	t.Helper()
	return start(t, text, dir, nil)
}

// startConfigured runs the usual tenant with a changed signer configuration.
func startConfigured(t testing.TB, configure func(*config.Config)) *tenant {
	t.Helper()
	return start(t, tenantYAML, "", configure)
}

func start(t testing.TB, text, dir string, configure func(*config.Config)) *tenant {
	t.Helper()
	return startOptions(t, text, devmode.Options{DataDir: dir, Configure: configure})
}

// startOptions runs text with what opts say besides.
func startOptions(t testing.TB, text string, opts devmode.Options) *tenant {
	t.Helper()
	m, err := manifest.Parse(t.Context(), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	const free = "127.0.0.1:0"
	scan := logscan.New(t)
	opts.Manifest, opts.Logger = m, scan.Logger()
	for _, secret := range m.Secrets {
		for _, value := range secret {
			scan.Add(string(value))
		}
	}
	opts.Addr, opts.OSSAddr, opts.APIAddr, opts.OpsAddr = free, free, free, free
	server, err := devmode.Start(context.WithoutCancel(t.Context()), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Wait(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop the tenant: %v", err)
		}
	}
	t.Cleanup(stop)
	x := &tenant{t, server, stop, scan}
	// The first pass over the bucket takes whatever it finds. What a test stores later is left to the callback
	// for some seconds.
	await.True(t, "the first pass over the bucket is done", func() bool {
		_, metrics := x.opsGet("/metrics")
		return bytes.Contains(metrics, []byte(`uploadtenant_signer_sweeps_total{result="passed"} `))
	})
	return x
}

// request sends JSON as user and returns status and body.
func (x *tenant) request(user, method, path string, body any) (int, []byte) {
	x.t.Helper()
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			x.t.Fatal(err)
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, x.SignerURL+path, reader)
	if err != nil {
		x.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer dev:"+user)
	return x.send(req)
}

func (x *tenant) send(req *http.Request) (int, []byte) {
	x.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		x.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		x.t.Fatal(err)
	}
	x.scan.Answer(answer)
	if token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); ok {
		x.scan.Add(token)
	}
	return resp.StatusCode, answer
}

// ask is request for an answer of type T with status 200.
func ask[T any](x *tenant, user, method, path string, body any) T {
	x.t.Helper()
	status, answer := x.request(user, method, path, body)
	if status != http.StatusOK {
		x.t.Fatalf("%s %s: status %d: %s", method, path, status, answer)
	}
	var v T
	if err := json.Unmarshal(answer, &v); err != nil {
		x.t.Fatalf("%s %s: %v in %s", method, path, err, answer)
	}
	return v
}

// grant asks for one upload of content as a text file.
func (x *tenant) grant(user string, content []byte) api.Verdict {
	x.t.Helper()
	v := ask[api.UploadsResponse](x, user, http.MethodPost, "/v1/uploads", api.UploadsRequest{Files: []api.FileRequest{
		{Name: "a.txt", Size: int64(len(content)), ContentType: "text/plain", Metadata: json.RawMessage(`{"n":1}`)}}}).Uploads[0]
	if v.Status != "upload" {
		x.t.Fatalf("verdict %+v", v)
	}
	return v
}

// form is what a client posts.
type form struct {
	fields  map[string]string
	content []byte
}

// post sends a form like a mini-program: all fields, then the file.
func (x *tenant) post(url string, f form) (int, []byte) {
	x.t.Helper()
	req, err := postRequest(url, f)
	if err != nil {
		x.t.Fatal(err)
	}
	return x.send(req)
}

func postRequest(url string, f form) (*http.Request, error) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	names := make([]string, 0, len(f.fields))
	for name := range f.fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := w.WriteField(name, f.fields[name]); err != nil {
			return nil, err
		}
	}
	part, err := w.CreateFormFile("file", "a.txt")
	if err != nil {
		return nil, err
	}
	if _, err := part.Write(f.content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	req, err := http.NewRequest(http.MethodPost, url, &body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	return req, nil
}

// records returns all uploads of user, newest first.
func (x *tenant) records(user string) []api.Record {
	x.t.Helper()
	var all []api.Record
	for cursor := ""; ; {
		page := ask[api.UploadList](x, user, http.MethodGet, "/v1/uploads?limit=100&cursor="+cursor, nil)
		all = append(all, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return all
		}
	}
}

// faults sets the emulator's faults; nil clears them.
func (x *tenant) faults(faults any) {
	x.t.Helper()
	method := http.MethodPut
	if faults == nil {
		method = http.MethodDelete
	}
	raw, err := json.Marshal(faults)
	if err != nil {
		x.t.Fatal(err)
	}
	req, err := http.NewRequest(method, x.OSSURL+"/_emulator/faults", bytes.NewReader(raw))
	if err != nil {
		x.t.Fatal(err)
	}
	if status, answer := x.send(req); status/100 != 2 {
		x.t.Fatalf("set faults: status %d: %s", status, answer)
	}
}

func content(i int) []byte { return fmt.Appendf(nil, "content of file %d", i) }
