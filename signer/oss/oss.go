// Package oss is the signer's own small client of Alibaba Cloud OSS: V4 header signatures and presigned
// URLs with the standard library only. The signer faces the internet, so it links no SDK; its signatures
// are held against the official SDK in the tests.
package oss

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/uploadtenant/uploadtenant/policy"
	"github.com/uploadtenant/uploadtenant/signer/sts"
)

// Credentials gives the current STS credential without I/O.
type Credentials interface {
	Credential() (sts.Credential, error)
}

// Options describe one bucket.
type Options struct {
	// Endpoint of the signer's own calls, for example https://oss-cn-hangzhou-internal.aliyuncs.com.
	Endpoint    string
	Region      string
	Bucket      string
	Credentials Credentials
	// HTTPClient defaults to one with a 20 second timeout that follows no redirect.
	HTTPClient *http.Client
	// Clock defaults to time.Now.
	Clock func() time.Time
}

// Client calls one bucket. It is safe for concurrent use.
type Client struct {
	base        *url.URL // with the bucket in host or path
	bucket      string
	region      string
	credentials Credentials
	http        *http.Client
	clock       func() time.Time
	signer      atomic.Pointer[derived]
}

// derived pairs a signing key with the credential it came from.
type derived struct {
	cred sts.Credential
	*policy.SignerV4
}

// New checks opts and returns a client. It makes no call.
func New(opts Options) (*Client, error) {
	base, err := url.Parse(opts.Endpoint)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, fmt.Errorf("oss endpoint %q must be a base URL such as https://oss-cn-hangzhou.aliyuncs.com", opts.Endpoint)
	}
	if opts.Bucket == "" || opts.Region == "" || opts.Credentials == nil {
		return nil, errors.New("oss client needs a bucket, a region and credentials")
	}
	if virtualHosted(base.Hostname()) {
		base.Host = opts.Bucket + "." + base.Host
		base.Path = ""
	} else {
		base.Path = "/" + opts.Bucket
	}
	client := opts.HTTPClient
	if client == nil {
		client = NewHTTPClient()
	}
	clock := opts.Clock
	if clock == nil {
		clock = time.Now
	}
	return &Client{base: base, bucket: opts.Bucket, region: opts.Region, credentials: opts.Credentials, http: client, clock: clock}, nil
}

// NewHTTPClient returns the client that New uses by default.
func NewHTTPClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	return &http.Client{
		Transport: transport,
		Timeout:   20 * time.Second,
		// A redirect would carry the signature to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// virtualHosted tells whether the bucket goes into the host name. The real service demands it on its own
// domains; an emulator on an IP address or a service name is reached by path, like the official SDK does.
func virtualHosted(host string) bool {
	return net.ParseIP(host) == nil && strings.HasSuffix(host, ".aliyuncs.com")
}

// Error is a refusal by OSS. Code and EC are documented and stable; RequestID is for logs only.
type Error struct {
	Status    int
	Code      string
	EC        string
	Message   string
	RequestID string
}

// Error names the code, without request id, so that the text is stable.
func (e *Error) Error() string {
	return fmt.Sprintf("oss answered %d %s (EC %s)", e.Status, e.Code, e.EC)
}

// NotFound tells whether err says that the object or upload does not exist.
func NotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// Denied tells whether err says that the role lacks a right, and not that the credential, the clock or the
// account is the trouble, which OSS answers with status 403 as well. An answer without a code says no more.
func Denied(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusForbidden && (e.Code == "AccessDenied" || e.Code == "")
}

// Escape percent-encodes like OSS canonicalises: everything but unreserved characters, and "/" when it
// separates path segments.
func Escape(s string, keepSlash bool) string {
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~', c == '/' && keepSlash:
			b.WriteByte(c)
		default:
			const upper = "0123456789ABCDEF"
			b.WriteByte('%')
			b.WriteByte(upper[c>>4])
			b.WriteByte(upper[c&15])
		}
	}
	return b.String()
}

// canonicalQuery sorts and escapes; parameters without a value are written without "=".
func canonicalQuery(query map[string]string) string {
	keys := make([]string, 0, len(query))
	for k := range query {
		keys = append(keys, Escape(k, false))
	}
	escaped := make(map[string]string, len(query))
	for k, v := range query {
		escaped[Escape(k, false)] = Escape(v, false)
	}
	slices.Sort(keys)
	var b strings.Builder
	for i, k := range keys {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(k)
		if escaped[k] != "" {
			b.WriteByte('=')
			b.WriteString(escaped[k])
		}
	}
	return b.String()
}

// signed returns the derived key of the current credential for now.
func (c *Client) signed(now time.Time) (*derived, error) {
	cred, err := c.credentials.Credential()
	if err != nil {
		return nil, err
	}
	if d := c.signer.Load(); d != nil && d.cred == cred && d.Covers(now) {
		return d, nil
	}
	d := &derived{cred, policy.NewSignerV4(cred.AccessKeyID, cred.AccessKeySecret, c.region, now)}
	c.signer.Store(d)
	return d, nil
}

// stringToSign of the V4 signature over headers or query.
// Source: https://help.aliyun.com/zh/oss/developer-reference/recommend-to-use-signature-version-4
func stringToSign(method, uri, query, headers, date, scope string) []byte {
	sum := sha256.Sum256([]byte(method + "\n" + uri + "\n" + query + "\n" + headers + "\n\nUNSIGNED-PAYLOAD"))
	return []byte(policy.SignatureV4 + "\n" + date + "\n" + scope + "\n" + hex.EncodeToString(sum[:]))
}

// canonicalHeaders lists the headers that V4 signs by default.
func canonicalHeaders(header http.Header) string {
	lower := make(map[string]string, len(header))
	names := make([]string, 0, len(header))
	for name, values := range header {
		low := strings.ToLower(name)
		if strings.HasPrefix(low, "x-oss-") || low == "content-type" || low == "content-md5" {
			trimmed := make([]string, len(values))
			for i, v := range values {
				trimmed[i] = strings.TrimSpace(v)
			}
			lower[low] = strings.Join(trimmed, ",")
			names = append(names, low)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		b.WriteString(name + ":" + lower[name] + "\n")
	}
	return b.String()
}

// request is one call.
type request struct {
	method string
	key    string // empty for the bucket
	query  map[string]string
	header http.Header
	body   string
}

// do signs and sends. The caller closes the body of a successful answer; a refusal is an *Error.
func (c *Client) do(ctx context.Context, r request) (*http.Response, error) {
	now := c.clock()
	d, err := c.signed(now)
	if err != nil {
		return nil, err
	}
	target := *c.base
	query := canonicalQuery(r.query)
	rawURL := target.Scheme + "://" + target.Host + target.Path + "/" + Escape(r.key, true)
	if query != "" {
		rawURL += "?" + query
	}
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, rawURL, body)
	if err != nil {
		return nil, fmt.Errorf("build oss request: %w", err)
	}
	if r.header != nil {
		req.Header = r.header
	}
	date := policy.DateV4(now)
	req.Header.Set("X-Oss-Date", date)
	req.Header.Set("X-Oss-Content-Sha256", "UNSIGNED-PAYLOAD")
	if d.cred.SecurityToken != "" {
		req.Header.Set("X-Oss-Security-Token", d.cred.SecurityToken)
	}
	_, scope, _ := strings.Cut(d.Credential, "/")
	text := stringToSign(r.method, "/"+Escape(c.bucket, true)+"/"+Escape(r.key, true), query, canonicalHeaders(req.Header), date, scope)
	req.Header.Set("Authorization", string(d.AppendSignature([]byte(policy.SignatureV4+" Credential="+d.Credential+",Signature="), text)))
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("reach oss: %w", withoutURL(err))
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, readError(resp)
	}
	return resp, nil
}

// withoutURL drops the URL from a transport error, because a query may be secret.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// readError reads the XML of a refusal; for HEAD it is in a header, base64 encoded.
func readError(resp *http.Response) *Error {
	e := &Error{Status: resp.StatusCode, EC: resp.Header.Get("X-Oss-Ec"), RequestID: resp.Header.Get("X-Oss-Request-Id")}
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // a broken body still leaves status and headers
	if len(raw) == 0 {
		raw, _ = base64.StdEncoding.DecodeString(resp.Header.Get("X-Oss-Err")) // not base64: no body either
	}
	var parsed struct {
		Code, Message, RequestId, EC string
	}
	if xml.Unmarshal(raw, &parsed) == nil {
		e.Code, e.Message = parsed.Code, parsed.Message
		if parsed.EC != "" {
			e.EC = parsed.EC
		}
	}
	return e
}

// Object is what OSS knows about a stored object.
type Object struct {
	Key          string
	Size         int64
	ContentType  string
	ETag         string
	MD5          string // lower-case hex, empty when OSS does not tell, as of multipart objects
	CRC64        string
	LastModified time.Time
	// Meta holds the x-oss-meta-* headers, names in lower case without the prefix.
	Meta map[string]string
}

// Head returns the object at key.
func (c *Client) Head(ctx context.Context, key string) (*Object, error) {
	resp, err := c.do(ctx, request{method: http.MethodHead, key: key})
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	return objectOf(key, resp), nil
}

func objectOf(key string, resp *http.Response) *Object {
	o := &Object{Key: key, Size: resp.ContentLength, ContentType: resp.Header.Get("Content-Type"),
		ETag: strings.Trim(resp.Header.Get("ETag"), `"`), CRC64: resp.Header.Get("X-Oss-Hash-Crc64ecma"), Meta: map[string]string{}}
	if modified, err := http.ParseTime(resp.Header.Get("Last-Modified")); err == nil {
		o.LastModified = modified
	}
	// The ETag often is the MD5 and looks like one when it is not: of an object that was posted, OSS promises
	// no more than that it is unique (help.aliyun.com, "PostObject").
	o.MD5 = MD5Hex(resp.Header.Get("Content-Md5"))
	for name, values := range resp.Header {
		if low, ok := strings.CutPrefix(strings.ToLower(name), "x-oss-meta-"); ok && len(values) > 0 {
			o.Meta[low] = values[0]
		}
	}
	return o
}

// HashOf is the MD5 of a stored object in lower-case hex: the one that OSS tells, else one that was announced
// when the ETag is the same, else "".
func (o *Object) HashOf(announced ...string) string {
	if o.MD5 != "" {
		return o.MD5
	}
	for _, md5 := range announced {
		if md5 != "" && strings.EqualFold(o.ETag, md5) {
			return md5
		}
	}
	return ""
}

// MD5Hex returns an MD5 in lower-case hex whether it came as hex or as base64, like a Content-MD5; anything
// else gives "".
func MD5Hex(s string) string {
	s = strings.Trim(strings.TrimSpace(s), `"`)
	if len(s) == 32 {
		if _, err := hex.DecodeString(s); err == nil {
			return strings.ToLower(s)
		}
		return ""
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(raw) != 16 {
		return ""
	}
	return hex.EncodeToString(raw)
}
