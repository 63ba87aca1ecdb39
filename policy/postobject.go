package policy

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Field is one form field of a PostObject request.
type Field struct {
	Name  string
	Value string
}

// PostObject describes what one signed form may do. Every field that the form carries belongs into
// Fields, because OSS lets a client change each field that no condition names.
// Source: https://help.aliyun.com/en/oss/developer-reference/postobject
type PostObject struct {
	Bucket string
	// MinSize and MaxSize bound the file in bytes, inclusive. They are equal in a grant for one file.
	MinSize, MaxSize int64
	// Fields are pinned to exactly their value.
	Fields []Field
	// ContentTypes, when not empty, are what x-oss-content-type may be: type/subtype, or a
	// single type/*. Families in a longer list are left out, because a policy cannot say "or".
	ContentTypes []string
	// KeyPrefix, when not empty, allows every key that starts with it; then Fields holds no key.
	KeyPrefix string
	// Expires is judged by OSS when the whole body has arrived (EC 0006-00000213).
	Expires time.Time
}

// AppendPolicy appends the policy document as JSON to dst and returns the extended slice.
func (p *PostObject) AppendPolicy(dst []byte) []byte {
	dst = AppendPolicyHead(dst, p.Bucket, p.Expires)
	dst = AppendConditions(dst, p.Fields)
	if p.KeyPrefix != "" {
		dst = append(dst, `,["starts-with","$key",`...)
		dst = AppendJSONString(dst, p.KeyPrefix)
		dst = append(dst, ']')
	}
	if len(p.ContentTypes) > 0 {
		dst = appendContentTypes(dst, p.ContentTypes)
	}
	return AppendPolicyTail(dst, p.MinSize, p.MaxSize)
}

// appendContentTypes allows exactly the listed types. A family such as image/* can only be allowed by its
// start, and OSS joins conditions by "and", so families are allowed when they are the whole list.
func appendContentTypes(dst []byte, types []string) []byte {
	if family, ok := strings.CutSuffix(types[0], "*"); ok && len(types) == 1 {
		dst = append(dst, `,["starts-with","$x-oss-content-type",`...)
		return append(AppendJSONString(dst, family), ']')
	}
	dst = append(dst, `,["in","$x-oss-content-type",[`...)
	first := true
	for _, t := range types {
		if strings.HasSuffix(t, "/*") {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		dst, first = AppendJSONString(dst, t), false
	}
	return append(dst, `]]`...)
}

// AppendPolicyHead begins a policy document; conditions follow, then AppendPolicyTail. The three parts
// exist for callers that sign many documents with the same beginning.
func AppendPolicyHead(dst []byte, bucket string, expires time.Time) []byte {
	dst = append(dst, `{"expiration":"`...)
	dst = expires.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	dst = append(dst, `","conditions":[{"bucket":`...)
	dst = AppendJSONString(dst, bucket)
	return append(dst, '}')
}

// AppendPolicyTail ends a policy document with the range of the file's size in bytes.
func AppendPolicyTail(dst []byte, minSize, maxSize int64) []byte {
	dst = append(dst, `,["content-length-range",`...)
	dst = strconv.AppendInt(dst, minSize, 10)
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, maxSize, 10)
	return append(dst, `]]}`...)
}

// AppendConditions appends, for each field, the condition that it has exactly its value, each with a
// leading comma. The object form and the array form mean the same; the official V4 samples use this one.
func AppendConditions(dst []byte, fields []Field) []byte {
	for i := range fields {
		dst = append(dst, `,{`...)
		dst = AppendJSONString(dst, fields[i].Name)
		dst = append(dst, ':')
		dst = AppendJSONString(dst, fields[i].Value)
		dst = append(dst, '}')
	}
	return dst
}

// AppendFormFields appends the fields as members of a JSON object, each with a trailing comma.
func AppendFormFields(dst []byte, fields []Field) []byte {
	for i := range fields {
		dst = AppendJSONString(dst, fields[i].Name)
		dst = append(dst, ':')
		dst = AppendJSONString(dst, fields[i].Value)
		dst = append(dst, ',')
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// plain marks the bytes that a JSON string may hold as they are.
var plain = func() (table [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		table[c] = c != '"' && c != '\\' && c != '$' && c != 0x7f
	}
	return table
}()

// AppendJSONString appends s as a JSON string. It escapes "$" as well, because the policy parser of OSS
// knows an escape "\$" and gives the bare character a meaning. Invalid UTF-8 becomes U+FFFD.
func AppendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			dst = append(dst, s[start:i]...)
			if c == '"' || c == '\\' {
				dst = append(dst, '\\', c)
			} else {
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, s[start:i]...)
			dst = append(dst, `\ufffd`...)
			i += size
			start = i
			continue
		}
		i += size
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// SignatureV4 is the value of x-oss-signature-version.
const SignatureV4 = "OSS4-HMAC-SHA256"

// SignerV4 signs with one derived key: one secret, one day, one region. It is safe for concurrent use.
type SignerV4 struct {
	// Credential is the value of x-oss-credential: access key and scope.
	Credential string
	begins     int64     // Unix second of the day's start
	none       Beginning // of the empty text
	outer      []byte    // state of SHA-256 after the outer pad
	digests    sync.Pool
}

// Beginning is the state of a signature after the first part of a text, so that texts which begin the
// same are not hashed from the start.
type Beginning struct{ state []byte }

// digest is SHA-256 that can be set to a saved state.
type digest interface {
	hash.Hash
	encoding.BinaryUnmarshaler
	encoding.BinaryMarshaler
}

// NewSignerV4 derives the signing key for the UTC day of t. Region is the general id, for example cn-hangzhou.
// Source: https://help.aliyun.com/zh/oss/developer-reference/signature-version-4-recommend
func NewSignerV4(accessKeyID, secret, region string, t time.Time) *SignerV4 {
	day := t.UTC().Format("20060102")
	key := []byte("aliyun_v4" + secret)
	for _, part := range []string{day, region, "oss", "aliyun_v4_request"} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	s := &SignerV4{Credential: accessKeyID + "/" + day + "/" + region + "/oss/aliyun_v4_request", begins: t.Truncate(24 * time.Hour).Unix()}
	s.digests.New = func() any { return sha256.New() }
	// HMAC (RFC 2104) with a key shorter than a block: hash the padded keys once and keep the states.
	s.none.state, s.outer = padded(key, 0x36), padded(key, 0x5c)
	return s
}

// padded returns the state of SHA-256 after one block of key exclusive-or pad.
func padded(key []byte, pad byte) []byte {
	var block [sha256.BlockSize]byte
	copy(block[:], key)
	for i := range block {
		block[i] ^= pad
	}
	d, _ := sha256.New().(digest) // crypto/sha256 documents the interfaces
	d.Write(block[:])
	return saved(d)
}

func saved(d digest) []byte {
	state, err := d.MarshalBinary()
	if err != nil {
		panic("policy: crypto/sha256 does not save its state: " + err.Error())
	}
	return state
}

func restore(d digest, state []byte) {
	if err := d.UnmarshalBinary(state); err != nil {
		panic("policy: crypto/sha256 does not take back its state: " + err.Error())
	}
}

// Covers tells whether t is on the day of the derived key.
func (s *SignerV4) Covers(t time.Time) bool {
	since := t.Unix() - s.begins
	return since >= 0 && since < 24*60*60
}

// Begin hashes the first part of a text.
func (s *SignerV4) Begin(text []byte) Beginning {
	d, _ := s.digests.Get().(digest)
	defer s.digests.Put(d)
	restore(d, s.none.state)
	d.Write(text)
	return Beginning{saved(d)}
}

// AppendSignature appends the lower-case hex signature of text. For a form, text is the base64 policy.
func (s *SignerV4) AppendSignature(dst, text []byte) []byte {
	return s.AppendSignatureAfter(dst, s.none, text)
}

// AppendSignatureAfter is AppendSignature for a text whose first part is begun and whose rest is given.
func (s *SignerV4) AppendSignatureAfter(dst []byte, begun Beginning, rest []byte) []byte {
	d, _ := s.digests.Get().(digest)
	defer s.digests.Put(d)
	restore(d, begun.state)
	d.Write(rest)
	at := len(dst)
	dst = d.Sum(dst)
	restore(d, s.outer)
	d.Write(dst[at:])
	dst = d.Sum(dst[:at])
	var sum [sha256.Size]byte
	copy(sum[:], dst[at:])
	return hex.AppendEncode(dst[:at], sum[:])
}

// DateV4 is the value of x-oss-date.
func DateV4(t time.Time) string { return t.UTC().Format("20060102T150405Z") }

// SignV1 returns the V1 signature of a base64 policy. V1 is retired for new accounts and new buckets,
// see https://www.alibabacloud.com/help/en/oss/developer-reference/guidelines-for-upgrading-v1-signatures-to-v4-signatures
func SignV1(secret string, policy []byte) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write(policy)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
