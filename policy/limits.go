package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxNameBytes is the longest file name that is kept; it is what common file systems take.
const MaxNameBytes = 255

// Limits bound one upload.
type Limits struct {
	// MinSize and MaxSize in bytes, inclusive.
	MinSize, MaxSize int64
	// ContentTypes are lower-case type/subtype or type/*.
	ContentTypes []string
	// Extensions are lower-case without the dot; empty allows all.
	Extensions []string
}

// File is what a client says about the file it wants to upload. Nothing of it is trusted.
type File struct {
	Name        string
	Size        int64
	ContentType string
}

// Accepted is a file within the limits, in canonical form.
type Accepted struct {
	// Ext is lower-case letters and digits without the dot, never empty.
	Ext string
	// ContentType is lower-case type/subtype without parameters.
	ContentType string
}

// Violation says which limit a file breaks. Code is stable; Detail is for a person.
type Violation struct {
	Code   string
	Detail string
}

// Codes of violations.
const (
	CodeInvalidName         = "invalid_name"
	CodeInvalidType         = "invalid_content_type"
	CodeTypeNotAllowed      = "type_not_allowed"
	CodeExtensionNotAllowed = "extension_not_allowed"
	CodeTypeMismatch        = "type_mismatch"
	CodeTooSmall            = "file_too_small"
	CodeTooLarge            = "file_too_large"
)

// Check holds f against the limits. The violation is nil when f is accepted.
func (l *Limits) Check(f File) (Accepted, *Violation) {
	if v := checkName(f.Name); v != nil {
		return Accepted{}, v
	}
	if f.Size > l.MaxSize {
		return Accepted{}, &Violation{CodeTooLarge, fmt.Sprintf("the file has %d bytes, at most %d are allowed", f.Size, l.MaxSize)}
	}
	if f.Size < l.MinSize {
		return Accepted{}, &Violation{CodeTooSmall, fmt.Sprintf("the file has %d bytes, at least %d are needed", f.Size, l.MinSize)}
	}
	ext := Extension(f.Name)
	contentType, ok := CanonicalType(f.ContentType)
	if !ok && f.ContentType == "" && ext != "" {
		contentType, ok = typeOfExtension(ext)
	}
	if !ok {
		return Accepted{}, &Violation{CodeInvalidType, "contentType must be a type such as image/jpeg"}
	}
	if !l.allowsType(contentType) {
		return Accepted{}, &Violation{CodeTypeNotAllowed, fmt.Sprintf("content type %s is not allowed; allowed are %s", contentType, strings.Join(l.ContentTypes, ", "))}
	}
	if ext == "" {
		// chooseMedia of WeChat gives no file name, so the type has to name the extension.
		ext = extensionOfType(contentType, l.Extensions)
	}
	if len(l.Extensions) > 0 && !slices.Contains(l.Extensions, ext) {
		return Accepted{}, &Violation{CodeExtensionNotAllowed, fmt.Sprintf("extension %q is not allowed; allowed are %s", ext, strings.Join(l.Extensions, ", "))}
	}
	if !agree(ext, contentType) {
		return Accepted{}, &Violation{CodeTypeMismatch, fmt.Sprintf("extension %q does not belong to content type %s", ext, contentType)}
	}
	return Accepted{Ext: ext, ContentType: contentType}, nil
}

// checkName refuses names that could mean something else where they are shown or stored.
func checkName(name string) *Violation {
	if len(name) > MaxNameBytes {
		return &Violation{CodeInvalidName, fmt.Sprintf("the name has %d bytes, at most %d are allowed", len(name), MaxNameBytes)}
	}
	if !utf8.ValidString(name) {
		return &Violation{CodeInvalidName, "the name must be UTF-8"}
	}
	if name == "." || name == ".." {
		return &Violation{CodeInvalidName, "the name must be a file name"}
	}
	for _, r := range name {
		switch {
		case r == '/' || r == '\\':
			return &Violation{CodeInvalidName, "the name must be a file name without a path"}
		case r < utf8.RuneSelf && r >= ' ' && r != 0x7f:
		case unicode.IsControl(r), unicode.In(r, unicode.Bidi_Control), r == '\u2028', r == '\u2029', r == '\ufeff':
			return &Violation{CodeInvalidName, "the name must not contain control characters"}
		}
	}
	return nil
}

// Extension returns the lower-case extension of name when it is 1 to 16 letters and digits, else "".
func Extension(name string) string {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return ""
	}
	ext := name[dot+1:]
	if len(ext) == 0 || len(ext) > 16 {
		return ""
	}
	for i := 0; i < len(ext); i++ {
		c := ext[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return ""
		}
	}
	return strings.ToLower(ext)
}

// CanonicalType returns the lower-case type/subtype of a media type without its parameters.
func CanonicalType(s string) (string, bool) {
	s, _, _ = strings.Cut(s, ";")
	s = strings.ToLower(strings.TrimSpace(s))
	major, minor, ok := strings.Cut(s, "/")
	if !ok || !isToken(major) || !isToken(minor) || len(s) > 127 {
		return "", false
	}
	return s, true
}

// isToken tells whether s is a restricted-name of RFC 6838.
func isToken(s string) bool {
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		alnum := (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')
		if !alnum && (i == 0 || strings.IndexByte("!#$&-^_.+", c) < 0) {
			return false
		}
	}
	return true
}

// allowsType tells whether the list names the type. A wildcard does not cover types that a browser
// would run as a page, such as image/svg+xml: those must be listed by name.
func (l *Limits) allowsType(contentType string) bool {
	major, _, _ := strings.Cut(contentType, "/")
	for _, allowed := range l.ContentTypes {
		if allowed == contentType {
			return true
		}
		if wild, ok := strings.CutSuffix(allowed, "/*"); ok && wild == major && !Scriptable(contentType) {
			return true
		}
	}
	return false
}

// Scriptable tells whether a browser would run scripts of such a document.
func Scriptable(contentType string) bool {
	switch contentType {
	case "text/html", "text/xsl", "text/ecmascript":
		return true
	}
	return strings.HasSuffix(contentType, "+xml") || strings.HasSuffix(contentType, "/xml") || strings.HasSuffix(contentType, "javascript")
}
