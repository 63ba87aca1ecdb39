package rpc

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// window is how far the clock of a caller may be off, and for how long a nonce is remembered.
const window = 15 * time.Minute

// timeFormat is the only form of Timestamp that the protocol has: ISO 8601 in UTC, to the second.
const timeFormat = "2006-01-02T15:04:05Z"

// Verifier checks signatures and remembers nonces. It is safe for concurrent use.
type Verifier struct {
	mu     sync.Mutex
	nonces map[string]time.Time
	swept  time.Time
}

// NewVerifier returns a Verifier that has seen no nonce.
func NewVerifier() *Verifier { return &Verifier{nonces: map[string]time.Time{}} }

// CheckForm checks what can be checked before the key is known: that the signature's parameters are there, name a
// method that the protocol has, and carry a time within the window around now.
func (r *Request) CheckForm(now time.Time) *Error {
	if r.isACS3() {
		return r.checkACS3Form(now)
	}
	for _, name := range []string{"AccessKeyId", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Timestamp", "Signature"} {
		if r.Params[name] == "" {
			return Missing(name)
		}
	}
	if r.Params["SignatureMethod"] != "HMAC-SHA1" {
		return &Error{Status: 400, Code: "InvalidSignatureMethod", Message: "Specified signature method is not valid."}
	}
	if r.Params["SignatureVersion"] != "1.0" {
		return &Error{Status: 400, Code: "InvalidSignatureVersion", Message: "Specified signature version is not valid."}
	}
	if f := r.Params["Format"]; f != "" && !strings.EqualFold(f, "JSON") && !strings.EqualFold(f, "XML") {
		return &Error{Status: 400, Code: "InvalidParameter.Format", Message: "Specified parameter format is not valid."}
	}
	return checkTime(r.Params["Timestamp"], now)
}

func checkTime(value string, now time.Time) *Error {
	at, err := time.Parse(timeFormat, value)
	if err != nil {
		return &Error{Status: 400, Code: "InvalidTimeStamp.Format", Message: "Specified time stamp or date value is not well formatted."}
	}
	if d := now.Sub(at); d > window || d < -window {
		return &Error{Status: 400, Code: "InvalidTimeStamp.Expired", Message: "Specified time stamp or date value is expired."}
	}
	return nil
}

// Check verifies the signature with the secret of the key and then spends the nonce. A call whose signature is
// wrong spends nothing, so nobody can use up another caller's nonces.
func (v *Verifier) Check(r *Request, secret string, now time.Time) *Error {
	if r.isACS3() {
		if e := r.checkACS3(secret); e != nil {
			return e
		}
		if nonce := r.HTTP.Header.Get("x-acs-signature-nonce"); nonce != "" {
			return v.spend(r.AccessKeyID(), nonce, now)
		}
		return nil
	}
	toSign := r.stringToSign()
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte(toSign))
	got, err := base64.StdEncoding.DecodeString(r.Params["Signature"])
	if err != nil || !hmac.Equal(got, mac.Sum(nil)) {
		// The SDKs compare the text after the colon with their own to tell a wrong secret from a wrong algorithm.
		return &Error{Status: 400, Code: "SignatureDoesNotMatch",
			Message: "Specified signature is not matched with our calculation. server string to sign is:" + toSign}
	}
	return v.spend(r.AccessKeyID(), r.Params["SignatureNonce"], now)
}

func (v *Verifier) spend(key, nonce string, now time.Time) *Error {
	v.mu.Lock()
	defer v.mu.Unlock()
	// A call is accepted within the window on both sides of its timestamp, so its nonce must outlive both.
	if now.Sub(v.swept) > window || now.Before(v.swept) {
		for n, expiry := range v.nonces {
			if now.After(expiry) {
				delete(v.nonces, n)
			}
		}
		v.swept = now
	}
	id := key + "\x00" + nonce
	if expiry, used := v.nonces[id]; used && !now.After(expiry) {
		return &Error{Status: 400, Code: "SignatureNonceUsed", Message: "Specified signature nonce was used already."}
	}
	v.nonces[id] = now.Add(2 * window)
	return nil
}

// stringToSign joins all parameters but the signature, sorted and percent-encoded, behind the method.
func (r *Request) stringToSign() string {
	pairs := make([]string, 0, len(r.Params))
	for name, value := range r.Params {
		if name != "Signature" {
			pairs = append(pairs, percentEncode(name)+"="+percentEncode(value))
		}
	}
	// Sorting the encoded pairs would put "a=" after "a.b="; the protocol sorts by name.
	sort.Slice(pairs, func(i, j int) bool {
		a, _, _ := strings.Cut(pairs[i], "=")
		b, _, _ := strings.Cut(pairs[j], "=")
		return decoded(a) < decoded(b)
	})
	return r.HTTP.Method + "&%2F&" + percentEncode(strings.Join(pairs, "&"))
}

func decoded(s string) string {
	d, _ := url.PathUnescape(s)
	return d
}

// percentEncode is RFC 3986: everything but letters, digits and -_.~ becomes %XX.
func percentEncode(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

const acs3 = "ACS3-HMAC-SHA256"

func (r *Request) isACS3() bool {
	return strings.HasPrefix(r.HTTP.Header.Get("Authorization"), acs3)
}

// acs3Field reads one field of "ACS3-HMAC-SHA256 Credential=…,SignedHeaders=a;b,Signature=hex".
func (r *Request) acs3Field(name string) string {
	rest := strings.TrimPrefix(r.HTTP.Header.Get("Authorization"), acs3)
	for field := range strings.SplitSeq(rest, ",") {
		if k, v, ok := strings.Cut(strings.TrimSpace(field), "="); ok && k == name {
			return v
		}
	}
	return ""
}

func (r *Request) checkACS3Form(now time.Time) *Error {
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if r.acs3Field(name) == "" {
			return &Error{Status: 400, Code: "IncompleteSignature", Message: "The Authorization header has no " + name + "."}
		}
	}
	if h := r.HTTP.Header.Get("x-acs-content-sha256"); h != r.bodyHash {
		return &Error{Status: 400, Code: "InvalidContentHash", Message: "The header x-acs-content-sha256 is not the SHA-256 of the body."}
	}
	return checkTime(r.HTTP.Header.Get("x-acs-date"), now)
}

// checkACS3 recomputes the signature over method, path, query, signed headers and the hash of the body. The
// headers that carry meaning must be among the signed ones.
func (r *Request) checkACS3(secret string) *Error {
	names := strings.Split(r.acs3Field("SignedHeaders"), ";")
	for name := range r.HTTP.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-acs-") && !slices.Contains(names, lower) {
			return &Error{Status: 400, Code: "IncompleteSignature", Message: "The header " + lower + " is not among SignedHeaders."}
		}
	}
	var headers strings.Builder
	for _, name := range names {
		headers.WriteString(name + ":" + r.signedHeader(name) + "\n")
	}
	path := r.HTTP.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	canonical := strings.Join([]string{r.HTTP.Method, path, canonicalQuery(r.HTTP.URL.Query()), headers.String(),
		r.acs3Field("SignedHeaders"), r.bodyHash}, "\n")
	sum := sha256.Sum256([]byte(canonical))
	toSign := acs3 + "\n" + hex.EncodeToString(sum[:])
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(toSign))
	got, err := hex.DecodeString(r.acs3Field("Signature"))
	if err != nil || !hmac.Equal(got, mac.Sum(nil)) {
		return &Error{Status: 400, Code: "SignatureDoesNotMatch",
			Message: "Specified signature does not match our calculation. server StringToSign is [" + toSign + "]"}
	}
	return nil
}

func (r *Request) signedHeader(name string) string {
	if name == "host" {
		return r.HTTP.Host
	}
	values := slices.Clone(r.HTTP.Header.Values(name))
	for i := range values {
		values[i] = strings.TrimSpace(values[i])
	}
	return strings.Join(values, ",")
}

func canonicalQuery(q url.Values) string {
	names := make([]string, 0, len(q))
	for name := range q {
		names = append(names, name)
	}
	sort.Strings(names)
	parts := make([]string, 0, len(names))
	for _, name := range names {
		parts = append(parts, percentEncode(name)+"="+percentEncode(q.Get(name)))
	}
	return strings.Join(parts, "&")
}
