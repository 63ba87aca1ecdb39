package oss

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Whatever answers in the place of OSS, its refusals and listings are read without a panic, and an MD5 is
// 32 hex digits or nothing.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte("<Error><Code>NoSuchKey</Code><EC>0026-00000001</EC></Error>"), "PEVycm9yPg==", "d41d8cd98f00b204e9800998ecf8427e")
	f.Add([]byte("<ListBucketResult><Contents><Key>a%2</Key></Contents></ListBucketResult>"), "", "1B2M2Y8AsgTpgAmY7PhCfg==")
	f.Fuzz(func(t *testing.T, body []byte, header, hash string) {
		answer := func() *http.Response {
			return &http.Response{StatusCode: http.StatusForbidden, Body: io.NopCloser(bytes.NewReader(body)),
				Header: http.Header{"X-Oss-Err": {header}, "Etag": {hash}, "Content-Md5": {hash}, "X-Oss-Meta-Ticket": {header}}}
		}
		if e := readError(answer()); e.Status != http.StatusForbidden {
			t.Errorf("status %d", e.Status)
		}
		var page struct{ Contents []struct{ Key string } }
		_ = readXML(answer(), &page) // an error is a fine answer
		md5 := objectOf("key", answer()).MD5
		if md5 != "" && (len(md5) != 32 || strings.Trim(md5, "0123456789abcdef") != "") {
			t.Errorf("MD5 %q", md5)
		}
	})
}
