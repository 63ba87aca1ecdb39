// Package callback verifies that a request is an upload callback which OSS signed.
package callback

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"strings"
)

// Reasons to refuse a callback. They are a closed set: a metric counts by them.
var (
	ErrNoSignature  = errors.New("the authorization or x-oss-pub-key-url header is missing or not base64")
	ErrKeyURL       = errors.New("the public key URL is not below an allowed prefix")
	ErrKeyFetch     = errors.New("the public key cannot be fetched")
	ErrKeyFormat    = errors.New("the public key is not an RSA key in PEM")
	ErrBadSignature = errors.New("the signature does not match")
)

// PublicKey is an RSA key of any size. OSS publishes one of 512 bits, which crypto/rsa refuses; all
// other uses of RSA in this program stay with crypto/rsa.
type PublicKey struct {
	n *big.Int
	e *big.Int
}

// maxModulusBits bounds the work of one verification.
const maxModulusBits = 4096

// ParsePublicKey reads a PEM "PUBLIC KEY" or "RSA PUBLIC KEY".
func ParsePublicKey(text []byte) (*PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, ErrKeyFormat
	}
	var key struct {
		N *big.Int
		E int
	}
	der, err := rsaKeyDER(block)
	if err != nil {
		return nil, err
	}
	if rest, err := asn1.Unmarshal(der, &key); err != nil || len(rest) > 0 {
		return nil, ErrKeyFormat
	}
	if key.N.Sign() <= 0 || key.N.BitLen() < 512 || key.N.BitLen() > maxModulusBits || key.N.Bit(0) == 0 || key.E < 3 || key.E > 1<<31-1 || key.E%2 == 0 {
		return nil, ErrKeyFormat
	}
	return &PublicKey{n: key.N, e: big.NewInt(int64(key.E))}, nil
}

// rsaKeyDER is the PKCS #1 key of a PEM block. x509.ParsePKIXPublicKey would do, but whether it takes a
// small key is up to a GODEBUG setting.
func rsaKeyDER(block *pem.Block) ([]byte, error) {
	switch block.Type {
	case "RSA PUBLIC KEY":
		return block.Bytes, nil
	case "PUBLIC KEY":
	default:
		return nil, ErrKeyFormat
	}
	var info struct {
		Algorithm struct {
			ID         asn1.ObjectIdentifier
			Parameters asn1.RawValue `asn1:"optional"`
		}
		Key asn1.BitString
	}
	if rest, err := asn1.Unmarshal(block.Bytes, &info); err != nil || len(rest) > 0 || !info.Algorithm.ID.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}) {
		return nil, ErrKeyFormat
	}
	return info.Key.RightAlign(), nil
}

// md5DigestInfo is the DER prefix of an MD5 DigestInfo, RFC 8017 §9.2 note 1.
const md5DigestInfo = "\x30\x20\x30\x0c\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x05\x05\x00\x04\x10"

// Verify checks an RSASSA-PKCS1-v1_5 signature with MD5 over message. It builds the one encoding that is
// right and compares all of it, so that no lenient parsing can be exploited.
func (k *PublicKey) Verify(message, signature []byte) error {
	size := (k.n.BitLen() + 7) / 8
	if len(signature) != size {
		return ErrBadSignature
	}
	s := new(big.Int).SetBytes(signature)
	if s.Cmp(k.n) >= 0 {
		return ErrBadSignature
	}
	digest := md5.Sum(message)
	padding := size - 3 - len(md5DigestInfo) - len(digest)
	if padding < 8 {
		return ErrBadSignature
	}
	want := make([]byte, 0, size)
	want = append(want, 0, 1)
	for range padding {
		want = append(want, 0xff)
	}
	want = append(want, 0)
	want = append(want, md5DigestInfo...)
	want = append(want, digest[:]...)
	got := new(big.Int).Exp(s, k.e, k.n).FillBytes(make([]byte, size))
	if subtle.ConstantTimeCompare(got, want) != 1 {
		return ErrBadSignature
	}
	return nil
}

// Signature is what OSS sends along with a callback.
type Signature struct {
	KeyURL string
	Value  []byte
}

// ParseHeaders reads the two headers of a signed callback, each of which OSS sends once.
func ParseHeaders(h http.Header) (Signature, error) {
	if len(h["Authorization"]) != 1 || len(h["X-Oss-Pub-Key-Url"]) != 1 {
		return Signature{}, ErrNoSignature
	}
	value, err := base64.StdEncoding.DecodeString(h.Get("Authorization"))
	if err != nil || len(value) == 0 || len(value) > maxModulusBits/8 {
		return Signature{}, ErrNoSignature
	}
	keyURL, err := base64.StdEncoding.DecodeString(h.Get("X-Oss-Pub-Key-Url"))
	if err != nil || len(keyURL) == 0 || len(keyURL) > 1024 {
		return Signature{}, ErrNoSignature
	}
	return Signature{KeyURL: string(keyURL), Value: value}, nil
}

// SignedText is what OSS signs: the decoded path, the query as it was sent, a newline and the body.
// Behind an ingress that rewrites paths, path is the external one.
// Source: https://help.aliyun.com/zh/oss/developer-reference/callback
func SignedText(path, rawQuery string, body []byte) []byte {
	text := make([]byte, 0, len(path)+len(rawQuery)+len(body)+2)
	text = append(text, path...)
	if rawQuery != "" {
		text = append(text, '?')
		text = append(text, rawQuery...)
	}
	text = append(text, '\n')
	return append(text, body...)
}

// AllowList holds the URL prefixes from which a public key may be fetched.
type AllowList []*url.URL

// ParseAllowList checks prefixes: http or https, a host, and a path that ends with a slash.
func ParseAllowList(prefixes []string) (AllowList, error) {
	list := make(AllowList, 0, len(prefixes))
	for _, prefix := range prefixes {
		u, err := parseKeyURL(prefix)
		if err != nil || !strings.HasSuffix(u.Path, "/") {
			return nil, errors.New("callback key prefix " + prefix + " must be an http(s) URL that ends with a slash, for example https://gosspublic.alicdn.com/")
		}
		list = append(list, u)
	}
	return list, nil
}

// parseKeyURL takes plain URLs only: nothing that two parsers could read differently.
//
//nolint:gocyclo // one list of what is refused reads better than two halves of it
func parseKeyURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, ErrKeyURL
	}
	plain := (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.Opaque == "" &&
		u.RawQuery == "" && !u.ForceQuery && u.Fragment == "" && u.RawPath == "" && strings.HasPrefix(u.Path, "/")
	if !plain || strings.ContainsAny(text, "\\%#?@ \t\r\n") || strings.Contains(u.Path, "//") {
		return nil, ErrKeyURL
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return nil, ErrKeyURL
		}
	}
	return u, nil
}

// Match returns the canonical form of keyURL and the prefix that allows it.
func (l AllowList) Match(keyURL string) (canonical string, prefix *url.URL, err error) {
	u, err := parseKeyURL(keyURL)
	if err != nil {
		return "", nil, err
	}
	u.Host = strings.ToLower(u.Host)
	for _, allowed := range l {
		if u.Scheme == allowed.Scheme && hostPort(u) == hostPort(allowed) && strings.HasPrefix(u.Path, allowed.Path) {
			return u.String(), allowed, nil
		}
	}
	return "", nil, ErrKeyURL
}

// hostPort is the host in lower case with its port, the scheme's default when none is named.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}
