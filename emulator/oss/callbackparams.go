package oss

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Body types of a callback.
const (
	callbackForm = "application/x-www-form-urlencoded"
	callbackJSON = "application/json"
)

// callback is a checked callback configuration (H/zh/oss/developer-reference/callback).
type callback struct {
	urls     []*url.URL
	host     string
	template string
	bodyType string
	sni      bool
	vars     map[string]string // "x:name" -> value
	headers  map[string]string
}

// callbackParam is the JSON of the callback parameter.
type callbackParam struct {
	URL      string `json:"callbackUrl"`
	Host     string `json:"callbackHost"`
	Body     string `json:"callbackBody"`
	BodyType string `json:"callbackBodyType"`
	SNI      any    `json:"callbackSNI"` // clients send true as well as "true"
	// Headers is hardly documented: EC 0007-00000026 tells that its keys must not begin with x-oss-.
	Headers map[string]string `json:"additionalHeaders"`
}

const maxCallbackURLs = 5

func callbackError(ec, name, value, format string, args ...any) *Error {
	return invalidArgument(ec, name, value, format, args...)
}

// parseCallback decodes and checks a callback parameter; it returns nil when there is no callbackUrl.
func (s *Server) parseCallback(ctx context.Context, encoded string, vars map[string]string) (*callback, *Error) {
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, callbackError("", "callback", encoded, "The callback configuration is not base64 encoded.")
	}
	var p callbackParam
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, callbackError("", "callback", encoded, "The callback configuration is not json format.")
	}
	if strings.TrimSpace(p.URL) == "" {
		return nil, nil
	}
	c := &callback{host: p.Host, template: p.Body, bodyType: p.BodyType, vars: vars}
	c.sni = p.SNI == true || p.SNI == "true"
	if p.Body == "" {
		return nil, callbackError("0007-00000011", "callbackBody", "", "The callbackBody can not be empty.")
	}
	if c.bodyType == "" {
		c.bodyType = callbackForm
	}
	if c.bodyType != callbackForm && c.bodyType != callbackJSON {
		return nil, callbackError("0007-00000012", "callbackBodyType", p.BodyType, "The callbackBodyType is not supported.")
	}
	for name := range p.Headers {
		if name == "" || strings.HasPrefix(strings.ToLower(name), "x-oss-") || strings.ContainsAny(name, " :\r\n") {
			return nil, callbackError("0007-00000026", "additionalHeaders", name, "The additionalHeaders is invalid.")
		}
	}
	c.headers = p.Headers
	if err := c.checkTemplate(); err != nil {
		return nil, err
	}
	return c, s.parseCallbackURLs(ctx, c, p.URL)
}

func (s *Server) parseCallbackURLs(ctx context.Context, c *callback, list string) *Error {
	for text := range strings.SplitSeq(list, ";") {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		u, ok := parseCallbackURL(text)
		if !ok {
			return callbackError("0007-00000004", "callbackUrl", text, "The callbackUrl is invalid.")
		}
		if s.opts.Rules.RefusePrivateCallbacks && privateHost(ctx, u.Hostname()) {
			return callbackError("0007-00000008", "callbackUrl", text, "Private address is forbidden to callback.")
		}
		c.urls = append(c.urls, u)
	}
	if len(c.urls) == 0 || len(c.urls) > maxCallbackURLs {
		return callbackError("0007-00000004", "callbackUrl", list, "The callbackUrl is invalid: at most %d URLs.", maxCallbackURLs)
	}
	return nil
}

// parseCallbackURL reads an absolute http(s) URL; the scheme may be left out. What is not ASCII must be encoded.
func parseCallbackURL(text string) (*url.URL, bool) {
	if strings.ContainsFunc(text, func(r rune) bool { return r > 126 || r <= ' ' }) {
		return nil, false
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, false
	}
	if strings.Contains(u.Hostname(), ":") {
		return nil, false // IPv6 is not supported
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return nil, false
		}
	}
	return u, true
}

// privateHost tells whether a host is, or resolves to, an address that OSS does not call.
func privateHost(ctx context.Context, host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return privateAddr(addr)
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	return err == nil && slices.ContainsFunc(addrs, func(a string) bool {
		addr, err := netip.ParseAddr(a)
		return err == nil && privateAddr(addr)
	})
}

func privateAddr(a netip.Addr) bool {
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified()
}

// formCallback reads the callback of a form upload: the field "callback" and the custom variables "x:…".
func (s *Server) formCallback(ctx context.Context, f *formFields) (*callback, *Error) {
	vars := map[string]string{}
	for _, field := range f.list {
		if len(field.name) < 2 || !strings.EqualFold(field.name[:2], "x:") {
			continue
		}
		if field.name != strings.ToLower(field.name) {
			return nil, callbackError("", field.name, field.value, "The name of a custom variable must be lower case.")
		}
		vars[field.name] = field.value
	}
	encoded, ok := f.get("callback")
	if !ok || encoded == "" {
		return nil, nil
	}
	return s.parseCallback(ctx, encoded, vars)
}

// requestCallback reads the callback of PutObject and CompleteMultipartUpload: headers or query, not both.
func (q *request) requestCallback() (*callback, *Error) {
	encoded, vars := q.header("x-oss-callback"), q.header("x-oss-callback-var")
	if q.has("callback") {
		if encoded != "" {
			return nil, callbackError("0007-00000027", "callback", encoded, "The callback is specified in both header and query string.")
		}
		encoded, vars = q.param("callback"), q.param("callback-var")
	}
	if encoded == "" {
		return nil, nil
	}
	if len(encoded) > 5<<10 {
		return nil, callbackError("", "callback", "", "The callback configuration is too large.")
	}
	custom := map[string]string{}
	if vars != "" {
		raw, err := base64.StdEncoding.DecodeString(vars)
		if err != nil {
			return nil, callbackError("", "callback-var", vars, "The callback-var configuration is not base64 encoded.")
		}
		if err := json.Unmarshal(raw, &custom); err != nil {
			return nil, callbackError("", "callback-var", vars, "The callback-var configuration is not json format.")
		}
		for name := range custom {
			if !strings.HasPrefix(name, "x:") || name != strings.ToLower(name) {
				return nil, callbackError("", "callback-var", name, "The name of a custom variable must begin with x: and be lower case.")
			}
		}
	}
	return q.server.parseCallback(q.r.Context(), encoded, custom)
}
