package oss

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The policy of a form upload is JSON with one escape more than JSON has: \$ stands for a dollar sign. It is read
// by a parser of its own because of that, because the answer to a malformed policy names what was found, and
// because the text of a failed condition is repeated in the answer.

// jsonNumber is a number as it was written.
type jsonNumber string

// jsonMember is one member of an object; order is kept.
type jsonMember struct {
	name  string
	value any // string, jsonNumber, bool, nil, []any or []jsonMember
}

// maxJSONDepth is far more than a policy needs; it bounds the recursion on hostile input.
const maxJSONDepth = 32

type jsonParser struct {
	text  string
	pos   int
	depth int
}

// parseJSON reads one value that must be the whole text. The error text follows "Invalid JSON: ".
func parseJSON(text string) (any, error) {
	p := &jsonParser{text: text}
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	p.space()
	if p.pos < len(p.text) {
		return nil, p.unknown()
	}
	return v, nil
}

func (p *jsonParser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

func (p *jsonParser) unknown() error {
	if p.pos >= len(p.text) {
		return fmt.Errorf("unexpected end")
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.pos:])
	return fmt.Errorf("unknown char %c", r)
}

func (p *jsonParser) value() (any, error) {
	p.space()
	if p.pos >= len(p.text) {
		return nil, p.unknown()
	}
	switch c := p.text[p.pos]; {
	case c == '{':
		return nested(p, p.object)
	case c == '[':
		return nested(p, p.array)
	case c == '"':
		return p.string()
	case c == '-' || '0' <= c && c <= '9':
		return p.number(), nil
	}
	for word, v := range map[string]any{"true": true, "false": false, "null": nil} {
		if strings.HasPrefix(p.text[p.pos:], word) {
			p.pos += len(word)
			return v, nil
		}
	}
	return nil, p.unknown()
}

func nested[T any](p *jsonParser, read func() (T, error)) (any, error) {
	if p.depth++; p.depth > maxJSONDepth {
		return nil, fmt.Errorf("nested too deeply")
	}
	p.pos++
	v, err := read()
	p.depth--
	return v, err
}

// peek skips space and returns the next byte, or 0 at the end.
func (p *jsonParser) peek() byte {
	p.space()
	if p.pos >= len(p.text) {
		return 0
	}
	return p.text[p.pos]
}

func (p *jsonParser) object() ([]jsonMember, error) {
	members := []jsonMember{}
	if p.peek() == '}' {
		p.pos++
		return members, nil
	}
	for {
		if p.peek() != '"' {
			return nil, p.unknown()
		}
		name, err := p.string()
		if err != nil {
			return nil, err
		}
		if p.peek() != ':' {
			return nil, fmt.Errorf(": expected")
		}
		p.pos++
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		members = append(members, jsonMember{name, v})
		switch p.peek() {
		case ',':
			p.pos++
		case '}':
			p.pos++
			return members, nil
		default:
			return nil, fmt.Errorf(", or } expected")
		}
	}
}

func (p *jsonParser) array() ([]any, error) {
	items := []any{}
	if p.peek() == ']' {
		p.pos++
		return items, nil
	}
	for {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		items = append(items, v)
		switch p.peek() {
		case ',':
			p.pos++
		case ']':
			p.pos++
			return items, nil
		default:
			return nil, fmt.Errorf(", or ] expected")
		}
	}
}

func (p *jsonParser) number() jsonNumber {
	start := p.pos
	for p.pos < len(p.text) && strings.IndexByte("+-.eE0123456789", p.text[p.pos]) >= 0 {
		p.pos++
	}
	return jsonNumber(p.text[start:p.pos])
}

func (p *jsonParser) string() (string, error) {
	p.pos++ // the quote
	var b strings.Builder
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		p.pos++
		switch {
		case c == '"':
			return b.String(), nil
		case c == '\\':
			if err := p.escape(&b); err != nil {
				return "", err
			}
		case c < 0x20:
			return "", fmt.Errorf("unknown char %q", rune(c))
		default:
			b.WriteByte(c)
		}
	}
	return "", fmt.Errorf("unexpected end")
}

func (p *jsonParser) escape(b *strings.Builder) error {
	if p.pos >= len(p.text) {
		return fmt.Errorf("unexpected end")
	}
	c := p.text[p.pos]
	p.pos++
	if i := strings.IndexByte(`/\"$bfnrt`, c); i >= 0 {
		b.WriteByte("/\\\"$\b\f\n\r\t"[i])
		return nil
	}
	if c != 'u' {
		return fmt.Errorf("unknown escape \\%c", c)
	}
	r, err := p.hex4()
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(r) && strings.HasPrefix(p.text[p.pos:], `\u`) {
		p.pos += 2
		low, err := p.hex4()
		if err != nil {
			return err
		}
		r = utf16.DecodeRune(r, low)
	}
	b.WriteRune(r)
	return nil
}

func (p *jsonParser) hex4() (rune, error) {
	if p.pos+4 > len(p.text) {
		return 0, fmt.Errorf("unexpected end")
	}
	n, err := strconv.ParseUint(p.text[p.pos:p.pos+4], 16, 16)
	if err != nil {
		return 0, fmt.Errorf("unknown escape \\u%s", p.text[p.pos:p.pos+4])
	}
	p.pos += 4
	return rune(n), nil
}
