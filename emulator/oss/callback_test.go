package oss_test

import (
	"crypto/md5"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/uploadtenant/uploadtenant/emulator/emulatortest"
	"github.com/uploadtenant/uploadtenant/emulator/oss"
)

// application is a callback receiver that keeps what it got.
type application struct {
	*httptest.Server
	mu       sync.Mutex
	requests []received
}

type received struct {
	URI, Body string
	Header    http.Header
	Host      string
}

func startApplication(t *testing.T, answer http.HandlerFunc) *application {
	t.Helper()
	a := &application{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a.mu.Lock()
		a.requests = append(a.requests, received{r.RequestURI, string(body), r.Header, r.Host})
		a.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

func sayOK(w http.ResponseWriter, _ *http.Request) {
	body := `{"ok":true}`
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	io.WriteString(w, body)
}

func (a *application) all() []received {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]received(nil), a.requests...)
}

func callbackParam(fields map[string]any) string {
	return base64.StdEncoding.EncodeToString([]byte(mustJSON(fields)))
}

// verify checks a PKCS #1 v1.5 MD5 signature by hand: crypto/rsa refuses keys as short as the real one.
func verify(t *testing.T, keyPEM []byte, text, signature string) {
	t.Helper()
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		t.Fatalf("no PEM in %q", keyPEM)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	public := parsed.(*rsa.PublicKey)
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	em := new(big.Int).Exp(new(big.Int).SetBytes(raw), big.NewInt(int64(public.E)), public.N).FillBytes(make([]byte, public.Size()))
	sum := md5.Sum([]byte(text))
	want := append([]byte{0, 1}, []byte(strings.Repeat("\xff", public.Size()-3-18-16))...)
	want = append(append(append(want, 0), "\x30\x20\x30\x0c\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x05\x05\x00\x04\x10"...), sum[:]...)
	if string(em) != string(want) {
		t.Errorf("signature does not cover %q", text)
	}
}

func photo(t *testing.T) []byte {
	t.Helper()
	var b strings.Builder
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 7, 5)), nil); err != nil {
		t.Fatal(err)
	}
	return []byte(b.String())
}

func TestCallbackIsSignedAndFilledIn(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	app := startApplication(t, sayOK)
	content := photo(t)
	sum := md5.Sum(content)
	f := v4Form(adminKey(i), time.Now(), bucket, "album/猫 1.jpg", content)
	f.partType = "image/jpeg"
	f.set("x:user", "a&b=c")
	f.set("success_action_status", "201")
	f.set("callback", callbackParam(map[string]any{
		"callbackUrl":  app.URL + "/hook%20me?id=1&b=%41",
		"callbackHost": "app.example.com",
		"callbackBody": "bucket=${bucket}&object=${object}&etag=${etag}&size=${size}&mimeType=${mimeType}&w=${imageInfo.width}" +
			"&h=${imageInfo.height}&f=${imageInfo.format}&crc64=${crc64}&md5=${contentMd5}&op=${operation}&user=${x:user}&none=${x:none}&ip=${clientIp}",
	}))
	a := post(t, i, bucket, f)
	if a.Status != 200 || a.Body != `{"ok":true}` || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("answer = %d %s, want the application's", a.Status, a.Body)
	}
	got := app.all()
	if len(got) != 1 {
		t.Fatalf("%d callbacks, want 1", len(got))
	}
	values, err := url.ParseQuery(got[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	delete(values, "crc64")
	want := url.Values{
		"bucket": {bucket}, "object": {"album/猫 1.jpg"}, "etag": {strings.Trim(a.Header.Get("ETag"), `"`)}, "size": {fmt.Sprint(len(content))},
		"mimeType": {"image/jpeg"}, "w": {"7"}, "h": {"5"}, "f": {"jpg"}, "md5": {base64.StdEncoding.EncodeToString(sum[:])},
		"op": {"PostObject"}, "user": {"a&b=c"}, "none": {""}, "ip": {"127.0.0.1"},
	}
	if d := cmp.Diff(want, values); d != "" {
		t.Errorf("body (-want +got):\n%s", d)
	}
	if !strings.Contains(got[0].Body, "mimeType=image%2Fjpeg") || got[0].Host != "app.example.com" {
		t.Errorf("body %q, host %q", got[0].Body, got[0].Host)
	}
	keyURL, err := base64.StdEncoding.DecodeString(got[0].Header.Get("x-oss-pub-key-url"))
	if err != nil || string(keyURL) != i.OSSURL+oss.KeyPath {
		t.Fatalf("key URL = %q, %v", keyURL, err)
	}
	req, _ := http.NewRequest(http.MethodGet, string(keyURL), nil)
	key := do(t, req)
	verify(t, []byte(key.Body), "/hook me?id=1&b=%41\n"+got[0].Body, got[0].Header.Get("Authorization"))
}

func TestCallbackJSONTemplate(t *testing.T) {
	tests := map[string]struct {
		template, want string
	}{
		"strings get quotes":    {`{"o":${object},"t":${mimeType}}`, `{"o":"a\"b","t":"text/plain"}`},
		"numbers do not":        {`{"size":${size}}`, `{"size":1}`},
		"missing image is null": {`{"w":${imageInfo.width},"f":${imageInfo.format}}`, `{"w":null,"f":""}`},
		"inside a string":       {`{"x":"${size}-${object}-${x:v}"}`, `{"x":"1-a\"b-v\\"}`},
		"custom":                {`{"v":${x:v},"n":${x:n}}`, `{"v":"v\\","n":""}`},
	}
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	app := startApplication(t, sayOK)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := v4Form(adminKey(i), time.Now(), bucket, `a"b`, []byte("x"))
			f.partType = "text/plain"
			f.set("x:v", `v\`)
			f.set("callback", callbackParam(map[string]any{"callbackUrl": app.URL, "callbackBody": tt.template, "callbackBodyType": "application/json"}))
			if a := post(t, i, bucket, f); a.Status != 200 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			all := app.all()
			last := all[len(all)-1]
			if last.Body != tt.want || last.Header.Get("Content-Type") != "application/json" {
				t.Errorf("body = %s, want %s", last.Body, tt.want)
			}
		})
	}
}

func TestCallbackFailuresAre203AndKeepTheObject(t *testing.T) {
	answer := func(status int, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if len(header) == 0 {
				w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
			if len(header) > 0 {
				w.(http.Flusher).Flush()
			}
		}
	}
	tests := map[string]struct {
		answer      http.HandlerFunc
		wantMessage string
		wantEC      string
	}{
		"redirect":        {answer(301, "{}"), "Error status : 301.", "0007-00000203"},
		"server error":    {answer(502, "{}"), "Error status : 502.", "0007-00000203"},
		"not JSON":        {answer(200, "thanks"), "Response body is not valid json format.", "0007-00000205"},
		"empty":           {answer(200, ""), "Response body is not valid json format.", "0007-00000205"},
		"chunked":         {answer(200, `{}`, "chunked"), "Error status : 200. The response has no valid Content-Length.", ""},
		"too large":       {answer(200, `"`+strings.Repeat("x", 1<<20)+`"`), "Error Status : 400.User server return too long content-length value.", ""},
		"closes the line": {func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, "Error status : -1. OSS can not connect to your callbackUrl, please check it.", ""},
	}
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			app := startApplication(t, tt.answer)
			f := v4Form(adminKey(i), time.Now(), bucket, name, []byte("kept"))
			f.set("callback", callbackParam(map[string]any{"callbackUrl": app.URL, "callbackBody": "a=b"}))
			a := post(t, i, bucket, f)
			if a.Status != 203 || a.Error.Code != "CallbackFailed" || a.Error.Message != tt.wantMessage || a.Error.EC != tt.wantEC {
				t.Errorf("answer = %d %+v, want %q %s", a.Status, a.Error, tt.wantMessage, tt.wantEC)
			}
			if n := len(app.all()); n != 1 {
				t.Errorf("%d callbacks, want 1: OSS does not retry", n)
			}
			if got := read(t, i, bucket, name); got != "kept" {
				t.Errorf("object = %q", got)
			}
		})
	}
}

func TestCallbackTriesItsURLsInOrder(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	bad := startApplication(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	good, never := startApplication(t, sayOK), startApplication(t, sayOK)
	f := v4Form(adminKey(i), time.Now(), bucket, "k", []byte("x"))
	f.set("callback", callbackParam(map[string]any{"callbackUrl": bad.URL + ";" + good.URL + ";" + never.URL, "callbackBody": "a=b"}))
	if a := post(t, i, bucket, f); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if len(bad.all()) != 1 || len(good.all()) != 1 || len(never.all()) != 0 {
		t.Errorf("callbacks %d %d %d, want 1 1 0", len(bad.all()), len(good.all()), len(never.all()))
	}
}

func TestCallbackParameters(t *testing.T) {
	body := "a=b"
	tests := map[string]struct {
		callback string
		fields   map[string]string
		rules    oss.Rules
		wantEC   string
		wantCode string
		status   int
	}{
		"not base64":       {callback: "%%", status: 400, wantCode: "InvalidArgument"},
		"not JSON":         {callback: base64.StdEncoding.EncodeToString([]byte("x")), status: 400, wantCode: "InvalidArgument"},
		"no URL":           {callback: callbackParam(map[string]any{"callbackBody": body}), status: 204},
		"bad port":         {callback: callbackParam(map[string]any{"callbackUrl": "www.callback-example.com:test", "callbackBody": body}), status: 400, wantCode: "InvalidArgument", wantEC: "0007-00000004"},
		"not encoded":      {callback: callbackParam(map[string]any{"callbackUrl": "http://x.example/中文", "callbackBody": body}), status: 400, wantCode: "InvalidArgument", wantEC: "0007-00000004"},
		"IPv6":             {callback: callbackParam(map[string]any{"callbackUrl": "http://[::1]/", "callbackBody": body}), status: 400, wantCode: "InvalidArgument", wantEC: "0007-00000004"},
		"six URLs":         {callback: callbackParam(map[string]any{"callbackUrl": strings.Repeat("http://x.example/;", 6), "callbackBody": body}), status: 400, wantCode: "InvalidArgument", wantEC: "0007-00000004"},
		"private":          {callback: callbackParam(map[string]any{"callbackUrl": "127.0.0.1:8088/test.php", "callbackBody": body}), rules: oss.Rules{RefusePrivateCallbacks: true}, status: 400, wantCode: "InvalidArgument", wantEC: "0007-00000008"},
		"no body":          {callback: callbackParam(map[string]any{"callbackUrl": "http://x.example/"}), status: 400, wantCode: "InvalidArgument", wantEC: "0007-00000011"},
		"bad type":         {callback: callbackParam(map[string]any{"callbackUrl": "http://x.example/", "callbackBody": body, "callbackBodyType": "text/plain"}), status: 400, wantCode: "InvalidArgument", wantEC: "0007-00000012"},
		"bad template":     {callback: callbackParam(map[string]any{"callbackUrl": "http://x.example/", "callbackBody": "a=${b"}), status: 400, wantCode: "InvalidArgument"},
		"template no JSON": {callback: callbackParam(map[string]any{"callbackUrl": "http://x.example/", "callbackBody": body, "callbackBodyType": "application/json"}), status: 400, wantCode: "InvalidArgument"},
		"upper-case x:":    {callback: callbackParam(map[string]any{"callbackUrl": "http://x.example/", "callbackBody": body}), fields: map[string]string{"x:User": "u"}, status: 400, wantCode: "InvalidArgument"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			i := emulatortest.Start(t, emulatortest.WithBuckets(bucket), emulatortest.WithRules(tt.rules))
			f := v4Form(adminKey(i), time.Now(), bucket, "k", []byte("x"))
			f.set("callback", tt.callback)
			for n, v := range tt.fields {
				f.set(n, v)
			}
			a := post(t, i, bucket, f)
			if a.Status != tt.status || a.Error.Code != tt.wantCode || a.Error.EC != tt.wantEC || a.Header.Get("x-oss-ec") != tt.wantEC {
				t.Errorf("answer = %d %+v, want %d %s %s", a.Status, a.Error, tt.status, tt.wantCode, tt.wantEC)
			}
		})
	}
}
