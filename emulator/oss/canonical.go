package oss

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
)

// signV4 signs a string with the key derived for a scope (H/zh/oss/developer-reference/recommend-to-use-signature-version-4).
func signV4(secret string, s scope, text string) string {
	key := hmacSHA256([]byte("aliyun_v4"+secret), s.date)
	key = hmacSHA256(key, s.region)
	key = hmacSHA256(key, s.product)
	key = hmacSHA256(key, "aliyun_v4_request")
	return hex.EncodeToString(hmacSHA256(key, text))
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// signV1 signs a string as signature version 1 does.
func signV1(secret, text string) string {
	h := hmac.New(sha1.New, []byte(secret))
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// scope is the credential scope of a V4 signature.
type scope struct{ date, region, product string }

func (s scope) String() string {
	return s.date + "/" + s.region + "/" + s.product + "/aliyun_v4_request"
}

// canonicalURI is always /bucket/key, whatever the addressing style.
func (q *request) canonicalURI() string {
	uri := "/"
	if q.bucket != "" {
		uri += q.bucket + "/"
	}
	return uri + q.key
}

// canonicalRequest is the V4 canonical request, with the query given by the caller.
func (q *request) canonicalRequest(query string, additional []string) string {
	var b strings.Builder
	b.WriteString(q.r.Method + "\n" + escape(q.canonicalURI(), true) + "\n" + query + "\n")
	for _, h := range q.signedHeaders(additional) {
		b.WriteString(h + ":" + q.canonicalHeader(h) + "\n")
	}
	payload := q.header("x-oss-content-sha256")
	if payload == "" {
		payload = "UNSIGNED-PAYLOAD"
	}
	b.WriteString("\n" + strings.Join(additional, ";") + "\n" + payload)
	return b.String()
}

func (q *request) signedHeaders(additional []string) []string {
	var names []string
	for name := range q.r.Header {
		low := strings.ToLower(name)
		if strings.HasPrefix(low, "x-oss-") || low == "content-type" || low == "content-md5" {
			names = append(names, low)
		}
	}
	for _, a := range additional {
		if !slices.Contains(names, a) && (a == "host" || q.r.Header.Get(a) != "") {
			names = append(names, a)
		}
	}
	slices.Sort(names)
	return names
}

func (q *request) canonicalHeader(name string) string {
	if name == "host" {
		return strings.TrimSpace(q.r.Host) // net/http moves it out of the header map
	}
	values := slices.Clone(q.r.Header.Values(http.CanonicalHeaderKey(name)))
	for i, v := range values {
		values[i] = strings.TrimSpace(v)
	}
	return strings.Join(values, ",")
}

// canonicalQuery sorts the decoded parameters in canonical encoding; an empty value loses its "=".
func (q *request) canonicalQuery(skip string) string {
	type pair struct{ name, value string }
	var pairs []pair
	for _, p := range q.query {
		if p.Name != skip {
			pairs = append(pairs, pair{escape(p.Name, false), escape(p.Value, false)})
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	items := make([]string, len(pairs))
	for i, p := range pairs {
		items[i] = p.name
		if p.value != "" {
			items[i] += "=" + p.value
		}
	}
	return strings.Join(items, "&")
}

// escape percent-encodes everything but the unreserved characters of RFC 3986, and slashes when keepSlash is set.
func escape(s string, keepSlash bool) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '_', c == '.', c == '~', keepSlash && c == '/':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// subResourcesV1 are the query parameters that a V1 signature covers, besides those that begin with x-oss-
// (H/zh/oss/developer-reference/include-signatures-in-the-authorization-header).
var subResourcesV1 = newSet(
	"accessPoint", "accessPointConfigForObjectProcess", "accessPointForObjectProcess", "accessPointPolicy",
	"accessPointPolicyForObjectProcess", "acl", "append", "bucketArchiveDirectRead", "bucketInfo", "callback",
	"callback-var", "cleanRestoredObject", "cloudboxes", "cname", "comp", "continuation-token", "cors", "delete",
	"encryption", "endTime", "group", "httpsConfig", "img", "inventory", "inventoryId", "legalHold", "lifecycle",
	"link", "live", "location", "logging", "metaQuery", "metadataConfiguration", "metadataInventoryTable",
	"metadataJournalTable", "objectInfo", "objectMeta", "objectWorm", "overwriteConfig", "partNumber", "policy",
	"policyStatus", "position", "publicAccessBlock", "qos", "qosInfo", "quota", "redundancyTransition", "referer",
	"regionList", "replication", "replicationLocation", "replicationProgress", "requestPayment",
	"resourceGroup", "response-cache-control", "response-content-disposition", "response-content-encoding",
	"response-content-language", "response-content-type", "response-expires", "restore", "retention", "rtc", "seal",
	"security-token", "sequential", "startTime", "stat", "status", "style", "styleName", "symlink", "tagging",
	"transferAcceleration", "uploadId", "uploads", "userDefinedLogFieldsConfig", "versionId", "versioning", "versions",
	"vod", "website", "worm", "wormExtend", "wormId", "x-oss-write-get-object-response",
)

func newSet(items ...string) map[string]bool {
	m := make(map[string]bool, len(items))
	for _, i := range items {
		m[i] = true
	}
	return m
}

// stringToSignV1 is the text that a V1 signature covers; date is the Date header or the Expires parameter.
func (q *request) stringToSignV1(date string) string {
	var names []string
	for name := range q.r.Header {
		if low := strings.ToLower(name); strings.HasPrefix(low, "x-oss-") {
			names = append(names, low)
		}
	}
	slices.Sort(names) // the names, not the lines: "-" sorts before ":"
	headers := ""
	for _, name := range names {
		headers += name + ":" + q.canonicalHeader(name) + "\n"
	}
	var sub []string
	seen := map[string]bool{}
	for _, p := range q.query {
		if seen[p.Name] || !subResourcesV1[p.Name] && !strings.HasPrefix(p.Name, "x-oss-") {
			continue
		}
		seen[p.Name] = true
		item := p.Name
		if p.Value != "" {
			item += "=" + p.Value
		}
		sub = append(sub, item)
	}
	slices.SortFunc(sub, compareNames)
	resource := q.canonicalURI()
	if len(sub) > 0 {
		resource += "?" + strings.Join(sub, "&")
	}
	return q.r.Method + "\n" + q.header("Content-MD5") + "\n" + q.header("Content-Type") + "\n" + date + "\n" +
		headers + resource
}

// rawQuery is the query as it was sent, sorted, with "+" as %20 and without "=" before empty values.
func (q *request) rawQuery(skip string) string {
	var items []string
	for pair := range strings.SplitSeq(strings.ReplaceAll(q.r.URL.RawQuery, "+", "%20"), "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name == "" || name == skip {
			continue
		}
		if value != "" {
			name += "=" + value
		}
		items = append(items, name)
	}
	slices.SortStableFunc(items, compareNames)
	return strings.Join(items, "&")
}

// compareNames orders "name=value" items by name alone: "=" sorts after digits and before letters.
func compareNames(a, b string) int {
	x, _, _ := strings.Cut(a, "=")
	y, _, _ := strings.Cut(b, "=")
	return strings.Compare(x, y)
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
