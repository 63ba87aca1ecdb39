package iam

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// NewIssuerClient returns a client for Options.HTTPClient. caFile, when set, names a PEM bundle that is trusted
// besides the system's. tokenFile, when set, names a file whose content is sent as bearer token, read anew for every
// request because clusters rotate it. It is sent to the hosts in jwks only: those were chosen by whoever started the
// emulator, other issuers by whoever may register a provider.
func NewIssuerClient(caFile, tokenFile string, jwks map[string]string) (*http.Client, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("read the CA bundle: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the CA bundle %s holds no PEM certificate", caFile)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	client := &http.Client{Timeout: 5 * time.Second, Transport: transport}
	if tokenFile == "" {
		return client, nil
	}
	hosts := map[string]bool{}
	for _, source := range jwks {
		if u, err := url.Parse(source); err == nil && u.Scheme == "https" {
			hosts[u.Host] = true
		}
	}
	client.Transport = &bearer{next: transport, file: tokenFile, hosts: hosts}
	return client, nil
}

// bearer adds the token to requests for the chosen hosts.
type bearer struct {
	next  http.RoundTripper
	file  string
	hosts map[string]bool
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" || !b.hosts[r.URL.Host] {
		return b.next.RoundTrip(r)
	}
	token, err := os.ReadFile(b.file)
	if err != nil {
		return nil, fmt.Errorf("read the bearer token: %w", err)
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	return b.next.RoundTrip(r)
}
