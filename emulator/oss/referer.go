package oss

import (
	"encoding/xml"
	"slices"
	"strings"
)

type refererConfiguration struct {
	XMLName       xml.Name `xml:"RefererConfiguration"`
	AllowEmpty    bool     `xml:"AllowEmptyReferer"`
	TruncateQuery *bool    `xml:"AllowTruncateQueryString"`
	TruncatePath  bool
	Allowed       []string `xml:"RefererList>Referer"`
	Blocked       []string `xml:"RefererBlacklist>Referer"`
}

func checkRefererConfig(_ *request, body []byte) *Error {
	var doc refererConfiguration
	return parseXML(body, &doc)
}

// checkReferer is the hotlink protection. It applies to anonymous requests and signed URLs only; a request with an
// Authorization header, or a signed form, is let through.
func (q *request) checkReferer() *Error {
	if q.info == nil || q.info.Config["referer"] == nil || q.auth.kind == authHeader || q.auth.kind == authForm {
		return nil
	}
	var doc refererConfiguration
	if err := parseXML(q.info.Config["referer"], &doc); err != nil { // was checked when it was put
		return err
	}
	if doc.allows(q.header("Referer")) {
		return nil
	}
	return accessDenied("", "You are denied by bucket referer policy.").with("BucketName", q.bucket)
}

func (c refererConfiguration) allows(referer string) bool {
	if referer == "" {
		// With neither list, an empty referer is let in whatever the switch says (H/zh/oss/user-guide/hotlink-protection).
		return c.AllowEmpty || len(c.Allowed) == 0 && len(c.Blocked) == 0
	}
	if c.TruncateQuery == nil || *c.TruncateQuery {
		referer, _, _ = strings.Cut(referer, "?")
	}
	if c.TruncatePath {
		if scheme, rest, ok := strings.Cut(referer, "://"); ok {
			host, _, _ := strings.Cut(rest, "/")
			referer = scheme + "://" + host
		}
	}
	matches := func(pattern string) bool { return refererMatch(pattern, referer) }
	if slices.ContainsFunc(c.Blocked, matches) {
		return false
	}
	return len(c.Allowed) == 0 || slices.ContainsFunc(c.Allowed, matches)
}

// refererMatch matches "*" against any run of characters and "?" against one.
func refererMatch(pattern, s string) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, mark = i, j
			i++
		case i < len(pattern) && (pattern[i] == '?' || pattern[i] == s[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}
