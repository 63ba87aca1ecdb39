package devmode

import (
	"net/http"
	"net/url"
)

// callbackTransport brings the callbacks of the tenant to the signer on this machine, whatever host
// callback.url names. Path and body, which are what the signature covers, stay as they are, and so does
// the Host header. Callbacks to other hosts go where they say.
type callbackTransport struct {
	// host of callback.url, with its port if it has one.
	host string
	// signer is host:port of the signer.
	signer string
	next   http.RoundTripper
}

func newCallbackTransport(callbackURL, signer string) (*callbackTransport, error) {
	t := &callbackTransport{signer: signer, next: &http.Transport{DisableKeepAlives: true}}
	if callbackURL == "" {
		return t, nil
	}
	u, err := url.Parse(callbackURL)
	if err != nil {
		return nil, err
	}
	t.host = u.Host
	return t, nil
}

// RoundTrip implements http.RoundTripper.
func (t *callbackTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.host == "" || req.URL.Host != t.host {
		return t.next.RoundTrip(req)
	}
	local := req.Clone(req.Context())
	if local.Host == "" {
		local.Host = req.URL.Host
	}
	local.URL.Scheme, local.URL.Host = "http", t.signer
	return t.next.RoundTrip(local)
}
