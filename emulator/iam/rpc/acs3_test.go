package rpc

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// manualACS3 is the worked example of the "V3 request structure and signature" page, with its fixed parameters.
func manualACS3(change func(http.Header)) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://ecs.cn-shanghai.aliyuncs.com/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai", nil)
	h := r.Header
	h.Set("x-acs-action", "RunInstances")
	h.Set("x-acs-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	h.Set("x-acs-date", "2023-10-26T10:22:32Z")
	h.Set("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d")
	h.Set("x-acs-version", "2014-05-26")
	h.Set("Authorization", "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"+
		"Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0")
	change(h)
	return r
}

func TestACS3(t *testing.T) {
	now := time.Date(2023, 10, 26, 10, 30, 0, 0, time.UTC)
	tests := map[string]struct {
		change func(http.Header)
		now    time.Time
		want   string
	}{
		"the manual's example": {func(http.Header) {}, now, ""},
		"another action":       {func(h http.Header) { h.Set("x-acs-action", "DeleteInstances") }, now, "SignatureDoesNotMatch"},
		"another body":         {func(h http.Header) { h.Set("x-acs-content-sha256", strings.Repeat("0", 64)) }, now, "InvalidContentHash"},
		"unsigned token":       {func(h http.Header) { h.Set("x-acs-security-token", "t") }, now, "IncompleteSignature"},
		"no signature": {func(h http.Header) {
			h.Set("Authorization", "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host")
		}, now, "IncompleteSignature"},
		"too late": {func(http.Header) {}, now.Add(8 * time.Minute), "InvalidTimeStamp.Expired"},
		"no date":  {func(h http.Header) { h.Del("x-acs-date") }, now, "InvalidTimeStamp.Format"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req, e := Parse(manualACS3(tt.change))
			if e != nil {
				t.Fatal(e)
			}
			if req.AccessKeyID() != "YourAccessKeyId" {
				t.Errorf("the key is %q", req.AccessKeyID())
			}
			v := NewVerifier()
			check := func() string {
				if e := req.CheckForm(tt.now); e != nil {
					return e.Code
				}
				if e := v.Check(req, "YourAccessKeySecret", tt.now); e != nil {
					return e.Code
				}
				return ""
			}
			if got := check(); got != tt.want {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			if tt.want != "" {
				return
			}
			if req.Action() != "RunInstances" || req.Version() != "2014-05-26" || req.WantsXML() {
				t.Errorf("read as %s of %s, XML %t", req.Action(), req.Version(), req.WantsXML())
			}
			if got := check(); got != "SignatureNonceUsed" {
				t.Errorf("the same again: %q", got)
			}
		})
	}
}
