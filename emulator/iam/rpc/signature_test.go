package rpc

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// vector is the worked example of the "Signature method" page of the ECS manual, whose secret is disclosed.
const vector = "http://ecs.aliyuncs.com/?TimeStamp=2016-02-23T12:46:24Z&Format=XML&AccessKeyId=testid&Action=DescribeRegions" +
	"&SignatureMethod=HMAC-SHA1&SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf&Version=2014-05-26&SignatureVersion=1.0"

func TestStringToSignOfTheManual(t *testing.T) {
	u := strings.Replace(vector, "TimeStamp", "Timestamp", 1)
	req, e := Parse(httptest.NewRequest(http.MethodGet, u, nil))
	if e != nil {
		t.Fatal(e)
	}
	want := "GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeRegions%26Format%3DXML%26SignatureMethod%3DHMAC-SHA1" +
		"%26SignatureNonce%3D3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf%26SignatureVersion%3D1.0%26Timestamp%3D2016-02-23T12%253A46%253A24Z%26Version%3D2014-05-26"
	if got := req.stringToSign(); got != want {
		t.Errorf("string to sign\n got %s\nwant %s", got, want)
	}
	// The manual's result for testsecret.
	req.Params["Signature"] = "OLeaidS1JvxuMvnyHOwuJ+uX5qY="
	now := time.Date(2016, 2, 23, 12, 46, 24, 0, time.UTC)
	if e := NewVerifier().Check(req, "testsecret", now); e != nil {
		t.Errorf("the manual's signature is refused: %v", e)
	}
	if e := NewVerifier().Check(req, "testsecret2", now); e == nil || e.Code != "SignatureDoesNotMatch" {
		t.Errorf("another secret: %v", e)
	}
}

func TestFormOfASignedCall(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	good := url.Values{"AccessKeyId": {"k"}, "SignatureMethod": {"HMAC-SHA1"}, "SignatureVersion": {"1.0"},
		"SignatureNonce": {"n"}, "Timestamp": {"2026-01-02T03:04:05Z"}, "Signature": {"s"}}
	tests := map[string]struct {
		name, value string
		want        string
	}{
		"complete":          {},
		"no key":            {"AccessKeyId", "", "MissingAccessKeyId"},
		"no nonce":          {"SignatureNonce", "", "MissingSignatureNonce"},
		"no signature":      {"Signature", "", "MissingSignature"},
		"other method":      {"SignatureMethod", "HMAC-SHA256", "InvalidSignatureMethod"},
		"other version":     {"SignatureVersion", "2.0", "InvalidSignatureVersion"},
		"date with offset":  {"Timestamp", "2026-01-02T11:04:05+08:00", "InvalidTimeStamp.Format"},
		"15 minutes ago":    {"Timestamp", "2026-01-02T02:49:05Z", ""},
		"too long ago":      {"Timestamp", "2026-01-02T02:49:04Z", "InvalidTimeStamp.Expired"},
		"too far ahead":     {"Timestamp", "2026-01-02T03:19:06Z", "InvalidTimeStamp.Expired"},
		"format of no kind": {"Format", "YAML", "InvalidParameter.Format"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			q := url.Values{}
			for k, v := range good {
				q[k] = v
			}
			if tt.name != "" {
				q.Set(tt.name, tt.value)
			}
			req, e := Parse(httptest.NewRequest(http.MethodPost, "/?"+q.Encode(), nil))
			if e != nil {
				t.Fatal(e)
			}
			got := ""
			if e := req.CheckForm(now); e != nil {
				got = e.Code
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNonceIsSpentOnceAndOnlyByAValidCall(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	v := NewVerifier()
	signed := func(signature string) *Request {
		return &Request{HTTP: httptest.NewRequest(http.MethodGet, "/", nil), Params: map[string]string{
			"AccessKeyId": "k", "SignatureNonce": "n", "Signature": signature}}
	}
	// HMAC-SHA1 with key "s&" over GET&%2F&AccessKeyId%3Dk%26SignatureNonce%3Dn, by openssl.
	const right = "wlQOYF9+wanhEVdm+49O2XiFV0w="
	steps := []struct {
		signature string
		after     time.Duration
		want      string
	}{
		{"AAAA", 0, "SignatureDoesNotMatch"},
		{right, 0, ""},
		{right, 0, "SignatureNonceUsed"},
		{right, 29 * time.Minute, "SignatureNonceUsed"},
		{right, 31 * time.Minute, ""},
	}
	for i, s := range steps {
		got := ""
		if e := v.Check(signed(s.signature), "s", now.Add(s.after)); e != nil {
			got = e.Code
		}
		if got != s.want {
			t.Errorf("step %d: got %q, want %q", i, got, s.want)
		}
	}
}

func TestParameterGivenTwiceIsRefused(t *testing.T) {
	body := strings.NewReader("RoleName=b")
	r := httptest.NewRequest(http.MethodPost, "/?RoleName=a", body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if _, e := Parse(r); e == nil || e.Status != 400 {
		t.Errorf("query and form both name a role: %v", e)
	}
	if _, e := Parse(httptest.NewRequest(http.MethodGet, "/?RoleName=a&RoleName=b", nil)); e == nil {
		t.Error("the query names two roles")
	}
}

// FuzzVerifier feeds arbitrary queries, forms and Authorization headers: no panic, and nothing passes without the secret.
func FuzzVerifier(f *testing.F) {
	f.Add(strings.TrimPrefix(vector, "http://ecs.aliyuncs.com/?"), "a=b", "")
	f.Add("Action=GetRole", "", "ACS3-HMAC-SHA256 Credential=k,SignedHeaders=host;x-acs-date,Signature=00")
	f.Add("%zz=1&&=", "x=%", "ACS3-HMAC-SHA256")
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, query, form, authorization string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", authorization)
		req, e := Parse(r)
		if e != nil {
			return
		}
		_ = req.Action() + req.Version() + req.AccessKeyID() + req.SecurityToken()
		_ = req.CheckForm(now)
		if e := NewVerifier().Check(req, "a secret that no input knows", now); e == nil {
			t.Errorf("query %q form %q authorization %q passed", query, form, authorization)
		}
	})
}
