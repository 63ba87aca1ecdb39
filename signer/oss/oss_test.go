package oss

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	sdkcredentials "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
	sdksigner "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/signer"
	"pgregory.net/rapid"

	"github.com/uploadtenant/uploadtenant/signer/sts"
)

type credentials struct{}

func (credentials) Credential() (sts.Credential, error) {
	return sts.Credential{AccessKeyID: "STS.ak", AccessKeySecret: "sk", SecurityToken: "tok en", Expires: time.Unix(1<<40, 0)}, nil
}

// capture keeps the request instead of sending it.
type capture struct{ req *http.Request }

func (c *capture) RoundTrip(req *http.Request) (*http.Response, error) {
	c.req = req
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}}, nil
}

// Whatever is asked for, our Authorization header is the one that the official SDK computes.
func TestSignaturesAgreeWithTheOfficialSDK(t *testing.T) {
	at := time.Unix(1702743657, 0)
	rapid.Check(t, func(t *rapid.T) {
		c := &capture{}
		client, err := New(Options{Endpoint: "http://127.0.0.1:1", Region: "cn-hangzhou", Bucket: "bucket", Credentials: credentials{}, HTTPClient: &http.Client{Transport: c}, Clock: func() time.Time { return at }})
		if err != nil {
			t.Fatal(err)
		}
		key := rapid.StringMatching(`[a-zA-Z0-9/ +~%*照片.()_-]{1,40}`).Draw(t, "key")
		query := rapid.MapOfN(rapid.StringMatching(`[a-z-]{1,8}`), rapid.StringMatching(`[a-z /+照*=&]{0,8}`), 0, 4).Draw(t, "query")
		header := http.Header{}
		if rapid.Bool().Draw(t, "header") {
			header.Set("X-Oss-Meta-A", " v  ")
			header.Set("Content-Type", "text/plain")
			header.Set("Range", "bytes=0-1")
		}
		method := rapid.SampledFrom([]string{"HEAD", "GET", "PUT", "DELETE"}).Draw(t, "method")
		resp, err := client.do(context.Background(), request{method: method, key: key, query: query, header: header})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		got := c.req.Header.Get("Authorization")
		theirs := c.req.Clone(context.Background())
		theirs.Header.Del("Authorization")
		err = (&sdksigner.SignerV4{}).Sign(context.Background(), &sdksigner.SigningContext{Product: sdk.Ptr("oss"), Region: sdk.Ptr("cn-hangzhou"), Bucket: sdk.Ptr("bucket"), Key: sdk.Ptr(key),
			Request: theirs, Credentials: &sdkcredentials.Credentials{AccessKeyID: "STS.ak", AccessKeySecret: "sk", SecurityToken: "tok en"}, Time: at})
		if err != nil {
			t.Fatal(err)
		}
		if want := theirs.Header.Get("Authorization"); got != want {
			t.Errorf("%s %s\n got %s\nwant %s", method, c.req.URL, got, want)
		}
		if unescaped, err := url.PathUnescape(c.req.URL.EscapedPath()); err != nil || unescaped != "/bucket/"+key {
			t.Errorf("path %s for key %q", c.req.URL.EscapedPath(), key)
		}
	})
}

func TestAddressingFollowsTheEndpoint(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://oss-cn-hangzhou-internal.aliyuncs.com": "https://bucket.oss-cn-hangzhou-internal.aliyuncs.com/k",
		"http://127.0.0.1:9000":                         "http://127.0.0.1:9000/bucket/k",
		"http://emulator.svc:9000":                      "http://emulator.svc:9000/bucket/k",
		"https://aliyuncs.com.evil.example":             "https://aliyuncs.com.evil.example/bucket/k",
	} {
		c := &capture{}
		client, err := New(Options{Endpoint: endpoint, Region: "r", Bucket: "bucket", Credentials: credentials{}, HTTPClient: &http.Client{Transport: c}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Head(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		if c.req.URL.String() != want {
			t.Errorf("%s: %s, want %s", endpoint, c.req.URL, want)
		}
	}
}

func TestHeadReadsTheObjectAndTheErrorHeader(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bucket/gone" {
			w.Header().Set("X-Oss-Err", base64.StdEncoding.EncodeToString([]byte(`<Error><Code>NoSuchKey</Code><EC>0026-00000001</EC></Error>`)))
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "image/jpeg")
		w.Header().Set("Content-Length", "5")
		w.Header().Set("ETag", `"D8E8FCA2DC0F896FD7CB4CB0031BA249"`)
		if r.URL.Path == "/bucket/there" { // the ETag alone says nothing about the content
			w.Header().Set("Content-MD5", "2Oj8otwPiW/Xy0ywAxuiSQ==")
		}
		w.Header().Set("x-oss-meta-ticket", "T")
		w.Header().Set("x-oss-hash-crc64ecma", "7")
		w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 10:00:00 GMT")
	}))
	defer server.Close()
	client, err := New(Options{Endpoint: server.URL, Region: "r", Bucket: "bucket", Credentials: credentials{}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := client.Head(t.Context(), "there")
	if err != nil || o.Size != 5 || o.ContentType != "image/jpeg" || o.MD5 != "d8e8fca2dc0f896fd7cb4cb0031ba249" || o.Meta["ticket"] != "T" || o.CRC64 != "7" || o.LastModified.Unix() != 1795341600 {
		t.Errorf("%+v %v", o, err)
	}
	if o, err := client.Head(t.Context(), "posted"); err != nil || o.MD5 != "" || o.ETag == "" {
		t.Errorf("%+v %v", o, err)
	}
	_, err = client.Head(t.Context(), "gone")
	if !NotFound(err) || !strings.Contains(err.Error(), "NoSuchKey") {
		t.Errorf("%v", err)
	}
}

func TestMD5Hex(t *testing.T) {
	const want = "d8e8fca2dc0f896fd7cb4cb0031ba249"
	for in, want := range map[string]string{"2Oj8otwPiW/Xy0ywAxuiSQ==": want, "D8E8FCA2DC0F896FD7CB4CB0031BA249": want, `"` + want + `"`: want, "D8E8FCA2DC0F896FD7CB4CB0031BA249-2": "", "": "", "x": ""} {
		if got := MD5Hex(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// An ETag that is not the MD5 looks just like one, so it only ever confirms what was announced.
func TestAnETagOnlyConfirmsAHash(t *testing.T) {
	const sum, other = "d8e8fca2dc0f896fd7cb4cb0031ba249", "0cc175b9c0f1b6a831c399e269772661"
	tests := map[string]struct {
		object    Object
		announced []string
		want      string
	}{
		"OSS tells":           {Object{MD5: sum, ETag: "X"}, []string{other}, sum},
		"the ETag confirms":   {Object{ETag: strings.ToUpper(sum)}, []string{"", sum}, sum},
		"the ETag is another": {Object{ETag: strings.ToUpper(other)}, []string{sum}, ""},
		"nothing announced":   {Object{ETag: strings.ToUpper(sum)}, nil, ""},
		"nothing known":       {Object{}, []string{""}, ""},
	}
	for name, test := range tests {
		if got := test.object.HashOf(test.announced...); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
