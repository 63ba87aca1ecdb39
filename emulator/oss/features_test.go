package oss_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/google/go-cmp/cmp"

	"github.com/uploadtenant/uploadtenant/emulator/emulatortest"
	"github.com/uploadtenant/uploadtenant/emulator/oss"
)

// movable is a clock that tests move.
type movable struct{ offset atomic.Int64 }

func (m *movable) now() time.Time          { return time.Now().Add(time.Duration(m.offset.Load())) }
func (m *movable) advance(d time.Duration) { m.offset.Add(int64(d)) }

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func putObject(t *testing.T, c *sdk.Client, objectKey, content string) {
	t.Helper()
	must[*sdk.PutObjectResult](t)(c.PutObject(t.Context(), &sdk.PutObjectRequest{Bucket: sdk.Ptr(bucket), Key: &objectKey, Body: strings.NewReader(content)}))
}

func request(t *testing.T, method, address string, header map[string]string) answer {
	t.Helper()
	req, err := http.NewRequest(method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	return do(t, req)
}

func presign(t *testing.T, c *sdk.Client, objectKey string, life time.Duration) string {
	t.Helper()
	p := must[*sdk.PresignResult](t)(c.Presign(t.Context(), &sdk.GetObjectRequest{Bucket: sdk.Ptr(bucket), Key: &objectKey}, sdk.PresignExpires(life)))
	return p.URL
}

func TestCORS(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	c := client(i, adminKey(i))
	must[*sdk.PutBucketCorsResult](t)(c.PutBucketCors(t.Context(), &sdk.PutBucketCorsRequest{Bucket: sdk.Ptr(bucket), CORSConfiguration: &sdk.CORSConfiguration{
		CORSRules: []sdk.CORSRule{
			{AllowedOrigins: []string{"https://*.example.com"}, AllowedMethods: []string{"POST"}, AllowedHeaders: []string{"X-*"}, ExposeHeaders: []string{"ETag", "x-oss-request-id"}, MaxAgeSeconds: sdk.Ptr(int64(600))},
			{AllowedOrigins: []string{"*"}, AllowedMethods: []string{"GET"}},
		},
		ResponseVary: sdk.Ptr(true),
	}}))
	preflights := map[string]struct {
		header     map[string]string
		want       int
		wantOrigin string
	}{
		"allowed":            {map[string]string{"Origin": "https://h5.example.com", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-a, X-B"}, 200, "https://h5.example.com"},
		"second rule":        {map[string]string{"Origin": "https://other.example", "Access-Control-Request-Method": "GET"}, 200, "*"},
		"other origin":       {map[string]string{"Origin": "https://example.com.evil", "Access-Control-Request-Method": "POST"}, 403, ""},
		"other method":       {map[string]string{"Origin": "https://h5.example.com", "Access-Control-Request-Method": "PUT"}, 403, ""},
		"other header":       {map[string]string{"Origin": "https://h5.example.com", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}, 403, ""},
		"without an origin":  {map[string]string{"Access-Control-Request-Method": "POST"}, 400, ""},
		"without its method": {map[string]string{"Origin": "https://h5.example.com"}, 400, ""},
	}
	for name, tt := range preflights {
		t.Run("preflight "+name, func(t *testing.T) {
			a := request(t, http.MethodOptions, i.OSSURL+"/"+bucket, tt.header)
			if a.Status != tt.want || a.Header.Get("Access-Control-Allow-Origin") != tt.wantOrigin {
				t.Errorf("%d %v, want %d %q", a.Status, a.Header, tt.want, tt.wantOrigin)
			}
			if tt.want == 403 && a.Error.Code != "AccessForbidden" {
				t.Errorf("code = %s", a.Error.Code)
			}
		})
	}
	for name, f := range map[string]*form{
		"stored":  v4Form(adminKey(i), time.Now(), bucket, "k", []byte("x")),
		"refused": v4Form(key{"LTAInobody", "s", ""}, time.Now(), bucket, "k", []byte("x")),
	} {
		t.Run("actual request "+name, func(t *testing.T) {
			f.header = http.Header{"Origin": {"https://h5.example.com"}}
			h := post(t, i, bucket, f).Header
			got := []string{h.Get("Access-Control-Allow-Origin"), h.Get("Access-Control-Expose-Headers"), h.Get("Vary")}
			if d := cmp.Diff([]string{"https://h5.example.com", "ETag, x-oss-request-id", "Origin"}, got); d != "" {
				t.Errorf("headers (-want +got):\n%s", d)
			}
			f.header = http.Header{"Origin": {"https://stranger.example"}}
			if got := post(t, i, bucket, f).Header.Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("a stranger is allowed: %s", got)
			}
		})
	}
}

func TestReferer(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	c := client(i, adminKey(i))
	putObject(t, c, "k", "x")
	must[*sdk.PutBucketRefererResult](t)(c.PutBucketReferer(t.Context(), &sdk.PutBucketRefererRequest{Bucket: sdk.Ptr(bucket), RefererConfiguration: &sdk.RefererConfiguration{
		AllowEmptyReferer: sdk.Ptr(false), RefererList: &sdk.RefererList{Referers: []string{"https://servicewechat.com/wx123/*", "https://*.example.com"}},
		RefererBlacklist: &sdk.RefererBlacklist{Referers: []string{"https://bad.example.com"}},
	}}))
	for referer, want := range map[string]int{
		"": 403, "https://servicewechat.com/wx123/0/page-frame.html": 200, "https://servicewechat.com/wx9/0/page-frame.html": 403,
		"https://h5.example.com": 200, "https://bad.example.com": 403, "https://h5.example.com?q=https://x": 200,
	} {
		if a := request(t, http.MethodGet, presign(t, c, "k", time.Minute), map[string]string{"Referer": referer}); a.Status != want {
			t.Errorf("referer %q: %d, want %d", referer, a.Status, want)
		}
	}
	if got := read(t, i, bucket, "k"); got != "x" {
		t.Errorf("a request with an Authorization header got %q", got)
	}
}

func TestRanges(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	c := client(i, adminKey(i))
	putObject(t, c, "k", "0123456789")
	for rng, want := range map[string]struct {
		status       int
		body, range_ string
	}{
		"bytes=0-3": {206, "0123", "bytes 0-3/10"}, "bytes=7-": {206, "789", "bytes 7-9/10"}, "bytes=-2": {206, "89", "bytes 8-9/10"},
		"bytes=8-99": {206, "89", "bytes 8-9/10"}, "bytes=10-": {200, "0123456789", ""}, "bytes=3-1": {200, "0123456789", ""}, "lines=1": {200, "0123456789", ""},
	} {
		a := request(t, http.MethodGet, presign(t, c, "k", time.Minute), map[string]string{"Range": rng})
		if a.Status != want.status || a.Body != want.body || a.Header.Get("Content-Range") != want.range_ {
			t.Errorf("%s: %d %q %q, want %+v", rng, a.Status, a.Body, a.Header.Get("Content-Range"), want)
		}
	}
	p := must[*sdk.PresignResult](t)(c.Presign(t.Context(), &sdk.GetObjectRequest{Bucket: sdk.Ptr(bucket), Key: sdk.Ptr("k"), RangeBehavior: sdk.Ptr("standard")}))
	p.SignedHeaders["Range"] = "bytes=10-"
	if a := request(t, http.MethodGet, p.URL, p.SignedHeaders); a.Status != 416 || a.Error.Code != "InvalidRange" {
		t.Errorf("standard behaviour: %d %+v", a.Status, a.Error)
	}
}

func TestConditions(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	c := client(i, adminKey(i))
	putObject(t, c, "k", "x")
	const etag = `"9DD4E461268C8034F5C8564E155C67A6"`
	before, after := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for name, tt := range map[string]struct {
		header map[string]string
		want   int
	}{
		"matches":            {map[string]string{"If-Match": etag}, 200},
		"does not match":     {map[string]string{"If-Match": `"A"`}, 412},
		"not that one":       {map[string]string{"If-None-Match": `"A"`}, 200},
		"that very one":      {map[string]string{"If-None-Match": etag}, 304},
		"modified since":     {map[string]string{"If-Modified-Since": before}, 200},
		"not modified since": {map[string]string{"If-Modified-Since": after}, 304},
		"unmodified since":   {map[string]string{"If-Unmodified-Since": after}, 200},
		"modified after all": {map[string]string{"If-Unmodified-Since": before}, 412},
	} {
		t.Run(name, func(t *testing.T) {
			if a := request(t, http.MethodGet, presign(t, c, "k", time.Minute), tt.header); a.Status != tt.want {
				t.Errorf("%d, want %d", a.Status, tt.want)
			}
		})
	}
}

func TestSignedURLs(t *testing.T) {
	for name, version := range map[string]sdk.SignatureVersionType{"V1": sdk.SignatureVersionV1, "V4": sdk.SignatureVersionV4} {
		t.Run(name, func(t *testing.T) {
			clock := &movable{}
			i := emulatortest.Start(t, emulatortest.WithBuckets(bucket), emulatortest.WithClock(clock.now), emulatortest.WithRules(oss.Rules{RefuseV1: true}))
			c := client(i, adminKey(i), func(c *sdk.Config) { c.WithSignatureVersion(version) })
			putObject(t, client(i, adminKey(i)), "k", "x")
			link := presign(t, c, "k", 10*time.Minute)
			if a := request(t, http.MethodGet, link, nil); a.Status != 200 || a.Body != "x" {
				t.Errorf("%d %s: signed URLs of version 1 keep working where forms do not", a.Status, a.Body)
			}
			if a := request(t, http.MethodPut, link, nil); a.Error.Code != "SignatureDoesNotMatch" {
				t.Errorf("other method: %+v", a.Error)
			}
			if a := request(t, http.MethodGet, link+"&response-content-type=text/html", nil); a.Error.Code != "SignatureDoesNotMatch" {
				t.Errorf("added parameter: %+v", a.Error)
			}
			clock.advance(11 * time.Minute)
			if a := request(t, http.MethodGet, link, nil); a.Status != 403 || a.Error.Message != "Request has expired." {
				t.Errorf("late: %d %+v", a.Status, a.Error)
			}
		})
	}
}

func TestPublicAccess(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	c := client(i, adminKey(i))
	putObject(t, c, "k", "x")
	anonymous := func() int { return request(t, http.MethodGet, i.OSSURL+"/"+bucket+"/k", nil).Status }
	publish := func() error {
		_, err := c.PutBucketAcl(t.Context(), &sdk.PutBucketAclRequest{Bucket: sdk.Ptr(bucket), Acl: sdk.BucketACLPublicRead})
		return err
	}
	block := func(on bool) {
		must[*sdk.PutBucketPublicAccessBlockResult](t)(c.PutBucketPublicAccessBlock(t.Context(), &sdk.PutBucketPublicAccessBlockRequest{
			Bucket: sdk.Ptr(bucket), PublicAccessBlockConfiguration: &sdk.PublicAccessBlockConfiguration{BlockPublicAccess: &on},
		}))
	}
	if a := sdkError(t, publish); a.Error.Code != "AccessDenied" {
		t.Errorf("public ACL on a new bucket: %+v, want AccessDenied: public access is blocked", a.Error)
	}
	f := v4Form(adminKey(i), time.Now(), bucket, "p", []byte("x"))
	f.set("x-oss-object-acl", "public-read")
	if a := post(t, i, bucket, f); a.Error.Message != "Put public object acl is not allowed" {
		t.Errorf("public object: %+v", a.Error)
	}
	block(false)
	if err := publish(); err != nil || anonymous() != 200 {
		t.Errorf("public-read: %v, anonymous GET %d", err, anonymous())
	}
	must[*sdk.PutObjectAclResult](t)(c.PutObjectAcl(t.Context(), &sdk.PutObjectAclRequest{Bucket: sdk.Ptr(bucket), Key: sdk.Ptr("k"), Acl: sdk.ObjectACLPrivate}))
	if got := anonymous(); got != 403 {
		t.Errorf("private object in a public bucket: %d", got)
	}
	must[*sdk.PutObjectAclResult](t)(c.PutObjectAcl(t.Context(), &sdk.PutObjectAclRequest{Bucket: sdk.Ptr(bucket), Key: sdk.Ptr("k"), Acl: sdk.ObjectACLPublicRead}))
	block(true)
	if got := anonymous(); got != 403 {
		t.Errorf("public object with public access blocked: %d", got)
	}
}

func TestBucketPolicy(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket), emulatortest.WithRules(oss.Rules{PublicByDefault: true}))
	c := client(i, adminKey(i))
	putObject(t, c, "open/k", "x")
	putObject(t, c, "closed/k", "x")
	policy := `{"Version":"1","Statement":[
		{"Effect":"Allow","Principal":["*"],"Action":["oss:GetObject"],"Resource":["acs:oss:*:*:` + bucket + `/open/*"]},
		{"Effect":"Deny","Principal":["*"],"Action":["oss:DeleteObject"],"Resource":["acs:oss:*:*:` + bucket + `/*"]}]}`
	must[*sdk.PutBucketPolicyResult](t)(c.PutBucketPolicy(t.Context(), &sdk.PutBucketPolicyRequest{Bucket: sdk.Ptr(bucket), Body: strings.NewReader(policy)}))
	for objectKey, want := range map[string]int{"open/k": 200, "closed/k": 403} {
		if a := request(t, http.MethodGet, i.OSSURL+"/"+bucket+"/"+objectKey, nil); a.Status != want {
			t.Errorf("anonymous GET %s: %d, want %d", objectKey, a.Status, want)
		}
	}
	a := sdkError(t, func() error {
		_, err := c.DeleteObject(t.Context(), &sdk.DeleteObjectRequest{Bucket: sdk.Ptr(bucket), Key: sdk.Ptr("open/k")})
		return err
	})
	if a.Error.Code != "AccessDenied" {
		t.Errorf("delete against a Deny: %+v", a.Error)
	}
}

func TestLifecycleRunsOnDemand(t *testing.T) {
	clock := &movable{}
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket), emulatortest.WithClock(clock.now))
	c := client(i, adminKey(i))
	putObject(t, c, "log/old", "x")
	putObject(t, c, "keep/old", "x")
	must[*sdk.InitiateMultipartUploadResult](t)(c.InitiateMultipartUpload(t.Context(), &sdk.InitiateMultipartUploadRequest{Bucket: sdk.Ptr(bucket), Key: sdk.Ptr("log/parts")}))
	must[*sdk.PutBucketLifecycleResult](t)(c.PutBucketLifecycle(t.Context(), &sdk.PutBucketLifecycleRequest{Bucket: sdk.Ptr(bucket), LifecycleConfiguration: &sdk.LifecycleConfiguration{Rules: []sdk.LifecycleRule{
		{ID: sdk.Ptr("expire"), Prefix: sdk.Ptr("log/"), Status: sdk.Ptr("Enabled"), Expiration: &sdk.LifecycleRuleExpiration{Days: sdk.Ptr(int32(7))}},
		{ID: sdk.Ptr("sweep"), Prefix: sdk.Ptr("log/"), Status: sdk.Ptr("Enabled"), AbortMultipartUpload: &sdk.LifecycleRuleAbortMultipartUpload{Days: sdk.Ptr(int32(1))}},
		{ID: sdk.Ptr("cool"), Prefix: sdk.Ptr("keep/"), Status: sdk.Ptr("Enabled"), Transitions: []sdk.LifecycleRuleTransition{{Days: sdk.Ptr(int32(3)), StorageClass: sdk.StorageClassIA}}},
		{ID: sdk.Ptr("off"), Prefix: sdk.Ptr("other/"), Status: sdk.Ptr("Disabled"), Expiration: &sdk.LifecycleRuleExpiration{Days: sdk.Ptr(int32(1))}},
	}}}))
	run := func() string {
		return strings.TrimSpace(request(t, http.MethodPost, i.OSSURL+"/_emulator/lifecycle", nil).Body)
	}
	for _, step := range []struct {
		wait time.Duration
		want string
	}{
		{0, `{"expired":0,"transitioned":0,"aborted":0}`},
		{25 * time.Hour, `{"expired":0,"transitioned":0,"aborted":1}`},
		{72 * time.Hour, `{"expired":0,"transitioned":1,"aborted":0}`},
		{96 * time.Hour, `{"expired":1,"transitioned":0,"aborted":0}`},
	} {
		clock.advance(step.wait)
		if got := run(); got != step.want {
			t.Errorf("after %s: %s, want %s", step.wait, got, step.want)
		}
	}
	// The SDK's clock is far behind by now; the request is refused and repeated with the server's time.
	retrying := client(i, adminKey(i), func(c *sdk.Config) { c.WithRetryMaxAttempts(3) })
	head := must[*sdk.HeadObjectResult](t)(retrying.HeadObject(t.Context(), &sdk.HeadObjectRequest{Bucket: sdk.Ptr(bucket), Key: sdk.Ptr("keep/old")}))
	if got := sdk.ToString(head.StorageClass); got != "IA" {
		t.Errorf("storage class = %s, want IA", got)
	}
	if ok, err := retrying.IsObjectExist(t.Context(), bucket, "log/old"); err != nil || ok {
		t.Errorf("log/old exists: %v, %v", ok, err)
	}
}

func TestBucketControls(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	put := func(document string) int {
		req, _ := http.NewRequest(http.MethodPut, i.OSSURL+"/_emulator/buckets/"+bucket, strings.NewReader(document))
		return do(t, req).Status
	}
	v1 := func() answer {
		return post(t, i, bucket, v1Form(adminKey(i), time.Now(), "k", nil, map[string]string{"key": "k"}))
	}
	if got := put(`{"v1":"refuse","cname":"Upload.Example.com"}`); got != 204 || v1().Error.EC != "0002-00000080" {
		t.Errorf("refuse: %d, form %+v", got, v1().Error)
	}
	req, _ := http.NewRequest(http.MethodGet, i.OSSURL+"/nothing", nil)
	req.Host = "upload.example.com"
	if a := do(t, req); a.Error.Code != "AccessDenied" {
		t.Errorf("through the CNAME: %+v, want AccessDenied of the bucket", a.Error)
	}
	if got := put(`{"v1":""}`); got != 204 || v1().Status != 204 {
		t.Errorf("back to normal: %d, form %+v", got, v1().Error)
	}
	for _, bad := range []string{`{"v1":"maybe"}`, `{"v2":"refuse"}`, `x`} {
		if got := put(bad); got != 400 {
			t.Errorf("%s: %d, want 400", bad, got)
		}
	}
}

func TestForbidOverwriteIsIneffectiveWithVersioning(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	c := client(i, adminKey(i))
	for _, status := range []sdk.VersioningStatusType{sdk.VersionEnabled, sdk.VersionSuspended} {
		must[*sdk.PutBucketVersioningResult](t)(c.PutBucketVersioning(t.Context(), &sdk.PutBucketVersioningRequest{
			Bucket: sdk.Ptr(bucket), VersioningConfiguration: &sdk.VersioningConfiguration{Status: status},
		}))
		for range 2 {
			f := v4Form(adminKey(i), time.Now(), bucket, "k", []byte("x"))
			f.set("x-oss-forbid-overwrite", "true")
			if a := post(t, i, bucket, f); a.Status != 204 || a.Header.Get("x-oss-version-id") == "" {
				t.Errorf("%s: %d %+v, version %q", status, a.Status, a.Error, a.Header.Get("x-oss-version-id"))
			}
		}
	}
}

// Of many uploads of one key at the same time, all forbidding to overwrite, exactly one is stored.
func TestForbidOverwriteIsAtomic(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	statuses := make(chan int, 16)
	for n := range cap(statuses) {
		f := v4Form(adminKey(i), time.Now(), bucket, "k", fmt.Append(nil, n))
		f.set("x-oss-forbid-overwrite", "true")
		go func() { statuses <- post(t, i, bucket, f).Status }()
	}
	count := map[int]int{}
	for range cap(statuses) {
		count[<-statuses]++
	}
	if d := cmp.Diff(map[int]int{204: 1, 409: 15}, count); d != "" {
		t.Errorf("statuses (-want +got):\n%s", d)
	}
}

func TestStrictRules(t *testing.T) {
	for name, tt := range map[string]struct {
		rules  oss.Rules
		signed time.Duration // ago
		field  string
		wantEC string
	}{
		"signed an hour ago":              {signed: time.Hour, wantEC: "0006-00000213"}, // the form's policy is valid for 10 minutes
		"signed 16 minutes ago, strictly": {rules: oss.Rules{StrictDateSkew: true}, signed: 16 * time.Minute, wantEC: "0002-00000709"},
		"signed eight days ago":           {signed: 8 * 24 * time.Hour, wantEC: "0002-00000709"},
		"signed 16 minutes ahead":         {signed: -16 * time.Minute, wantEC: "0002-00000709"},
		"unlisted field":                  {field: "x-oss-storage-class"},
		"unlisted field, listed only":     {rules: oss.Rules{ListedFieldsOnly: true}, field: "x-oss-storage-class", wantEC: "0006-00000228"},
	} {
		t.Run(name, func(t *testing.T) {
			i := emulatortest.Start(t, emulatortest.WithBuckets(bucket), emulatortest.WithRules(tt.rules))
			f := v4Form(adminKey(i), time.Now().Add(-tt.signed), bucket, "k", nil, map[string]string{"key": "k"})
			if tt.field != "" {
				f.set(tt.field, "Standard")
			}
			if a := post(t, i, bucket, f); a.Error.EC != tt.wantEC {
				t.Errorf("%d %+v, want EC %q", a.Status, a.Error, tt.wantEC)
			}
		})
	}
}

func TestRefusedUploadIsAnsweredWhileItIsSent(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	f := v4Form(adminKey(i), time.Now(), bucket, "k", make([]byte, 8<<20), []any{"content-length-range", 0, 1024})
	for range 3 { // on one connection: a refusal must leave it usable
		if a := post(t, i, bucket, f); a.Status != 400 || a.Error.EC != "0006-00000003" {
			t.Fatalf("%d %+v", a.Status, a.Error)
		}
	}
	if ok, err := client(i, adminKey(i)).IsObjectExist(t.Context(), bucket, "k"); err != nil || ok {
		t.Errorf("object exists: %v, %v", ok, err)
	}
}

func TestBrokenUploadLeavesNoObject(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	contentType, body := v4Form(adminKey(i), time.Now(), bucket, "k", make([]byte, 1<<20)).body(t)
	req, _ := http.NewRequest(http.MethodPost, i.OSSURL+"/"+bucket, io.MultiReader(strings.NewReader(string(body[:len(body)/2])), broken{}))
	req.ContentLength = int64(len(body))
	req.Header.Set("Content-Type", contentType)
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Fatalf("half an upload was answered with %s", resp.Status)
	}
	if ok, err := client(i, adminKey(i)).IsObjectExist(t.Context(), bucket, "k"); err != nil || ok {
		t.Errorf("object exists: %v, %v", ok, err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
