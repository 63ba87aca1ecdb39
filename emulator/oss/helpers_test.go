package oss_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"

	"github.com/uploadtenant/uploadtenant/emulator/emulatortest"
	"github.com/uploadtenant/uploadtenant/test/await"
)

// key is who signs a form.
type key struct{ id, secret, token string }

func adminKey(i *emulatortest.Instance) key { return key{id: i.AccessKeyID, secret: i.AccessKeySecret} }

// form is a form upload under construction: what a browser or a mini-program sends.
type form struct {
	fields   [][2]string
	filename string
	partType string
	content  []byte
	// raw replaces the whole multipart body.
	raw    string
	header http.Header
	after  [][2]string // fields after the file
}

func (f *form) set(name, value string) {
	for i := range f.fields {
		if f.fields[i][0] == name {
			f.fields[i][1] = value
			return
		}
	}
	f.fields = append(f.fields, [2]string{name, value})
}

func (f *form) drop(name string) {
	var kept [][2]string
	for _, field := range f.fields {
		if field[0] != name {
			kept = append(kept, field)
		}
	}
	f.fields = kept
}

// v4Form signs a form with signature version 4. Conditions are added to those that the signature itself needs.
func v4Form(k key, now time.Time, bucket, objectKey string, content []byte, conditions ...any) *form {
	now = now.UTC()
	date, day := now.Format("20060102T150405Z"), now.Format("20060102")
	credential := k.id + "/" + day + "/cn-hangzhou/oss/aliyun_v4_request"
	all := []any{
		map[string]string{"bucket": bucket},
		map[string]string{"x-oss-signature-version": "OSS4-HMAC-SHA256"},
		map[string]string{"x-oss-credential": credential},
		map[string]string{"x-oss-date": date},
	}
	f := &form{filename: "photo.jpg", content: content}
	f.set("key", objectKey)
	f.set("x-oss-signature-version", "OSS4-HMAC-SHA256")
	f.set("x-oss-credential", credential)
	f.set("x-oss-date", date)
	if k.token != "" {
		all = append(all, map[string]string{"x-oss-security-token": k.token})
		f.set("x-oss-security-token", k.token)
	}
	f.sign(k, day, mustJSON(map[string]any{
		"expiration": now.Add(10 * time.Minute).Format("2006-01-02T15:04:05.000Z"),
		"conditions": append(all, conditions...),
	}))
	return f
}

// sign puts a policy text and its V4 signature into the form.
func (f *form) sign(k key, day, policy string) {
	encoded := base64.StdEncoding.EncodeToString([]byte(policy))
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		io.WriteString(h, text)
		return h.Sum(nil)
	}
	signing := []byte("aliyun_v4" + k.secret)
	for _, part := range []string{day, "cn-hangzhou", "oss", "aliyun_v4_request"} {
		signing = mac(signing, part)
	}
	f.set("policy", encoded)
	f.set("x-oss-signature", hex.EncodeToString(mac(signing, encoded)))
}

// v1Form signs a form with signature version 1.
func v1Form(k key, now time.Time, objectKey string, content []byte, conditions ...any) *form {
	f := &form{filename: "photo.jpg", content: content}
	policy := base64.StdEncoding.EncodeToString([]byte(mustJSON(map[string]any{
		"expiration": now.UTC().Add(10 * time.Minute).Format("2006-01-02T15:04:05Z"), "conditions": conditions,
	})))
	h := hmac.New(sha1.New, []byte(k.secret))
	io.WriteString(h, policy)
	f.set("key", objectKey)
	f.set("OSSAccessKeyId", k.id)
	f.set("policy", policy)
	f.set("Signature", base64.StdEncoding.EncodeToString(h.Sum(nil)))
	if k.token != "" {
		f.set("x-oss-security-token", k.token)
	}
	return f
}

func mustJSON(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}

// body renders the multipart body.
func (f *form) body(tb testing.TB) (contentType string, body []byte) {
	tb.Helper()
	if f.raw != "" {
		return "multipart/form-data; boundary=B", []byte(f.raw)
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	write := func(fields [][2]string) {
		for _, field := range fields {
			if err := w.WriteField(field[0], field[1]); err != nil {
				tb.Fatal(err)
			}
		}
	}
	write(f.fields)
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", fmt.Sprintf(`form-data; name="file"; filename=%q`, f.filename))
	if f.partType != "" {
		h.Set("Content-Type", f.partType)
	}
	p, err := w.CreatePart(h)
	if err != nil {
		tb.Fatal(err)
	}
	p.Write(f.content)
	write(f.after)
	w.Close()
	return w.FormDataContentType(), b.Bytes()
}

// answer is what a server said.
type answer struct {
	Status int
	Header http.Header
	Body   string
	Error  ossError
}

type ossError struct {
	Code, Message, RequestId, HostId, EC string
}

// post sends the form to a bucket in path style.
func post(tb testing.TB, i *emulatortest.Instance, bucket string, f *form) answer {
	tb.Helper()
	contentType, body := f.body(tb)
	req, err := http.NewRequest(http.MethodPost, i.OSSURL+"/"+bucket, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	for name, values := range f.header {
		req.Header[name] = values
	}
	return do(tb, req)
}

func do(tb testing.TB, req *http.Request) answer {
	tb.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	a := answer{Status: resp.StatusCode, Header: resp.Header, Body: string(raw)}
	if strings.Contains(a.Body, "<Error>") {
		if err := xml.Unmarshal(raw, &a.Error); err != nil {
			tb.Fatalf("error document %q: %v", raw, err)
		}
	}
	return a
}

// client is the official SDK on the emulator.
func client(i *emulatortest.Instance, k key, change ...func(*sdk.Config)) *sdk.Client {
	cfg := sdk.LoadDefaultConfig().WithRegion(i.Region).WithEndpoint(i.OSSURL).WithRetryMaxAttempts(1).
		WithConnectTimeout(await.Patience).WithReadWriteTimeout(await.Patience).
		WithCredentialsProvider(credentials.NewStaticCredentialsProvider(k.id, k.secret, k.token))
	for _, c := range change {
		c(cfg)
	}
	return sdk.NewClient(cfg)
}

func read(tb testing.TB, i *emulatortest.Instance, bucket, objectKey string) string {
	tb.Helper()
	r, err := client(i, adminKey(i)).GetObject(tb.Context(), &sdk.GetObjectRequest{Bucket: &bucket, Key: &objectKey})
	if err != nil {
		tb.Fatalf("get %s: %v", objectKey, err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}
