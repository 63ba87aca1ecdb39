package oss

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// Limits of CORS rules (H/zh/oss/developer-reference/putbucketcors).
const (
	maxCORSRules = 10
	maxCORSBody  = 16 << 10
)

type corsConfiguration struct {
	XMLName      xml.Name   `xml:"CORSConfiguration"`
	Rules        []corsRule `xml:"CORSRule"`
	ResponseVary bool
}

type corsRule struct {
	Origins []string `xml:"AllowedOrigin"`
	Methods []string `xml:"AllowedMethod"`
	Headers []string `xml:"AllowedHeader"`
	Expose  []string `xml:"ExposeHeader"`
	MaxAge  *int     `xml:"MaxAgeSeconds"`
}

func checkCORS(_ *request, body []byte) *Error {
	if len(body) > maxCORSBody {
		return malformedXML("", "the CORS configuration is larger than 16 KB.")
	}
	var doc corsConfiguration
	if err := parseXML(body, &doc); err != nil {
		return err
	}
	if len(doc.Rules) == 0 {
		return malformedXML("0034-00000002", "the CORS configuration has no rule.")
	}
	if len(doc.Rules) > maxCORSRules {
		return malformedXML("", "the CORS configuration has more than 10 rules.")
	}
	for _, r := range doc.Rules {
		if err := r.check(); err != nil {
			return err
		}
	}
	return nil
}

func (r corsRule) check() *Error {
	if len(r.Origins) == 0 || len(r.Methods) == 0 {
		return malformedXML("", "a CORS rule needs AllowedOrigin and AllowedMethod.")
	}
	for _, m := range r.Methods {
		if !slices.Contains([]string{"GET", "PUT", "DELETE", "POST", "HEAD"}, m) {
			return invalidArgument("0034-00000011", "AllowedMethod", m, "Found unsupported HTTP method in CORS config. Unsupported method is %s.", m)
		}
	}
	for _, v := range append(slices.Clone(r.Origins), r.Headers...) {
		if strings.Count(v, "*") > 1 {
			return invalidArgument("", "AllowedOrigin", v, "At most one * is allowed in %s.", v)
		}
	}
	for _, v := range r.Expose {
		if strings.Contains(v, "*") {
			return invalidArgument("", "ExposeHeader", v, "ExposeHeader can not contain *.")
		}
	}
	if r.MaxAge != nil && (*r.MaxAge < 0 || *r.MaxAge > 999999999) {
		return invalidArgument("", "MaxAgeSeconds", strconv.Itoa(*r.MaxAge), "MaxAgeSeconds is out of range.")
	}
	return nil
}

// corsRules returns the bucket's rules; nil when it has none.
func (q *request) corsRules() *corsConfiguration {
	if q.info == nil || q.info.Config["cors"] == nil {
		return nil
	}
	var doc corsConfiguration
	if xml.Unmarshal(q.info.Config["cors"], &doc) != nil {
		return nil
	}
	return &doc
}

// match returns the first rule that allows origin, method and headers.
func (c *corsConfiguration) match(origin, method string, headers []string) *corsRule {
	for i, r := range c.Rules {
		if !slices.ContainsFunc(r.Origins, func(p string) bool { return wildcard(p, origin) }) || !slices.Contains(r.Methods, method) {
			continue
		}
		allowed := true
		for _, h := range headers {
			allowed = allowed && slices.ContainsFunc(r.Headers, func(p string) bool { return wildcard(strings.ToLower(p), h) })
		}
		if allowed {
			return &c.Rules[i]
		}
	}
	return nil
}

// wildcard matches a pattern with at most one "*".
func wildcard(pattern, s string) bool {
	before, after, found := strings.Cut(pattern, "*")
	if !found {
		return pattern == s
	}
	return len(s) >= len(before)+len(after) && strings.HasPrefix(s, before) && strings.HasSuffix(s, after)
}

// allow sets the headers that a matching rule grants.
func (r *corsRule) allow(h http.Header, origin string) {
	if slices.Contains(r.Origins, "*") {
		h.Set("Access-Control-Allow-Origin", "*")
	} else {
		h.Set("Access-Control-Allow-Origin", origin)
	}
	h.Set("Access-Control-Allow-Methods", strings.Join(r.Methods, ", "))
	if len(r.Expose) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(r.Expose, ", "))
	}
	if r.MaxAge != nil {
		h.Set("Access-Control-Max-Age", strconv.Itoa(*r.MaxAge))
	}
}

// applyCORS adds the headers to the answer of an actual request, refused or not, so that a browser can read it.
func (q *request) applyCORS() {
	if q.r.Method == http.MethodOptions {
		return
	}
	c := q.corsRules()
	if c == nil {
		return
	}
	origin := q.header("Origin")
	if c.ResponseVary {
		q.w.Header().Add("Vary", "Origin")
	}
	if origin == "" {
		return
	}
	if rule := c.match(origin, q.r.Method, nil); rule != nil {
		rule.allow(q.w.Header(), origin)
		if !c.ResponseVary && !slices.Contains(rule.Origins, "*") {
			q.w.Header().Add("Vary", "Origin")
		}
	}
}

// preflight answers OPTIONS (OptionObject).
func (q *request) preflight() *Error {
	origin, method := q.header("Origin"), q.header("Access-Control-Request-Method")
	if q.info == nil {
		return fromStore(store.ErrNoSuchBucket, q.bucket, "")
	}
	if origin == "" {
		return newError(http.StatusBadRequest, "InvalidRequest", "", "Insufficient information. Origin request header needed.")
	}
	if method == "" {
		return newError(http.StatusBadRequest, "InvalidRequest", "", "Insufficient information. Access-Control-Request-Method request header needed.")
	}
	var headers []string
	for h := range strings.SplitSeq(strings.ToLower(q.header("Access-Control-Request-Headers")), ",") {
		if h = strings.TrimSpace(h); h != "" {
			headers = append(headers, h)
		}
	}
	c := q.corsRules()
	if c == nil {
		return corsForbidden("CORSResponse: CORS is not enabled for this bucket.", method)
	}
	rule := c.match(origin, method, headers)
	if rule == nil {
		return corsForbidden("CORSResponse: This CORS request is not allowed. This is usually because the evaluation of Origin, "+
			"request method / Access-Control-Request-Method or Access-Control-Requet-Headers are not whitelisted by the resource's CORS spec.", method)
	}
	h := q.w.Header()
	rule.allow(h, origin)
	if len(headers) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(headers, ", "))
	}
	h.Add("Vary", "Origin")
	h.Set("Content-Length", "0")
	q.w.WriteHeader(http.StatusOK)
	return nil
}

func corsForbidden(message, method string) *Error {
	return newError(http.StatusForbidden, "AccessForbidden", "", "%s", message).with("Method", method).with("ResourceType", "Object")
}
