package signer

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/uploadtenant/uploadtenant/signer/config"
)

// A tenant may keep its signer from reading; then the signature and the ticket must do. No other trouble excuses
// the look at the object: whoever factored the key of OSS would wait for a wrong clock or an expired session.
func TestOnlyAMissingRightExcusesTheLookAtTheObject(t *testing.T) {
	var answer atomic.Value
	oss := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if code := answer.Load().(string); code != "" {
			w.Header().Set("X-Oss-Err", base64.StdEncoding.EncodeToString([]byte("<Error><Code>"+code+"</Code></Error>")))
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer oss.Close()
	answer.Store("")
	f := newFixture(t, func(c *config.Config) { c.Bucket.Endpoint = oss.URL })
	for code, want := range map[string]int{"AccessDenied": http.StatusOK, "": http.StatusOK, "InvalidAccessKeyId": http.StatusServiceUnavailable, "SecurityTokenExpired": http.StatusServiceUnavailable,
		"RequestTimeTooSkewed": http.StatusServiceUnavailable, "SignatureDoesNotMatch": http.StatusServiceUnavailable, "UserDisable": http.StatusServiceUnavailable} {
		answer.Store(code)
		v := f.grant("alice", onePhoto)
		status, body := f.callback(callbackRequest{body: callbackForm(v).Encode()})
		if status != want {
			t.Errorf("OSS answers 403 %s: status %d, want %d: %s", code, status, want, body)
		}
		recorded := false
		for _, r := range f.records("alice") {
			recorded = recorded || r.ID == v.ID
		}
		if recorded != (want == http.StatusOK) {
			t.Errorf("OSS answers 403 %s: recorded is %v", code, recorded)
		}
	}
}
