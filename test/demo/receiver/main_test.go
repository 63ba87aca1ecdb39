package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// Only a delivery that the secret signed is taken, and every delivery is shown.
func TestReceiver(t *testing.T) {
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"type":"upload.completed"}`
	now := time.Now()
	signature, err := webhook.Sign("u1", now, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		body, signature string
		want            int
	}{
		"signed":    {body, signature, http.StatusNoContent},
		"changed":   {`{"type":"upload.deleted"}`, signature, http.StatusUnauthorized},
		"forged":    {body, "v1,AAAA", http.StatusUnauthorized},
		"unsigned":  {body, "", http.StatusUnauthorized},
		"too large": {strings.Repeat("x", maxEvent+1), signature, http.StatusRequestEntityTooLarge},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := &receiver{webhook: webhook, log: slog.New(slog.DiscardHandler), now: time.Now}
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hooks/uploads", strings.NewReader(tc.body))
			req.Header.Set("webhook-id", "u1")
			req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
			req.Header.Set("webhook-signature", tc.signature)
			w := httptest.NewRecorder()
			r.handler().ServeHTTP(w, req)
			if w.Code != tc.want {
				t.Errorf("status = %d, want %d", w.Code, tc.want)
			}
			w = httptest.NewRecorder()
			r.handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/events", nil))
			var list struct{ Items []delivery }
			if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil {
				t.Fatal(err)
			}
			if tc.want == http.StatusRequestEntityTooLarge {
				return
			}
			if len(list.Items) != 1 || list.Items[0].Verified != (tc.want == http.StatusNoContent) {
				t.Errorf("events = %+v, want one, verified: %v", list.Items, tc.want == http.StatusNoContent)
			}
		})
	}
}
