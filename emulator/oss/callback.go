package oss

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// maxCallbackReply is the largest answer that OSS passes on (H/zh/oss/developer-reference/callback, step 5).
	maxCallbackReply = 1 << 20
	// defaultCallbackTimeout is fixed in OSS.
	defaultCallbackTimeout = 5 * time.Second
)

// CallbackFault is what a fault injector does to a callback.
type CallbackFault struct {
	// Drop behaves as if the application could not be reached.
	Drop bool
	// Duplicate sends the callback twice; the second answer counts.
	Duplicate bool
	// Delay holds the callback back. It counts against the timeout of neither side.
	Delay time.Duration
}

// CallbackReport is what became of a callback, for the request log.
type CallbackReport struct {
	URL    string // without the query
	Status int    // of the application's answer; 0 when there was none
	// Problem says why the callback failed; empty when it succeeded.
	Problem string
	// Fault is what was injected.
	Fault CallbackFault
}

type callbackSender struct {
	key     *CallbackKey
	keyURL  string
	client  *http.Client
	timeout time.Duration
	hooks   Hooks
}

func newCallbackSender(opts Options) *callbackSender {
	transport := opts.CallbackTransport
	if transport == nil {
		transport = &http.Transport{DialTLSContext: dialCallbackTLS, DisableKeepAlives: true, DisableCompression: true}
	}
	timeout := opts.CallbackTimeout
	if timeout == 0 {
		timeout = defaultCallbackTimeout
	}
	return &callbackSender{
		key: opts.CallbackKey, keyURL: opts.CallbackKeyURL, timeout: timeout, hooks: opts.Hooks,
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

type sniKey struct{}

// dialCallbackTLS connects without a server name unless callbackSNI is true, as OSS does: a server that chooses
// its certificate by name then fails. The certificate is checked against the name all the same.
func dialCallbackTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("split address: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if sni, _ := ctx.Value(sniKey{}).(bool); !sni {
		config.ServerName = ""
		config.InsecureSkipVerify = true // VerifyConnection does the check
		config.VerifyConnection = func(state tls.ConnectionState) error {
			pool := x509.NewCertPool()
			for _, c := range state.PeerCertificates[1:] {
				pool.AddCert(c)
			}
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: host, Intermediates: pool})
			return err
		}
	}
	return (&tls.Dialer{Config: config}).DialContext(ctx, network, addr)
}

// send performs the callback and returns the application's answer, or why the upload is answered with 203.
func (s *callbackSender) send(q *request, c *callback, v callbackValues) ([]byte, *Error) {
	body := c.body(v)
	var failure *Error
	for _, u := range c.urls {
		reply, report, err := s.sendWithFaults(q, c, u, body)
		if s.hooks.CallbackDone != nil {
			s.hooks.CallbackDone(q.call, report)
		}
		if err == nil {
			return reply, nil
		}
		failure = err
	}
	return nil, failure
}

func (s *callbackSender) sendWithFaults(q *request, c *callback, u *url.URL, body []byte) ([]byte, CallbackReport, *Error) {
	var fault CallbackFault
	if s.hooks.Callback != nil {
		fault = s.hooks.Callback(q.call, u.String())
	}
	if fault.Delay > 0 {
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-q.r.Context().Done():
		}
	}
	shown := *u
	shown.RawQuery = ""
	report := CallbackReport{URL: shown.String(), Fault: fault}
	if fault.Drop {
		err := unreachable()
		report.Problem = err.Message
		return nil, report, err
	}
	reply, status, err := s.post(q, c, u, body)
	if fault.Duplicate && err == nil {
		reply, status, err = s.post(q, c, u, body)
	}
	report.Status = status
	if err != nil {
		report.Problem = err.Message
	}
	return reply, report, err
}

func callbackFailed(ec, format string, args ...any) *Error {
	return newError(http.StatusNonAuthoritativeInfo, "CallbackFailed", ec, format, args...)
}

func unreachable() *Error {
	return callbackFailed("", "Error status : -1. OSS can not connect to your callbackUrl, please check it.")
}

func (s *callbackSender) post(q *request, c *callback, u *url.URL, body []byte) ([]byte, int, *Error) {
	// The upload is stored: the callback is made even when the client has gone away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.r.Context()), s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(context.WithValue(ctx, sniKey{}, c.sni), http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, 0, unreachable()
	}
	if c.host != "" {
		req.Host = c.host
	}
	s.sign(q, req, c, body)
	resp, err := s.client.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return nil, 0, callbackFailed("", "Cost too long time.")
		}
		return nil, 0, unreachable()
	}
	defer resp.Body.Close()
	reply, failure := readCallbackReply(resp)
	return reply, resp.StatusCode, failure
}

// sign sets the headers; the signed text is url_decode(path) + raw query + "\n" + body.
func (s *callbackSender) sign(q *request, req *http.Request, c *callback, body []byte) {
	path := req.URL.Path
	if path == "" {
		path = "/"
	}
	text := path
	if req.URL.RawQuery != "" || req.URL.ForceQuery {
		text += "?" + req.URL.RawQuery
	}
	h := req.Header
	for name, value := range c.headers {
		h.Set(name, value)
	}
	h.Set("Content-Type", c.bodyType)
	h.Set("User-Agent", "http-client/0.0.1")
	h.Set("x-oss-request-id", q.call.RequestID)
	h.Set("x-oss-bucket", q.bucket)
	keyURL := s.keyURL
	if keyURL == "" {
		keyURL = q.scheme() + "://" + q.r.Host + KeyPath
	}
	h.Set("x-oss-pub-key-url", base64.StdEncoding.EncodeToString([]byte(keyURL)))
	if s.key != nil {
		h.Set("Authorization", s.key.Sign(append([]byte(text+"\n"), body...)))
	}
}

// readCallbackReply holds an answer to the contract: status 200, a JSON body, Content-Length, at most 1 MB.
func readCallbackReply(resp *http.Response) ([]byte, *Error) {
	if resp.StatusCode != http.StatusOK {
		return nil, callbackFailed("0007-00000203", "Error status : %d.", resp.StatusCode)
	}
	if resp.ContentLength < 0 {
		return nil, callbackFailed("", "Error status : 200. The response has no valid Content-Length.")
	}
	if resp.ContentLength > maxCallbackReply {
		return nil, callbackFailed("", "Error Status : 400.User server return too long content-length value.")
	}
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxCallbackReply))
	if err != nil {
		return nil, callbackFailed("", "Cost too long time.")
	}
	if !json.Valid(reply) {
		return nil, callbackFailed("0007-00000205", "Response body is not valid json format.")
	}
	return reply, nil
}
