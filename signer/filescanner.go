package signer

import (
	"encoding/json"
	"strings"
)

// fileScanner reads the usual form of an UploadsRequest without reflection: plain ASCII strings without
// escapes, integers, known fields once each. Whatever else it meets, it gives up and leaves the body to
// encoding/json, whose answer counts; so it only has to be right about what it accepts.
type fileScanner struct {
	body string
	at   int
}

// request returns the parsed body, or nil when it is not in the usual form. Its texts share body.
func (s *fileScanner) request(body string) *UploadsRequest {
	s.body, s.at = body, 0
	if !s.token('{') {
		return nil
	}
	if name, ok := s.text(); !ok || name != "files" || !s.token(':') || !s.token('[') {
		return nil
	}
	req := &UploadsRequest{Files: make([]FileRequest, 0, strings.Count(body, `"size"`))}
	for {
		var f FileRequest
		if !s.file(&f) {
			return nil
		}
		req.Files = append(req.Files, f)
		if s.token(',') {
			continue
		}
		if !s.token(']') || !s.token('}') {
			return nil
		}
		s.space()
		if s.at != len(s.body) {
			return nil
		}
		return req
	}
}

func (s *fileScanner) file(f *FileRequest) bool {
	if !s.token('{') {
		return false
	}
	seen := 0
	for {
		name, ok := s.text()
		if !ok || !s.token(':') {
			return false
		}
		field := 0
		switch name {
		case "name":
			field = 1
			f.Name, ok = s.text()
		case "size":
			field = 2
			f.Size, ok = s.integer()
		case "contentType":
			field = 4
			f.ContentType, ok = s.text()
		case "md5":
			field = 8
			f.MD5, ok = s.text()
		case "metadata":
			field = 16
			f.Metadata, ok = s.object()
		}
		if !ok || field == 0 || seen&field != 0 {
			return false
		}
		seen |= field
		if s.token(',') {
			continue
		}
		return s.token('}')
	}
}

func (s *fileScanner) space() {
	for s.at < len(s.body) && (s.body[s.at] == ' ' || s.body[s.at] == '\n' || s.body[s.at] == '\r' || s.body[s.at] == '\t') {
		s.at++
	}
}

// token skips c when it comes next.
func (s *fileScanner) token(c byte) bool {
	s.space()
	if s.at >= len(s.body) || s.body[s.at] != c {
		return false
	}
	s.at++
	return true
}

// text returns the content of a string of printable ASCII without escapes.
func (s *fileScanner) text() (string, bool) {
	if !s.token('"') {
		return "", false
	}
	start := s.at
	for s.at < len(s.body) {
		c := s.body[s.at]
		if c == '"' {
			s.at++
			return s.body[start : s.at-1], true
		}
		if c < 0x20 || c >= 0x7f || c == '\\' {
			return "", false
		}
		s.at++
	}
	return "", false
}

// integer reads up to 18 digits without a leading zero.
func (s *fileScanner) integer() (int64, bool) {
	s.space()
	start := s.at
	var n int64
	for s.at < len(s.body) && s.body[s.at] >= '0' && s.body[s.at] <= '9' {
		n = n*10 + int64(s.body[s.at]-'0')
		s.at++
	}
	digits := s.at - start
	if digits == 0 || digits > 18 || digits > 1 && s.body[start] == '0' {
		return 0, false
	}
	if s.at < len(s.body) && (s.body[s.at] == '.' || s.body[s.at] == 'e' || s.body[s.at] == 'E') {
		return 0, false
	}
	return n, true
}

// object copies a JSON object without nested objects or escapes.
func (s *fileScanner) object() (json.RawMessage, bool) {
	s.space()
	start := s.at
	if !s.token('{') {
		return nil, false
	}
	for s.at < len(s.body) {
		switch c := s.body[s.at]; c {
		case '}':
			s.at++
			raw := json.RawMessage(s.body[start:s.at])
			return raw, json.Valid(raw)
		case '"':
			if _, ok := s.text(); !ok {
				return nil, false
			}
		case '{', '[':
			return nil, false
		default:
			s.at++
		}
	}
	return nil, false
}
