package signer

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// discard is a response writer that keeps nothing, so that the numbers are the signer's own.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkGrants measures POST /v1/uploads without the network: token check, limits, ticket, policy, answer.
func BenchmarkGrants(b *testing.B) {
	for name, files := range map[string]int{"1 file": 1, "20 files": 20} {
		b.Run(name, func(b *testing.B) {
			f := newFixture(b)
			body := `{"files":[` + strings.TrimSuffix(strings.Repeat(`{"name":"a.jpg","size":12345,"contentType":"image/jpeg"},`, files), ",") + `]}`
			req := httptest.NewRequest(http.MethodPost, "/v1/uploads", nil)
			req.Header.Set("Authorization", "Bearer "+makeJWT("alice", time.Now().Add(time.Hour)))
			req.Header.Set("Content-Type", "application/json")
			req.ContentLength = int64(len(body))
			reader := bytes.NewReader([]byte(body))
			handler := f.server.API()
			w := &discard{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				reader.Reset([]byte(body))
				req.Body = io.NopCloser(reader)
				handler.ServeHTTP(w, req)
			}
		})
	}
}
