// Package ticket seals what the signer granted into an opaque text that travels with the object, so that
// the bucket itself is the ledger of uploads: whoever finds the object can tell whose it is, and nobody
// but the tenant's signer can make such a text.
package ticket

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// MaxText is the longest sealed ticket that is opened; a longer one cannot come from Seal, because OSS
// takes at most 8 KiB of x-oss-meta-* headers.
const MaxText = 8 << 10

// Reasons why a text is not a ticket of this tenant.
var (
	ErrMalformed  = errors.New("the ticket is malformed")
	ErrUnknownKey = errors.New("the ticket was sealed with a key that is not known here")
	ErrForged     = errors.New("the ticket was not sealed by this tenant")
)

// Ticket is the record of one grant.
type Ticket struct {
	// ID is the upload id.
	ID string
	// User as authentication named it.
	User string
	// Key of the object.
	Key string
	// Name the client gave the file; may be empty.
	Name string
	// Type is the pinned content type.
	Type string
	// MD5 the client announced, in lower-case hex; may be empty. It is a claim, never a fact.
	MD5 string
	// Size in bytes.
	Size int64
	// Issued and Expires bound the grant, in Unix seconds.
	Issued, Expires int64
	// Metadata is the client's own JSON object; may be empty.
	Metadata []byte
}

// Keyring seals and opens tickets of one tenant. It is safe for concurrent use.
type Keyring struct {
	current *sealer
	sealers map[string]*sealer // by key id
	buffers sync.Pool          // of *scratch
}

// sealer is one key with what every ticket of it carries in the clear and is bound to.
type sealer struct {
	cipher.AEAD
	header, data []byte
}

// scratch holds one ticket while it is sealed.
type scratch struct{ plain, sealed []byte }

// LoadKeyring reads a keys file; tickets are bound to tenant, which is "namespace/name".
func LoadKeyring(file, tenant string) (*Keyring, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the ticket keys: %w", err)
	}
	return ParseKeyring(raw, tenant)
}

// ParseKeyring makes a keyring of the text that ParseKeys describes.
func ParseKeyring(raw []byte, tenant string) (*Keyring, error) {
	parsed, err := ParseKeys(raw)
	if err != nil {
		return nil, err
	}
	if tenant == "" {
		return nil, errors.New("ticket keys need the tenant that they are bound to")
	}
	k := &Keyring{sealers: make(map[string]*sealer, len(parsed.Keys))}
	k.buffers.New = func() any { return &scratch{} }
	for id, key := range parsed.Keys {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("ticket key %q: %w", id, err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, fmt.Errorf("ticket key %q: %w", id, err)
		}
		k.sealers[id] = &sealer{aead, append([]byte{format, byte(len(id))}, id...), []byte("uploadtenant ticket 1\x00" + tenant + "\x00" + id)}
	}
	k.current = k.sealers[parsed.Current]
	return k, nil
}

// IDs names the keys that the keyring holds.
func (k *Keyring) IDs() []string { return slices.Sorted(maps.Keys(k.sealers)) }

// KeyID names the key that text was sealed with, without opening it: nobody vouches for it. It is empty when
// text is no ticket.
func KeyID(text string) string {
	if len(text) > MaxText {
		return ""
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < 2 || raw[0] != format || len(raw) < 2+int(raw[1]) {
		return ""
	}
	return string(raw[2 : 2+int(raw[1])])
}

const (
	format    = 1
	nonceSize = 12
)

// Seal returns the ticket as URL-safe text: format, key id and nonce in the clear, the rest encrypted with
// AES-256-GCM and bound to its use, tenant and key id. Random nonces allow 2^32 tickets per key.
func (k *Keyring) Seal(t *Ticket) string { return string(k.AppendSealed(nil, t)) }

// AppendSealed appends what Seal returns. The text is plain in JSON: letters, digits, "-" and "_".
func (k *Keyring) AppendSealed(dst []byte, t *Ticket) []byte {
	b, _ := k.buffers.Get().(*scratch)
	defer k.buffers.Put(b)
	b.plain = t.append(b.plain[:0])
	b.sealed = append(b.sealed[:0], k.current.header...)
	nonceAt := len(b.sealed)
	b.sealed = append(b.sealed, make([]byte, nonceSize)...)
	nonce := b.sealed[nonceAt:]
	rand.Read(nonce) // never fails, see crypto/rand
	b.sealed = k.current.Seal(b.sealed, nonce, b.plain, k.current.data)
	return base64.RawURLEncoding.AppendEncode(dst, b.sealed)
}

// Open returns the ticket in text, or one of the errors of this package. It does not look at the expiry:
// an object that landed in time stays valid.
func (k *Keyring) Open(text string) (*Ticket, error) {
	if len(text) > MaxText {
		return nil, ErrMalformed
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < 2 || raw[0] != format || strings.ContainsAny(text, "\r\n") {
		return nil, ErrMalformed
	}
	idLen := int(raw[1])
	if len(raw) < 2+idLen+nonceSize {
		return nil, ErrMalformed
	}
	nonce, box := raw[2+idLen:2+idLen+nonceSize], raw[2+idLen+nonceSize:]
	sealer := k.sealers[string(raw[2:2+idLen])]
	if sealer == nil {
		return nil, ErrUnknownKey
	}
	plain, err := sealer.Open(nil, nonce, box, sealer.data)
	if err != nil {
		return nil, ErrForged
	}
	return parse(plain)
}

// append encodes t: length-prefixed texts, then numbers. Later versions add fields at the end only, which
// parse tolerates in both directions.
func (t *Ticket) append(dst []byte) []byte {
	for _, s := range [...]string{t.ID, t.User, t.Key, t.Name, t.Type, t.MD5} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	dst = binary.AppendUvarint(dst, uint64(t.Size))
	dst = binary.AppendUvarint(dst, uint64(t.Issued))
	dst = binary.AppendUvarint(dst, uint64(t.Expires))
	dst = binary.AppendUvarint(dst, uint64(len(t.Metadata)))
	return append(dst, t.Metadata...)
}

// parse is the inverse of append.
func parse(raw []byte) (*Ticket, error) {
	bad := false
	number := func() uint64 {
		v, n := binary.Uvarint(raw)
		if n <= 0 || v > 1<<62 {
			bad = true
			return 0
		}
		raw = raw[n:]
		return v
	}
	bytes := func() []byte {
		n := number()
		if bad || n > uint64(len(raw)) {
			bad = true
			return nil
		}
		b := raw[:n]
		raw = raw[n:]
		return b
	}
	t := &Ticket{}
	for _, field := range []*string{&t.ID, &t.User, &t.Key, &t.Name, &t.Type, &t.MD5} {
		*field = string(bytes())
	}
	for _, field := range []*int64{&t.Size, &t.Issued, &t.Expires} {
		*field = int64(number())
	}
	if metadata := bytes(); len(metadata) > 0 {
		t.Metadata = metadata
	}
	if bad || t.ID == "" || t.Key == "" {
		return nil, ErrMalformed
	}
	return t, nil
}

// idAlphabet is Crockford's base32 in lower case: sortable, without letters that look alike.
const idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// IDLength is the number of characters of an upload id.
const IDLength = 26

// NewID returns a 26 character id: the millisecond of t, then 80 random bits. Ids sort by time.
func NewID(t time.Time) string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(t.UnixMilli())<<16)
	rand.Read(raw[6:]) // never fails, see crypto/rand
	hi, lo := binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:])
	var text [IDLength]byte
	for i := IDLength - 1; i >= 0; i-- {
		text[i] = idAlphabet[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(text[:])
}

// ValidID tells whether s could be an upload id.
func ValidID(s string) bool {
	if len(s) != IDLength {
		return false
	}
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(idAlphabet, s[i]) < 0 {
			return false
		}
	}
	return true
}

// Bits returns the 128 bits of an upload id: its millisecond, then what is random. ok is false when s is none.
func Bits(s string) (bits [16]byte, ok bool) {
	if !ValidID(s) || s[0] > '7' { // the first of 26 characters holds the upper three of 128 bits
		return bits, false
	}
	var hi, lo uint64
	for i := range len(s) {
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(strings.IndexByte(idAlphabet, s[i]))
	}
	binary.BigEndian.PutUint64(bits[:8], hi)
	binary.BigEndian.PutUint64(bits[8:], lo)
	return bits, true
}
