package signer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/callback"
	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/logscan"
	"github.com/uploadtenant/uploadtenant/signer/sts"
	"github.com/uploadtenant/uploadtenant/test/await"
)

const (
	testSecret      = "an HS256 secret of at least 32 bytes"
	testEventSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
	testCallbackURL = "https://upload.example.com/family/album/callback"
)

type fixedCredentials struct {
	mu   sync.Mutex
	cred sts.Credential
	err  error
}

func (f *fixedCredentials) Credential() (sts.Credential, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cred, f.err
}

// fixture is a signer with everything around it faked at the HTTP level.
type fixture struct {
	t           testing.TB
	cfg         *config.Config
	server      *Server
	api         *httptest.Server
	credentials *fixedCredentials
	private     *rsa.PrivateKey
	keyServer   *httptest.Server
	objects     *objectServer
	receiver    *receiver
	logger      *slog.Logger
	scan        *logscan.Scan
	configFile  string
	clock       func() time.Time // nil for the machine's
	stop        func()
}

// objectServer answers HEAD for the objects that a test put.
type objectServer struct {
	*httptest.Server
	mu      sync.Mutex
	objects map[string]http.Header
}

func newObjectServer(t testing.TB) *objectServer {
	o := &objectServer{objects: map[string]http.Header{}}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		header, ok := o.objects[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		for k, v := range header {
			w.Header()[k] = v
		}
	}))
	t.Cleanup(o.Close)
	return o
}

// receiver is the application's webhook.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	failures int
	got      []received
}

type received struct {
	header http.Header
	body   []byte
}

func newReceiver(t testing.TB) *receiver {
	rc := &receiver{}
	rc.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		rc.mu.Lock()
		defer rc.mu.Unlock()
		if rc.failures > 0 {
			rc.failures--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		rc.got = append(rc.got, received{r.Header, body})
	}))
	t.Cleanup(rc.Close)
	return rc
}

func (rc *receiver) received() []received {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return append([]received(nil), rc.got...)
}

func newFixture(t testing.TB, change ...func(*config.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, objects: newObjectServer(t), receiver: newReceiver(t)}
	var err error
	if f.private, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&f.private.PublicKey)})
	f.keyServer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(public) }))
	t.Cleanup(f.keyServer.Close)
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	f.cfg = &config.Config{
		Fixed: config.Fixed{
			Tenant:         "family/album",
			TenantUID:      "uid-1",
			Bucket:         config.Bucket{Name: "family-album", Region: "cn-hangzhou", Prefix: "album/", Endpoint: f.objects.URL, UploadURL: "https://family-album.oss-cn-hangzhou.aliyuncs.com"},
			Auth:           config.Auth{JWT: &config.JWT{HS256SecretFile: file("jwt", testSecret), UserClaim: "sub"}},
			Callback:       config.Callback{URL: testCallbackURL, KeyURLPrefixes: []string{f.keyServer.URL + "/keys/"}},
			Events:         &config.Events{URL: f.receiver.URL + "/hook?token=secretquery", SecretFile: file("events", testEventSecret)},
			TicketKeysFile: file("keys.json", `{"current":"k1","keys":{"k1":"`+base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))+`"}}`),
			Index:          config.Index{SQLitePath: filepath.Join(dir, "index.db")},
		},
		Live: config.Live{
			Limits:         config.Limits{MinSize: 1, MaxSize: 20 << 20, ContentTypes: []string{"image/jpeg", "image/png"}, Extensions: []string{"jpg", "jpeg", "png"}, FilesPerRequest: 20},
			KeyTemplate:    "{prefix}{user}/{yyyy}/{mm}/{dd}/{id}.{ext}",
			Grant:          config.Grant{Signature: "V4", Expiry: 300},
			AllowedOrigins: []string{"https://h5.example.com"},
		},
	}
	for _, c := range change {
		c(f.cfg)
	}
	f.credentials = &fixedCredentials{cred: sts.Credential{AccessKeyID: "STS.A", AccessKeySecret: "sts-secret", SecurityToken: "security-token", Expires: time.Now().Add(time.Hour)}}
	f.scan = logscan.New(t, testSecret, testEventSecret, strings.TrimPrefix(testEventSecret, "whsec_"), "sts-secret", "security-token", "secretquery",
		base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)))
	f.logger = f.scan.Logger()
	f.start()
	return f
}

// start runs a server on the fixture's config; a second start is a restart.
func (f *fixture) start() {
	f.t.Helper()
	server, err := New(context.Background(), Options{Config: f.cfg, ConfigFile: f.configFile, Credentials: f.credentials, Logger: f.logger, Clock: f.clock})
	if err != nil {
		f.t.Fatal(err)
	}
	f.fetchKey(server)
	f.server, f.api = server, httptest.NewServer(server.API())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); server.Run(ctx) }()
	var once sync.Once
	api := f.api
	f.stop = func() {
		once.Do(func() {
			api.Close()
			cancel()
			<-done
			server.Close()
		})
	}
	f.t.Cleanup(f.stop)
}

// fetchKey makes the server know the key of callbacks: a busy machine may need longer for it than a callback has.
func (f *fixture) fetchKey(server *Server) {
	f.t.Helper()
	if server.keys == nil {
		return
	}
	allow, err := callback.ParseAllowList(f.cfg.Callback.KeyURLPrefixes)
	if err != nil {
		f.t.Fatal(err)
	}
	server.keys = callback.NewKeys(allow, &http.Client{Timeout: await.Patience}, server.clock)
	if _, err := server.keys.Get(context.Background(), f.keyServer.URL+"/keys/key.pem"); err != nil {
		f.t.Fatal(err)
	}
}

// stopClock restarts the server with a clock that stands still, for what must not end on a busy machine.
func (f *fixture) stopClock() {
	f.t.Helper()
	now := time.Now()
	f.stop()
	f.clock = func() time.Time { return now }
	f.start()
}

// send sends a request. The server answers before it has read a body that is too large and then closes the
// connection, and a busy client may notice the end before the answer: it asks again.
func send(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultClient.Do(req)
	for n := 0; n < 10 && err != nil && req.ContentLength >= 1<<20; n++ {
		again := req.Clone(req.Context())
		if again.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
		resp, err = http.DefaultClient.Do(again)
	}
	return resp, err
}

func makeJWT(user string, expires time.Time) string { return signJWT(testSecret, user, expires) }

func signJWT(secret, user string, expires time.Time) string {
	encode := base64.RawURLEncoding.EncodeToString
	claims, _ := json.Marshal(map[string]any{"sub": user, "exp": expires.Unix()})
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(claims)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

// do sends a JSON request as user and returns status, header and body.
func (f *fixture) do(user, method, path, body string) (int, http.Header, []byte) {
	f.t.Helper()
	req, err := http.NewRequest(method, f.api.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if user != "" {
		req.Header.Set("Authorization", "Bearer "+makeJWT(user, time.Now().Add(time.Hour)))
	}
	resp, err := send(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, answer
}

func decode[T any](t testing.TB, raw []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return v
}

// grant asks for one upload and returns its verdict.
func (f *fixture) grant(user, file string) Verdict {
	f.t.Helper()
	status, _, body := f.do(user, http.MethodPost, "/v1/uploads", `{"files":[`+file+`]}`)
	if status != http.StatusOK {
		f.t.Fatalf("status %d: %s", status, body)
	}
	return decode[UploadsResponse](f.t, body).Uploads[0]
}

const onePhoto = `{"name":"a.jpg","size":12345,"contentType":"image/jpeg","metadata":{"album":7}}`

// callbackForm is what OSS would send for a stored object.
func callbackForm(v Verdict) url.Values {
	return url.Values{"ticket": {v.Ticket}, "bucket": {"family-album"}, "object": {v.Key}, "etag": {"D8E8FCA2DC0F896FD7CB4CB0031BA249"}, "size": {"12345"},
		"mimeType": {"image/jpeg"}, "crc64": {"16633938635979353501"}, "contentMd5": {"2Oj8otwPiW/Xy0ywAxuiSQ=="}, "height": {"10"}, "width": {"20"}, "format": {"jpg"}}
}

type callbackRequest struct {
	path, signedPath, keyURL, body string
	tamper                         func(*http.Request)
	unstored                       bool // there is no such object
}

// stored makes the object that a callback speaks of, as OSS does before it calls.
func (f *fixture) stored(form url.Values) {
	t, err := f.server.tickets.Open(form.Get("ticket"))
	if err != nil || form.Get("object") != t.Key {
		return
	}
	f.objects.mu.Lock()
	defer f.objects.mu.Unlock()
	f.objects.objects["/family-album/"+t.Key] = http.Header{"X-Oss-Meta-Ticket": {form.Get("ticket")}, "Content-Length": {form.Get("size")},
		"Content-Type": {form.Get("mimeType")}, "Etag": {`"` + form.Get("etag") + `"`}, "X-Oss-Hash-Crc64ecma": {form.Get("crc64")}, "Content-Md5": {form.Get("contentMd5")}}
}

// callback sends a callback signed with the fixture's key, for an object that is stored.
func (f *fixture) callback(c callbackRequest) (int, []byte) {
	f.t.Helper()
	if c.path == "" {
		c.path = "/family/album/callback"
	}
	if c.signedPath == "" {
		c.signedPath = "/family/album/callback"
	}
	if c.keyURL == "" {
		c.keyURL = f.keyServer.URL + "/keys/key.pem"
	}
	if form, err := url.ParseQuery(c.body); err == nil && !c.unstored {
		f.stored(form)
	}
	digest := md5.Sum([]byte(c.signedPath + "\n" + c.body))
	signature, err := rsa.SignPKCS1v15(nil, f.private, crypto.MD5, digest[:])
	if err != nil {
		f.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, f.api.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", base64.StdEncoding.EncodeToString(signature))
	req.Header.Set("X-Oss-Pub-Key-Url", base64.StdEncoding.EncodeToString([]byte(c.keyURL)))
	if c.tamper != nil {
		c.tamper(req)
	}
	resp, err := send(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.ContentLength < 0 {
		f.t.Error("the answer to a callback has no Content-Length")
	}
	return resp.StatusCode, body
}

func (f *fixture) records(user string) []Record {
	f.t.Helper()
	status, _, body := f.do(user, http.MethodGet, "/v1/uploads?limit=100", "")
	if status != http.StatusOK {
		f.t.Fatalf("status %d: %s", status, body)
	}
	return decode[UploadList](f.t, body).Items
}

// metric reads one sample of the ops port.
func (f *fixture) metric(sample string) string {
	f.t.Helper()
	recorder := httptest.NewRecorder()
	f.server.Ops().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.SplitSeq(recorder.Body.String(), "\n") {
		if value, ok := strings.CutPrefix(line, sample+" "); ok {
			return value
		}
	}
	return ""
}

func TestCallbackIsRecordedAndDeliveredOnce(t *testing.T) {
	f := newFixture(t)
	f.receiver.failures = 1
	v := f.grant("alice", onePhoto)
	body := callbackForm(v).Encode()
	for range 3 {
		status, answer := f.callback(callbackRequest{body: body})
		if status != http.StatusOK {
			t.Fatalf("status %d: %s", status, answer)
		}
		if r := decode[Record](t, answer); r.ID != v.ID || r.MD5 != "d8e8fca2dc0f896fd7cb4cb0031ba249" || string(r.Metadata) != `{"album":7}` || r.Image == nil || r.Image.Width != 20 {
			t.Errorf("record %s", answer)
		}
	}
	if got := f.records("alice"); len(got) != 1 || got[0].ID != v.ID || got[0].Key != v.Key || got[0].Status != "completed" {
		t.Errorf("records %+v", got)
	}
	await.True(t, "the event arrives", func() bool { return len(f.receiver.received()) > 0 })
	await.True(t, "the outbox is empty", func() bool { return f.metric("uploadtenant_signer_events_pending") == "0" })
	got := f.receiver.received()
	if len(got) != 1 {
		t.Fatalf("%d events", len(got))
	}
	event := decode[Event](t, got[0].body)
	if event.Type != "upload.completed" || event.Data.ID != v.ID || event.Data.User != "alice" || event.Data.Tenant != "family/album" {
		t.Errorf("event %s", got[0].body)
	}
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(testEventSecret, "whsec_"))
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", v.ID, got[0].header.Get("Webhook-Timestamp"), got[0].body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); got[0].header.Get("Webhook-Signature") != want || got[0].header.Get("Webhook-Id") != v.ID {
		t.Errorf("headers %v", got[0].header)
	}
	for sample, want := range map[string]string{
		`uploadtenant_signer_callbacks_total{reason="",result="recorded"}`:  "1",
		`uploadtenant_signer_callbacks_total{reason="",result="duplicate"}`: "2",
		`uploadtenant_signer_records_total{source="callback"}`:              "1",
	} {
		if got := f.metric(sample); got != want {
			t.Errorf("%s is %q, want %s", sample, got, want)
		}
	}
}
