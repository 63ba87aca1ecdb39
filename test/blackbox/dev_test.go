// Package blackbox drives the built kubectl-uploads binary the way a stranger would: over HTTP, by the
// documented contract, with nothing of this repository linked in.
package blackbox

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/uploadtenant/uploadtenant/signer/logscan"
	"github.com/uploadtenant/uploadtenant/test/await"
	"github.com/uploadtenant/uploadtenant/test/port"
	"github.com/uploadtenant/uploadtenant/test/program"
)

const eventsSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "blackbox")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "kubectl-uploads")
	if err := program.Build(binary, "github.com/uploadtenant/uploadtenant/cmd/kubectl-uploads"); err != nil {
		os.RemoveAll(dir)
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// dev is one running `kubectl-uploads dev`.
type dev struct {
	t           *testing.T
	addr, oss   string
	file, data  string
	cmd         *exec.Cmd
	log         *logscan.Scan // what the binary prints, in all its lives
	deliveredMu sync.Mutex
	delivered   []event
}

type event struct {
	id   string
	body []byte
}

// newLog fails the test when a secret is printed: the tenant's own, what the signer hands out, and whatever has
// the shape of one.
func newLog(t *testing.T) *logscan.Scan {
	return logscan.New(t, eventsSecret, strings.TrimPrefix(eventsSecret, "whsec_"), "Bearer dev:alice", "Bearer dev:bob")
}

// guide takes standard output, which shows the person who typed the command how to call as a user of dev mode.
// Everything else that looks like a secret is one there as well.
type guide struct{ log io.Writer }

var example = regexp.MustCompile(`Authorization: Bearer dev:(alice|<user>)`)

func (g guide) Write(p []byte) (int, error) {
	if _, err := g.log.Write(example.ReplaceAll(p, nil)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// long is the shape of what stands in a file of keys.
var long = regexp.MustCompile(`[A-Za-z0-9+/_-]{30,}`)

// addKeys tells the log of every key that the binary keeps on disk.
func (d *dev) addKeys() {
	d.t.Helper()
	files, err := filepath.Glob(filepath.Join(d.data, "keys", "*"))
	if err != nil || len(files) == 0 {
		d.t.Fatalf("no keys in %s: %v", d.data, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			d.t.Fatal(err)
		}
		d.log.Add(long.FindAllString(string(text), -1)...)
	}
}

// startDev runs the binary on free ports with an events receiver of its own and waits until it answers.
func startDev(t *testing.T) *dev {
	t.Helper()
	d := &dev{t: t, addr: port.Free(t), oss: port.Free(t), log: newLog(t), data: filepath.Join(t.TempDir(), "data"), file: filepath.Join(t.TempDir(), "tenant.yaml")}
	verifier, err := webhooks.NewWebhook(eventsSecret)
	if err != nil {
		t.Fatal(err)
	}
	receiver := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := verifier.Verify(body, r.Header); err != nil {
			t.Errorf("event signature: %v", err)
			http.Error(w, "bad signature", http.StatusUnauthorized)
			return
		}
		d.deliveredMu.Lock()
		d.delivered = append(d.delivered, event{r.Header.Get("webhook-id"), body})
		d.deliveredMu.Unlock()
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go receiver.Serve(l)
	t.Cleanup(func() { receiver.Close() })

	yaml := fmt.Sprintf(`apiVersion: oss.uploadtenant.io/v1alpha1
kind: UploadTenant
metadata: {name: album, namespace: family}
spec:
  bucket:
    name: family-album
    prefix: album/
    cors: {allowedOrigins: ["https://h5.example.com"]}
  limits:
    size: {min: "1", max: 1Mi}
    contentTypes: [image/jpeg, image/png]
    extensions: [jpg, jpeg, png]
    filesPerRequest: 5
  keyTemplate: "{prefix}{user}/{yyyy}/{mm}/{dd}/{id}.{ext}"
  grant: {signature: V4, expiry: 5m}
  callback: {url: "https://upload.example.com/family/album/callback"}
  events: {url: "http://%s/hooks", secretRef: {name: album-events}}
---
apiVersion: v1
kind: Secret
metadata: {name: album-events, namespace: family}
stringData: {secret: "%s"}
`, l.Addr(), eventsSecret)
	if err := os.WriteFile(d.file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	d.run()
	t.Cleanup(d.kill)
	return d
}

func (d *dev) run() {
	d.t.Helper()
	d.cmd = exec.Command(binary, "dev", "-f", d.file, "--addr", d.addr, "--oss-addr", d.oss, "--data", d.data)
	d.cmd.Stdout, d.cmd.Stderr = guide{d.log}, d.log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.eventually("dev mode answers", func() bool {
		status, _ := d.try("GET", "http://"+d.addr+"/v1/uploads", "alice", nil)
		return status == http.StatusOK
	})
	d.addKeys()
}

// kill is a kill -9.
func (d *dev) kill() {
	if d.cmd.ProcessState == nil {
		d.cmd.Process.Kill()
		d.cmd.Wait()
	}
	if log := d.log.String(); strings.Contains(log, "DATA RACE") {
		d.t.Error(log)
	}
}

func (d *dev) eventually(what string, ok func() bool) {
	d.t.Helper()
	await.Nothing(d.t, func() string {
		if ok() {
			return ""
		}
		return fmt.Sprintf("%s\nlog:\n%s", what, d.log)
	})
}

func (d *dev) try(method, url, user string, body any) (int, []byte) {
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		r = bytes.NewReader(b)
	default:
		j, err := json.Marshal(b)
		if err != nil {
			d.t.Fatal(err)
		}
		r = bytes.NewReader(j)
	}
	req, err := http.NewRequest(method, url, r)
	if err != nil {
		d.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if user != "" {
		req.Header.Set("Authorization", "Bearer dev:"+user)
	}
	res, err := http.DefaultClient.Do(req)
	// A body that is too large is answered before it is read, and the connection closed. A busy client may
	// notice the end before the answer, and asks again.
	for n := 0; n < 10 && err != nil && req.ContentLength >= 1<<20; n++ {
		again := req.Clone(req.Context())
		if again.Body, err = req.GetBody(); err != nil {
			d.t.Fatal(err)
		}
		res, err = http.DefaultClient.Do(again)
	}
	if err != nil {
		return 0, nil
	}
	defer res.Body.Close()
	out, _ := io.ReadAll(res.Body)
	d.log.Answer(out)
	return res.StatusCode, out
}

// call expects a status and decodes the answer into out, if given.
func (d *dev) call(want int, method, path, user string, body, out any) {
	d.t.Helper()
	base := "http://" + d.addr
	if strings.HasPrefix(path, "/_emulator/") {
		base = "http://" + d.oss
	}
	status, answer := d.try(method, base+path, user, body)
	if status != want {
		d.t.Fatalf("%s %s: status %d, want %d: %s\nlog:\n%s", method, path, status, want, answer, d.log)
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			d.t.Fatalf("%s %s: %v: %s", method, path, err, answer)
		}
	}
}

type file struct {
	Name        string            `json:"name"`
	Size        int               `json:"size"`
	ContentType string            `json:"contentType"`
	Metadata    map[string]string `json:"metadata,omitempty"`
}

type verdict struct {
	Status, ID, Key, Method, URL, FileField, Ticket string
	Fields                                          map[string]string
	ExpiresIn                                       int
	Error                                           *problem
}

type problem struct {
	Type, Title, Detail, Code, RequestID string
	Status                               int
}

type record struct {
	ID, Key, Name, ContentType, MD5, Status, CreatedAt string
	Size                                               int
	Metadata                                           map[string]string
}

func (d *dev) grant(user string, files ...file) []verdict {
	d.t.Helper()
	var out struct{ Uploads []verdict }
	d.call(200, "POST", "/v1/uploads", user, map[string]any{"files": files}, &out)
	if len(out.Uploads) != len(files) {
		d.t.Fatalf("%d verdicts for %d files", len(out.Uploads), len(files))
	}
	return out.Uploads
}

// post uploads as wx.uploadFile does: the fields, then the file part with its own content type.
func (d *dev) post(v verdict, content []byte, change func(fields map[string]string)) (int, []byte) {
	d.t.Helper()
	fields := map[string]string{}
	for k, val := range v.Fields {
		fields[k] = val
	}
	if change != nil {
		change(fields)
	}
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for k, val := range fields {
		w.WriteField(k, val)
	}
	part, _ := w.CreateFormFile(v.FileField, "tmp_0123.jpg")
	part.Write(content)
	w.Close()
	res, err := http.Post(v.URL, w.FormDataContentType(), &body)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	out, _ := io.ReadAll(res.Body)
	return res.StatusCode, out
}

func (d *dev) records(user string) []record {
	d.t.Helper()
	var out struct{ Items []record }
	d.call(200, "GET", "/v1/uploads", user, nil, &out)
	return out.Items
}

func jpeg(size int) []byte {
	return append([]byte{0xff, 0xd8, 0xff, 0xe0}, bytes.Repeat([]byte{7}, size-4)...)
}

func TestUploadIsStoredRecordedAndDelivered(t *testing.T) {
	d := startDev(t)
	content := jpeg(1000)
	vs := d.grant("alice",
		file{Name: "海边.jpg", Size: len(content), ContentType: "image/jpeg", Metadata: map[string]string{"album": "夏天"}},
		file{Name: "huge.jpg", Size: 1<<20 + 1, ContentType: "image/jpeg"},
		file{Name: "evil.exe", Size: 10, ContentType: "application/x-msdownload"},
	)
	if vs[0].Status != "upload" || vs[1].Status != "rejected" || vs[2].Status != "rejected" {
		t.Fatalf("verdicts %+v", vs)
	}
	for _, v := range vs[1:] {
		if v.Error == nil || v.Error.Code == "" || v.Error.Detail == "" {
			t.Errorf("a rejected file needs a problem with code and detail: %+v", v.Error)
		}
	}
	status, answer := d.post(vs[0], content, nil)
	if status != 200 || !json.Valid(answer) {
		t.Fatalf("upload: %d %s", status, answer)
	}
	rs := d.records("alice")
	if len(rs) != 1 {
		t.Fatalf("records %+v", rs)
	}
	r := rs[0]
	if r.ID != vs[0].ID || r.Key != vs[0].Key || r.Name != "海边.jpg" || r.Size != 1000 || r.ContentType != "image/jpeg" || r.Metadata["album"] != "夏天" || r.MD5 == "" || r.Status == "" || r.CreatedAt == "" {
		t.Errorf("record %+v", r)
	}
	if !strings.HasPrefix(r.Key, "album/alice/") || !strings.HasSuffix(r.Key, ".jpg") {
		t.Errorf("key %q does not follow the template", r.Key)
	}
	d.call(200, "GET", "/v1/uploads/"+r.ID, "alice", nil, nil)
	d.call(404, "GET", "/v1/uploads/"+r.ID, "bob", nil, nil)
	if rs := d.records("bob"); len(rs) != 0 {
		t.Errorf("bob sees alice's uploads: %+v", rs)
	}
	d.eventually("the event is delivered", func() bool {
		d.deliveredMu.Lock()
		defer d.deliveredMu.Unlock()
		return len(d.delivered) >= 1
	})
	d.deliveredMu.Lock()
	e := d.delivered[0]
	d.deliveredMu.Unlock()
	if e.id != r.ID || !bytes.Contains(e.body, []byte(r.Key)) || !bytes.Contains(e.body, []byte(`upload.completed`)) {
		t.Errorf("event %s %s", e.id, e.body)
	}

	// The object is private.
	if status, _ := d.try("GET", "http://"+d.oss+"/family-album/"+r.Key, "", nil); status != 403 {
		t.Errorf("anonymous GET: %d, want 403", status)
	}
}

func TestTamperedUploadsAreRefused(t *testing.T) {
	d := startDev(t)
	content := jpeg(100)
	base := d.grant("alice", file{Name: "a.jpg", Size: 100, ContentType: "image/jpeg"})[0]
	for name := range base.Fields {
		t.Run("changed "+name, func(t *testing.T) {
			if status, answer := d.post(base, content, func(f map[string]string) { f[name] += "x" }); status < 400 {
				t.Errorf("accepted: %d %s", status, answer)
			}
		})
		t.Run("missing "+name, func(t *testing.T) {
			if status, answer := d.post(base, content, func(f map[string]string) { delete(f, name) }); status < 400 {
				t.Errorf("accepted: %d %s", status, answer)
			}
		})
	}
	if status, answer := d.post(base, jpeg(101), nil); status != 400 || xmlCode(answer) != "EntityTooLarge" {
		t.Errorf("larger file: %d %s", status, answer)
	}
	if status, answer := d.post(base, jpeg(99), nil); status != 400 || xmlCode(answer) != "EntityTooSmall" {
		t.Errorf("smaller file: %d %s", status, answer)
	}
	if rs := d.records("alice"); len(rs) != 0 {
		t.Errorf("something was recorded: %+v", rs)
	}
	if status, answer := d.post(base, content, nil); status != 200 {
		t.Fatalf("the untouched grant: %d %s", status, answer)
	}
	if status, answer := d.post(base, content, nil); status != 409 || xmlCode(answer) != "FileAlreadyExists" {
		t.Errorf("second use of a grant: %d %s", status, answer)
	}
}

func xmlCode(body []byte) string {
	var e struct{ Code, EC string }
	xml.Unmarshal(body, &e)
	return e.Code
}

func TestBadRequestsGetProblemDocuments(t *testing.T) {
	d := startDev(t)
	grant := map[string]any{"files": []file{{Name: "a.jpg", Size: 10, ContentType: "image/jpeg"}}}
	for name, tc := range map[string]struct {
		user, method, path string
		body               any
		want               []int
	}{
		"no token":       {"", "POST", "/v1/uploads", grant, []int{401}},
		"unknown field":  {"alice", "POST", "/v1/uploads", map[string]any{"files": []file{}, "nonsense": 1}, []int{400, 422}},
		"not JSON":       {"alice", "POST", "/v1/uploads", []byte("{"), []int{400, 422}},
		"no files":       {"alice", "POST", "/v1/uploads", map[string]any{"files": []file{}}, []int{400, 422}},
		"too many files": {"alice", "POST", "/v1/uploads", map[string]any{"files": make([]file, 6)}, []int{400, 413, 422}},
		"oversize body":  {"alice", "POST", "/v1/uploads", bytes.Repeat([]byte(" "), 8<<20), []int{413}},
		"forged ticket":  {"alice", "POST", "/v1/uploads/complete", map[string]any{"ticket": "AAAA"}, []int{400, 403, 422}},
		"unknown id":     {"alice", "GET", "/v1/uploads/none", nil, []int{404}},
		"unknown path":   {"alice", "GET", "/v1/nothing", nil, []int{404}},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := d.try(tc.method, "http://"+d.addr+tc.path, tc.user, tc.body)
			var p problem
			if err := json.Unmarshal(answer, &p); err != nil {
				t.Fatalf("%d %s: %v", status, answer, err)
			}
			ok := false
			for _, w := range tc.want {
				ok = ok || w == status
			}
			if !ok || p.Status != status || p.Title == "" || p.Detail == "" || p.Code == "" || p.RequestID == "" || p.Type == "" {
				t.Errorf("status %d, want %v; problem %s", status, tc.want, answer)
			}
		})
	}
}

func TestForgedCallbacksAreNeverRecorded(t *testing.T) {
	d := startDev(t)
	v := d.grant("alice", file{Name: "a.jpg", Size: 100, ContentType: "image/jpeg"})[0]
	req, _ := http.NewRequest(http.MethodPost, "http://"+d.addr+"/family/album/callback", strings.NewReader("bucket=family-album&object="+v.Key+"&size=100&ticket="+v.Ticket))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "AAAA")
	req.Header.Set("x-oss-pub-key-url", "aHR0cDovL2V2aWwuZXhhbXBsZS5jb20va2V5LnBlbQ==")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode < 400 {
		t.Errorf("forged callback answered %d", res.StatusCode)
	}
	d.call(404, "POST", "/v1/uploads/complete", "alice", map[string]string{"ticket": v.Ticket}, nil)
	if rs := d.records("alice"); len(rs) != 0 {
		t.Errorf("recorded: %+v", rs)
	}
}

func TestLostCallbackIsCompletedByTheClient(t *testing.T) {
	d := startDev(t)
	d.call(200, "PUT", "/_emulator/faults", "", map[string]any{"seed": 1, "callbackDrop": 1}, nil)
	v := d.grant("alice", file{Name: "a.jpg", Size: 100, ContentType: "image/jpeg"})[0]
	if status, answer := d.post(v, jpeg(100), nil); status != 203 || xmlCode(answer) != "CallbackFailed" {
		t.Fatalf("upload with a lost callback: %d %s", status, answer)
	}
	for range 2 {
		var r record
		d.call(200, "POST", "/v1/uploads/complete", "alice", map[string]string{"ticket": v.Ticket}, &r)
		if r.ID != v.ID || r.Size != 100 {
			t.Errorf("record %+v", r)
		}
	}
	if rs := d.records("alice"); len(rs) != 1 {
		t.Errorf("records %+v", rs)
	}
	if status, _ := d.try("DELETE", "http://"+d.oss+"/_emulator/faults", "", nil); status/100 != 2 {
		t.Errorf("DELETE faults: %d", status)
	}
	var log struct {
		Items []map[string]any
	}
	d.call(200, "GET", "/_emulator/requests", "", nil, &log)
	if len(log.Items) == 0 {
		t.Error("the request log is empty")
	}
}

func TestNothingIsLostByKillAndByLosingTheIndex(t *testing.T) {
	d := startDev(t)
	v := d.grant("alice", file{Name: "a.jpg", Size: 100, ContentType: "image/jpeg"})[0]
	if status, answer := d.post(v, jpeg(100), nil); status != 200 {
		t.Fatalf("upload: %d %s", status, answer)
	}
	d.call(200, "PUT", "/_emulator/faults", "", map[string]any{"seed": 1, "callbackDrop": 1}, nil)
	lost := d.grant("alice", file{Name: "b.jpg", Size: 100, ContentType: "image/jpeg"})[0]
	if status, answer := d.post(lost, jpeg(100), nil); status != 203 {
		t.Fatalf("upload: %d %s", status, answer)
	}
	d.kill()
	d.run()
	// The second upload was never reported: only a sweep of the bucket can know of it.
	d.eventually("both uploads are recorded after a kill -9", func() bool { return len(d.records("alice")) == 2 })
	d.kill()
	if err := os.RemoveAll(filepath.Join(d.data, "index")); err != nil {
		t.Fatal(err)
	}
	d.run()
	d.eventually("the index is rebuilt from the bucket", func() bool { return len(d.records("alice")) == 2 })
	for _, r := range d.records("alice") {
		if r.ID != v.ID && r.ID != lost.ID || r.Size != 100 {
			t.Errorf("record %+v", r)
		}
	}
}

func TestInvalidTenantIsExplained(t *testing.T) {
	for name, tc := range map[string]struct{ yaml, want string }{
		"unknown field": {"apiVersion: oss.uploadtenant.io/v1alpha1\nkind: UploadTenant\nmetadata: {name: a, namespace: b}\nspec: {bukket: {}}\n", "bukket"},
		"bad prefix":    {"apiVersion: oss.uploadtenant.io/v1alpha1\nkind: UploadTenant\nmetadata: {name: a, namespace: b}\nspec: {bucket: {name: family-album, prefix: /x}, limits: {size: {max: 1Mi}, contentTypes: [image/png]}}\n", "prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			f := filepath.Join(t.TempDir(), "t.yaml")
			os.WriteFile(f, []byte(tc.yaml), 0o600)
			out, err := exec.Command(binary, "dev", "-f", f, "--addr", port.Free(t), "--oss-addr", port.Free(t)).CombinedOutput()
			if err == nil || !strings.Contains(string(out), tc.want) {
				t.Errorf("exit %v, output %s", err, out)
			}
		})
	}
}
