package oss_test

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/uploadtenant/uploadtenant/emulator/emulatortest"
	"github.com/uploadtenant/uploadtenant/emulator/oss"
)

const bucket = "family-album"

func TestPostObjectStoresTheFile(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	f := v4Form(adminKey(i), time.Now(), bucket, "album/a.jpg", []byte("hello"),
		map[string]string{"key": "album/a.jpg"}, []any{"content-length-range", 5, 5},
		map[string]string{"x-oss-content-type": "image/jpeg"}, map[string]string{"x-oss-meta-ticket": "sealed"})
	f.partType = "text/html"
	f.set("x-oss-content-type", "image/jpeg")
	f.set("x-oss-meta-ticket", "sealed")
	a := post(t, i, bucket, f)
	if a.Status != http.StatusNoContent || a.Body != "" {
		t.Fatalf("status %d, body %s", a.Status, a.Body)
	}
	if got, want := a.Header.Get("ETag"), `"5D41402ABC4B2A76B9719D911017C592"`; got != want {
		t.Errorf("ETag = %s, want %s", got, want)
	}
	if a.Header.Get("x-oss-request-id") == "" || a.Header.Get("Server") != "AliyunOSS" {
		t.Errorf("headers = %v", a.Header)
	}
	if got := read(t, i, bucket, "album/a.jpg"); got != "hello" {
		t.Errorf("content = %q", got)
	}
	head, err := client(i, adminKey(i)).HeadObject(t.Context(), &sdk.HeadObjectRequest{Bucket: sdk.Ptr(bucket), Key: sdk.Ptr("album/a.jpg")})
	if err != nil {
		t.Fatal(err)
	}
	if got := sdk.ToString(head.ContentType); got != "image/jpeg" {
		t.Errorf("content type = %q: x-oss-content-type outranks the part's own", got)
	}
	if head.Metadata["ticket"] != "sealed" {
		t.Errorf("metadata = %v", head.Metadata)
	}
}

// pinned is a form that pins every field that it sends, as the product's signer makes them.
func pinned(i *emulatortest.Instance) *form {
	fields := map[string]string{
		"key": "album/a.jpg", "x-oss-content-type": "image/jpeg", "x-oss-object-acl": "private", "x-oss-forbid-overwrite": "true",
		"x-oss-meta-ticket": "sealed", "success_action_status": "200",
	}
	conditions := []any{[]any{"content-length-range", 5, 5}}
	for name, value := range fields {
		conditions = append(conditions, map[string]string{name: value})
	}
	f := v4Form(adminKey(i), time.Now(), bucket, "album/a.jpg", []byte("hello"), conditions...)
	for name, value := range fields {
		f.set(name, value)
	}
	return f
}

func TestPinnedFieldsCannotBeChangedOrLeftOut(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	for _, field := range pinned(i).fields {
		name := field[0]
		if name == "policy" || name == "x-oss-signature" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			changed := pinned(i)
			changed.set(name, field[1]+"x")
			if a := post(t, i, bucket, changed); a.Status < 400 {
				t.Errorf("changed: status %d, want a refusal", a.Status)
			}
			without := pinned(i)
			without.drop(name)
			if a := post(t, i, bucket, without); a.Status < 400 {
				t.Errorf("left out: status %d, want a refusal", a.Status)
			}
		})
	}
	f := pinned(i)
	f.content = []byte("hello!")
	if a := post(t, i, bucket, f); a.Error.EC != "0006-00000003" {
		t.Errorf("larger file: %+v, want EC 0006-00000003", a.Error)
	}
	if a := post(t, i, bucket, pinned(i)); a.Status != http.StatusOK {
		t.Errorf("unchanged: %d %s", a.Status, a.Body)
	}
	if a := post(t, i, bucket, pinned(i)); a.Status != http.StatusConflict || a.Error.Code != "FileAlreadyExists" {
		t.Errorf("again: %d %+v, want FileAlreadyExists", a.Status, a.Error)
	}
}

func TestPostObjectAnswers(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	tests := map[string]struct {
		fields       map[string]string
		wantStatus   int
		wantBody     string
		wantLocation string
	}{
		"nothing asked":   {wantStatus: 204},
		"200":             {fields: map[string]string{"success_action_status": "200"}, wantStatus: 200},
		"201 is XML":      {fields: map[string]string{"success_action_status": "201"}, wantStatus: 201, wantBody: "<PostResponse><Bucket>family-album</Bucket>"},
		"unknown is 204":  {fields: map[string]string{"success_action_status": "418"}, wantStatus: 204},
		"redirect":        {fields: map[string]string{"success_action_redirect": "http://x.example/done?a=b"}, wantStatus: 303, wantLocation: "http://x.example/done?a=b&bucket=family-album&etag=%225D41402ABC4B2A76B9719D911017C592%22&key=k"},
		"redirect before": {fields: map[string]string{"success_action_redirect": "http://x.example/", "success_action_status": "201"}, wantStatus: 303},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := v4Form(adminKey(i), time.Now(), bucket, "k", []byte("hello"))
			for n, v := range tt.fields {
				f.set(n, v)
			}
			a := post(t, i, bucket, f)
			if a.Status != tt.wantStatus || !strings.Contains(a.Body, tt.wantBody) {
				t.Errorf("answer = %d %s, want %d %s", a.Status, a.Body, tt.wantStatus, tt.wantBody)
			}
			if tt.wantLocation != "" && a.Header.Get("Location") != tt.wantLocation {
				t.Errorf("location = %s, want %s", a.Header.Get("Location"), tt.wantLocation)
			}
		})
	}
}

func TestFilenameIsFilledInAfterThePolicyCheck(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	f := v4Form(adminKey(i), time.Now(), bucket, "album/${filename}", []byte("x"), map[string]string{"key": "album/${filename}"})
	f.filename = `C:\photos\猫.jpg`
	if a := post(t, i, bucket, f); a.Status != 204 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if got := read(t, i, bucket, "album/猫.jpg"); got != "x" {
		t.Errorf("content = %q", got)
	}
}

func TestContentTypePrecedence(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	tests := map[string]struct {
		part, field, oss, want string
	}{
		"nothing":          {want: "application/octet-stream"},
		"field":            {field: "a/field", want: "a/field"},
		"part over field":  {field: "a/field", part: "a/part", want: "a/part"},
		"x-oss-* over all": {field: "a/field", part: "a/part", oss: "a/oss", want: "a/oss"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := v4Form(adminKey(i), time.Now(), bucket, "k", []byte("x"))
			f.partType = tt.part
			if tt.field != "" {
				f.set("Content-Type", tt.field)
			}
			if tt.oss != "" {
				f.set("x-oss-content-type", tt.oss)
			}
			if a := post(t, i, bucket, f); a.Status != 204 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			head, err := client(i, adminKey(i)).HeadObject(t.Context(), &sdk.HeadObjectRequest{Bucket: sdk.Ptr(bucket), Key: sdk.Ptr("k")})
			if err != nil {
				t.Fatal(err)
			}
			if got := sdk.ToString(head.ContentType); got != tt.want {
				t.Errorf("content type = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestContentMD5CoversTheWholeBody(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	f := v4Form(adminKey(i), time.Now(), bucket, "k", []byte("x"))
	contentType, body := f.body(t)
	sum := md5.Sum(body)
	for value, want := range map[string]int{base64.StdEncoding.EncodeToString(sum[:]): 204, "AAAAAAAAAAAAAAAAAAAAAA==": 400} {
		req, _ := http.NewRequest(http.MethodPost, i.OSSURL+"/"+bucket, strings.NewReader(string(body)))
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("Content-MD5", value)
		if a := do(t, req); a.Status != want || want == 400 && a.Error.Code != "InvalidDigest" {
			t.Errorf("Content-MD5 %s: %d %+v, want %d", value, a.Status, a.Error, want)
		}
	}
}

func TestHostStyleAndCNAME(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	if err := i.Emulator.Server().SetBucketCNAME(bucket, "upload.example.com"); err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(i.OSSURL)
	for _, host := range []string{
		bucket + ".localhost:" + u.Port(), bucket + ".127.0.0.1:" + u.Port(), bucket + ".oss-cn-hangzhou.aliyuncs.com",
		bucket + ".emulator.test", "upload.example.com",
	} {
		t.Run(host, func(t *testing.T) {
			f := v4Form(adminKey(i), time.Now(), bucket, "k", []byte("x"))
			f.set("success_action_status", "201")
			contentType, body := f.body(t)
			req, _ := http.NewRequest(http.MethodPost, i.OSSURL, strings.NewReader(string(body)))
			req.Host = host
			req.Header.Set("Content-Type", contentType)
			a := do(t, req)
			if want := "<Location>http://" + host + "/k</Location>"; a.Status != 201 || !strings.Contains(a.Body, want) {
				t.Errorf("%d %s, want %s", a.Status, a.Body, want)
			}
		})
	}
}

func TestExpiryIsJudgedWhenTheBodyHasArrived(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	calls := 0
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket), emulatortest.WithClock(func() time.Time {
		calls++
		return now.Add(time.Duration(calls) * 4 * time.Minute) // every look at the clock is 4 minutes later
	}))
	a := post(t, i, bucket, v4Form(adminKey(i), now.Add(time.Duration(calls)*4*time.Minute), bucket, "k", []byte("x")))
	if a.Error.EC != "0006-00000213" || a.Error.Message != "Invalid according to Policy: Policy expired." {
		t.Errorf("%d %+v, want EC 0006-00000213", a.Status, a.Error)
	}
}

func TestAnonymousFormNeedsAPublicBucket(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithRules(oss.Rules{PublicByDefault: true}), emulatortest.WithBuckets(bucket))
	f := &form{content: []byte("x")}
	f.set("key", "k")
	if a := post(t, i, bucket, f); a.Status != 403 || a.Error.Message != "You have no right to access this object because of bucket acl." {
		t.Errorf("private: %d %+v", a.Status, a.Error)
	}
	if _, err := client(i, adminKey(i)).PutBucketAcl(t.Context(), &sdk.PutBucketAclRequest{Bucket: sdk.Ptr(bucket), Acl: sdk.BucketACLPublicReadWrite}); err != nil {
		t.Fatal(err)
	}
	if a := post(t, i, bucket, f); a.Status != 204 {
		t.Errorf("public-read-write: %d %+v", a.Status, a.Error)
	}
}

func TestV1FormAndItsRetirement(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	f := func() *form {
		return v1Form(adminKey(i), time.Now(), "k", []byte("x"), []any{"starts-with", "$key", ""})
	}
	if a := post(t, i, bucket, f()); a.Status != 204 {
		t.Fatalf("%d %+v", a.Status, a.Error)
	}
	lower := f()
	signature := lower.fields[3][1]
	lower.drop("Signature")
	lower.set("signature", signature)
	if a := post(t, i, bucket, lower); a.Status != 204 {
		t.Errorf("lower-case signature: %d %+v", a.Status, a.Error)
	}
	if err := i.Emulator.Server().SetBucketV1(bucket, false); err != nil {
		t.Fatal(err)
	}
	if a := post(t, i, bucket, f()); a.Status != 403 || a.Error.EC != "0002-00000080" {
		t.Errorf("retired: %d %+v, want EC 0002-00000080", a.Status, a.Error)
	}
}

func TestLargeFileIsSpilled(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	content := []byte(strings.Repeat("0123456789abcdef", 1<<16)) // 1 MiB
	if a := post(t, i, bucket, v4Form(adminKey(i), time.Now(), bucket, "k", content)); a.Status != 204 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if got := read(t, i, bucket, "k"); got != string(content) {
		t.Errorf("read %d bytes, want %d", len(got), len(content))
	}
}

func TestBoundaryInsideTheFile(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	for n, content := range []string{"\r\n--", "\r\n--B", "\r", "--B--", "\r\n--B\r", strings.Repeat("\r\n--", 1000), "\r\n--x\r\n\r\n"} {
		f := v4Form(adminKey(i), time.Now(), bucket, fmt.Sprint("k", n), []byte(content))
		if a := post(t, i, bucket, f); a.Status != 204 {
			t.Fatalf("%q: %d %s", content, a.Status, a.Body)
		}
		if got := read(t, i, bucket, fmt.Sprint("k", n)); got != content {
			t.Errorf("read %q, want %q", got, content)
		}
	}
}
