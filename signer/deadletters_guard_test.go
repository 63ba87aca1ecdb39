package signer

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Loopback is also where a sidecar hands on what other pods ask, and where a web page finds the port-forward
// of whoever looks at it. Neither gets dead letters, nor has them delivered again.
func TestDeadLettersAreNotForProxiesAndWebPages(t *testing.T) {
	f := newFixture(t)
	ops := httptest.NewServer(f.server.Ops())
	defer ops.Close()
	tests := map[string]struct {
		host, header, value string
		want                int
	}{
		"port-forward by name":    {host: "localhost:8081", want: http.StatusOK},
		"port-forward by address": {host: "127.0.0.1:8081", want: http.StatusOK},
		"port-forward over IPv6":  {host: "[::1]:8081", want: http.StatusOK},
		"without a port":          {host: "localhost", want: http.StatusOK},
		"IPv6 without a port":     {host: "[::1]", want: http.StatusOK},
		"a name of a page's own":  {host: "rebound.example:8081", want: http.StatusForbidden},
		"a name that begins well": {host: "localhost.example", want: http.StatusForbidden},
		"a pod's address":         {host: "10.244.0.17:8081", want: http.StatusForbidden},
		"any address":             {host: "0.0.0.0:8081", want: http.StatusForbidden},
		"a page elsewhere":        {host: "localhost:8081", header: "Origin", value: "https://page.example", want: http.StatusForbidden},
		"a page of nowhere":       {host: "localhost:8081", header: "Origin", value: "null", want: http.StatusForbidden},
		"a sidecar":               {host: "localhost:8081", header: "X-Forwarded-For", value: "10.244.0.9", want: http.StatusForbidden},
		"a proxy by RFC 7239":     {host: "localhost:8081", header: "Forwarded", value: "for=10.244.0.9", want: http.StatusForbidden},
	}
	for name, test := range tests {
		for path, method := range map[string]string{"/events/dead": http.MethodGet, "/events/replay": http.MethodPost} {
			req, err := http.NewRequest(method, ops.URL+path, strings.NewReader(""))
			if err != nil {
				t.Fatal(err)
			}
			req.Host = test.host
			if test.header != "" {
				req.Header.Set(test.header, test.value)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body) // only shown
			resp.Body.Close()
			if resp.StatusCode != test.want {
				t.Errorf("%s: %s %s: status %d, want %d: %s", name, method, path, resp.StatusCode, test.want, body)
			}
		}
	}
}
