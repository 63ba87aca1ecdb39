package oss

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// callbackValues are the system variables of a callback, and where they come from.
type callbackValues struct {
	bucket, requestID, clientIP, operation string
	object                                 *store.Object
	image                                  imageInfo
}

// piece is a run of constant text, or a variable when name is set.
type piece struct {
	text, name string
	quoted     bool // the variable stands inside a JSON string of the template
}

// splitTemplate cuts a template at its ${…}; false when one is not closed or empty.
func splitTemplate(template string) ([]piece, bool) {
	var pieces []piece
	inString, escaped := false, false
	scan := func(text string) {
		for i := range len(text) {
			switch {
			case escaped:
				escaped = false
			case inString && text[i] == '\\':
				escaped = true
			case text[i] == '"':
				inString = !inString
			}
		}
	}
	for {
		before, after, found := strings.Cut(template, "${")
		scan(before)
		pieces = append(pieces, piece{text: before})
		if !found {
			return pieces, true
		}
		name, rest, closed := strings.Cut(after, "}")
		if !closed || name == "" || strings.ContainsAny(name, "${\" ") {
			return nil, false
		}
		pieces = append(pieces, piece{name: name, quoted: inString})
		template = rest
	}
}

// checkTemplate refuses a callbackBody that could not become a body.
func (c *callback) checkTemplate() *Error {
	pieces, ok := splitTemplate(c.template)
	if !ok {
		return callbackError("", "callbackBody", c.template, "The callbackBody is invalid: a variable is written ${name}.")
	}
	if c.bodyType != callbackJSON {
		return nil
	}
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(p.text)
		if p.name != "" && !p.quoted {
			b.WriteString("null")
		}
	}
	if !json.Valid([]byte(b.String())) {
		return callbackError("", "callbackBody", c.template, "The callback configuration is not json format.")
	}
	return nil
}

// body renders the callback body for an object.
func (c *callback) body(v callbackValues) []byte {
	pieces, _ := splitTemplate(c.template) // checked when the configuration was read
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(p.text)
		if p.name == "" {
			continue
		}
		value, number := c.value(p.name, v)
		switch {
		case c.bodyType == callbackForm:
			b.WriteString(escape(value, false))
		case p.quoted:
			text := quoteJSON(value)
			b.WriteString(text[1 : len(text)-1])
		case number && value == "":
			b.WriteString("null")
		case number:
			b.WriteString(value)
		default:
			b.WriteString(quoteJSON(value))
		}
	}
	return []byte(b.String())
}

func quoteJSON(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	// A string always encodes, and a strings.Builder does not fail.
	_ = e.Encode(s)
	return strings.TrimSuffix(b.String(), "\n")
}

// value returns a variable and whether JSON writes it as a number. An unknown variable is empty.
func (c *callback) value(name string, v callbackValues) (value string, number bool) {
	switch name {
	case "bucket":
		return v.bucket, false
	case "object":
		return v.object.Key, false
	case "etag":
		return v.object.ETag, false
	case "size":
		return strconv.FormatInt(v.object.Size, 10), true
	case "mimeType":
		return v.object.Headers["Content-Type"], false
	case "imageInfo.height":
		return v.image.dimension(v.image.height), true
	case "imageInfo.width":
		return v.image.dimension(v.image.width), true
	case "imageInfo.format":
		return v.image.format, false
	case "crc64":
		return strconv.FormatUint(v.object.CRC64, 10), false
	case "contentMd5":
		return v.object.MD5, false
	case "vpcId":
		return "", false
	case "clientIp":
		return v.clientIP, false
	case "reqId":
		return v.requestID, false
	case "operation":
		return v.operation, false
	}
	return c.vars[name], false
}

// wantsImage tells whether the template needs the image to be looked at.
func (c *callback) wantsImage() bool { return strings.Contains(c.template, "${imageInfo.") }
