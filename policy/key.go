package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxKeyBytes is the longest object key that OSS takes.
const MaxKeyBytes = 1023

// KeyTemplate is a parsed key template such as {prefix}{user}/{yyyy}/{mm}/{dd}/{id}.{ext}.
type KeyTemplate struct {
	literals []string // len(names)+1, literals[i] stands before names[i]
	names    []string
}

// KeyValues fill the placeholders of a template.
type KeyValues struct {
	Prefix string
	// User is the raw user id; Build makes it safe.
	User string
	ID   string
	Ext  string
	// Time gives yyyy, mm and dd in UTC.
	Time time.Time
}

// ParseKeyTemplate checks text. It must start with {prefix}, so that every key stays below the tenant's
// prefix, and contain {id}, so that two uploads never share a key.
func ParseKeyTemplate(text string) (*KeyTemplate, error) {
	t := &KeyTemplate{}
	rest := text
	for {
		before, after, found := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return nil, fmt.Errorf("key template %q has a } without a {", text)
		}
		t.literals = append(t.literals, before)
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return nil, fmt.Errorf("key template %q has a { without a }", text)
		}
		switch name {
		case "prefix", "user", "yyyy", "mm", "dd", "id", "ext":
		default:
			return nil, fmt.Errorf("key template %q has the unknown placeholder {%s}: use prefix, user, yyyy, mm, dd, id or ext", text, name)
		}
		t.names = append(t.names, name)
		rest = tail
	}
	if len(t.names) == 0 || t.literals[0] != "" || t.names[0] != "prefix" {
		return nil, fmt.Errorf("key template %q must start with {prefix}", text)
	}
	if !strings.Contains(text, "{id}") {
		return nil, fmt.Errorf("key template %q must contain {id}", text)
	}
	// What the literals make of a key does not depend on the values, which are plain segments.
	sample := t.Build(KeyValues{Prefix: "p/", User: "u", ID: "i", Ext: "e", Time: time.Unix(0, 0)})
	if err := CheckKey(sample); err != nil {
		return nil, fmt.Errorf("key template %q: %w", text, err)
	}
	return t, nil
}

// Build fills the template. The values other than User must already be safe path parts.
func (t *KeyTemplate) Build(v KeyValues) string {
	buf := make([]byte, 0, 128)
	buf = append(buf, t.literals[0]...)
	year, month, day := v.Time.UTC().Date()
	for i, name := range t.names {
		switch name {
		case "prefix":
			buf = append(buf, v.Prefix...)
		case "user":
			buf = AppendSafeUser(buf, v.User)
		case "yyyy":
			buf = appendDigits(buf, year, 4)
		case "mm":
			buf = appendDigits(buf, int(month), 2)
		case "dd":
			buf = appendDigits(buf, day, 2)
		case "id":
			buf = append(buf, v.ID...)
		case "ext":
			buf = append(buf, v.Ext...)
		}
		buf = append(buf, t.literals[i+1]...)
	}
	return string(buf)
}

// appendDigits appends n with leading zeros.
func appendDigits(dst []byte, n, width int) []byte {
	for power := [...]int{1, 10, 100, 1000}[width-1]; power > 0; power /= 10 {
		dst = append(dst, '0'+byte(n/power%10))
	}
	return dst
}

// maxPlainUser is the longest user id that a key shows as it is; it leaves room for the rest of the key.
const maxPlainUser = 128

// AppendSafeUser appends user as one path segment. Letters, digits, "_", "-" and inner dots stay; every
// other byte becomes "~XX". The mapping is injective: "~" itself is escaped, and ids too long to show
// become "~~" and their SHA-256, which no escaped id can equal. Two users never share a segment.
func AppendSafeUser(dst []byte, user string) []byte {
	if user == "" || len(user) > maxPlainUser {
		sum := sha256.Sum256([]byte(user))
		dst = append(dst, "~~"...)
		return hex.AppendEncode(dst, sum[:])
	}
	for i := 0; i < len(user); i++ {
		c := user[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.' && i > 0:
			dst = append(dst, c)
		default:
			const upper = "0123456789ABCDEF"
			dst = append(dst, '~', upper[c>>4], upper[c&15])
		}
	}
	return dst
}

// SafeUser is AppendSafeUser as a string.
func SafeUser(user string) string { return string(AppendSafeUser(nil, user)) }

// CheckKey refuses keys that OSS or a reader of paths could take for another one.
// Source: OSS object naming rules, 1 to 1023 bytes of UTF-8 that do not begin with "/" or "\".
func CheckKey(key string) error {
	if len(key) == 0 || len(key) > MaxKeyBytes {
		return fmt.Errorf("an object key has 1 to %d bytes, this one has %d", MaxKeyBytes, len(key))
	}
	if !utf8.ValidString(key) {
		return errors.New("an object key must be UTF-8")
	}
	for _, r := range key {
		if r < 0x20 || r == 0x7f || r == '\\' || r == utf8.RuneError {
			return fmt.Errorf("an object key must not contain %q", r)
		}
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return errors.New("an object key must not contain an empty, \".\" or \"..\" segment")
		}
	}
	return nil
}
