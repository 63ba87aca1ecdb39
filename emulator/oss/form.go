package oss

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// Limits of a form upload (H/zh/oss/developer-reference/postobject; EC 0006-00000110, …111, …112).
const (
	maxFieldName  = 8 << 10
	maxFieldValue = 2 << 20
	maxFormFields = 8 << 20 // all values before the file together
	maxFormObject = 5 << 30
	maxPartHeader = 16 << 10 // of one part; the longest legal field name fits
)

// form reads a multipart/form-data body part by part. The file, which comes last, is streamed and never held.
type form struct {
	r        *bufio.Reader
	opening  []byte // "--boundary"
	marker   []byte // "\r\n--boundary"
	started  bool
	finished bool // the closing boundary was read
}

// part is one form field. The content is read by value or copy, which must happen before the next part.
type part struct {
	name, filename, contentType string
	base64                      bool
}

func malformedForm(ec string) *Error {
	return newError(http.StatusBadRequest, "MalformedPOSTRequest", ec,
		"The body of your POST request is not well-formed multipart/form-data.")
}

func fieldTooLong(ec string) *Error {
	return newError(http.StatusBadRequest, "FieldItemTooLong", ec, "The field item is too long.")
}

// formBuffer holds a long run of the file, so that it costs few system calls and the boundary search is fast.
const formBuffer = 256 << 10

// newFormBuffer makes a reader for newForm, to be used again and again.
func newFormBuffer() *bufio.Reader { return bufio.NewReaderSize(nil, formBuffer) }

// newForm prepares to read a body whose Content-Type header is given, through a buffer that the caller lends.
func newForm(contentType string, body io.Reader, buffer *bufio.Reader) (*form, *Error) {
	mediaType, params, err := mime.ParseMediaType(contentType)
	boundary := params["boundary"]
	if err != nil || mediaType != "multipart/form-data" || boundary == "" || len(boundary) > 256 {
		return nil, malformedForm("")
	}
	buffer.Reset(body)
	return &form{r: buffer, opening: []byte("--" + boundary), marker: []byte("\r\n--" + boundary)}, nil
}

// next returns the next part, or nil after the closing boundary.
func (f *form) next() (*part, *Error) {
	if !f.started {
		f.started = true
		if err := f.open(); err != nil {
			return nil, err
		}
	}
	done, err := f.boundaryEnd()
	if err != nil {
		return nil, err
	}
	if done {
		f.finished = true
		return nil, nil
	}
	return f.partHeader()
}

// open reads the first boundary. Some clients put an empty line in front of it.
func (f *form) open() *Error {
	if b, err := f.r.Peek(2); err == nil && string(b) == "\r\n" {
		f.discard(2)
	}
	b, err := f.r.Peek(len(f.opening))
	if err != nil || !bytes.Equal(b, f.opening) {
		return malformedForm("")
	}
	f.discard(len(f.opening))
	return nil
}

// discard drops bytes that were peeked at.
func (f *form) discard(n int) { _, _ = f.r.Discard(n) } // cannot fail: the bytes are buffered

// boundaryEnd reads what follows a boundary: "--" ends the form, a line break begins a part.
func (f *form) boundaryEnd() (bool, *Error) {
	b, err := f.r.Peek(2)
	if err != nil {
		return false, malformedForm("0006-00000104")
	}
	switch string(b) {
	case "--":
		f.discard(2)
		return true, nil
	case "\r\n":
		f.discard(2)
		return false, nil
	}
	return false, malformedForm("")
}

// partHeader reads the header lines of a part. The first must be Content-Disposition (EC 0006-00000109).
func (f *form) partHeader() (*part, *Error) {
	p := &part{}
	total := 0
	for first := true; ; first = false {
		line, err := f.line(maxPartHeader - total)
		if err != nil {
			return nil, err
		}
		total += len(line) + 2
		if line == "" && !first {
			return p, nil
		}
		name, value, ok := strings.Cut(line, ":")
		if first && (!ok || !strings.EqualFold(name, "Content-Disposition")) {
			return nil, malformedForm("0006-00000109")
		}
		if !ok {
			return nil, malformedForm("")
		}
		if err := p.header(name, strings.TrimSpace(value)); err != nil {
			return nil, err
		}
	}
}

func (p *part) header(name, value string) *Error {
	switch strings.ToLower(name) {
	case "content-disposition":
		return p.disposition(value)
	case "content-type":
		p.contentType = value
	case "content-transfer-encoding":
		p.base64 = strings.EqualFold(value, "base64")
	}
	return nil
}

// line reads a header line without its line break.
func (f *form) line(limit int) (string, *Error) {
	var line []byte
	for {
		chunk, err := f.r.ReadSlice('\n')
		line = append(line, chunk...)
		if len(line) > limit {
			return "", fieldTooLong("0006-00000110")
		}
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", malformedForm("0006-00000104")
		}
	}
	text, ok := strings.CutSuffix(string(line), "\r\n")
	if !ok {
		return "", malformedForm("")
	}
	return text, nil
}

// disposition reads `form-data; name="key"; filename="a.jpg"`.
func (p *part) disposition(value string) *Error {
	kind, rest, _ := strings.Cut(value, ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "form-data") {
		return malformedForm("0006-00000109")
	}
	extended := ""
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimLeft(rest, "; \t") {
		name, after, ok := strings.Cut(rest, "=")
		if !ok {
			return malformedForm("0006-00000109")
		}
		var v string
		if v, rest, ok = dispositionValue(after); !ok {
			return malformedForm("0006-00000109")
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "name":
			p.name = v
		case "filename":
			p.filename = v
		case "filename*":
			extended = v
		}
	}
	if charset, encoded, ok := strings.Cut(extended, "''"); ok && strings.EqualFold(charset, "utf-8") && p.filename == "" {
		if decoded, err := url.PathUnescape(encoded); err == nil {
			p.filename = decoded
		}
	}
	if len(p.name) > maxFieldName {
		return fieldTooLong("0006-00000110")
	}
	if p.name == "" {
		return malformedForm("0006-00000109")
	}
	return nil
}

// dispositionValue reads a quoted string or a token and returns what follows it. Only \" and \\ are escapes: old
// browsers put Windows paths into file names.
func dispositionValue(s string) (value, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t")
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ";")
		return strings.TrimSpace(value), rest, true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// value reads a field into memory; limit bounds what is left of all fields together.
func (f *form) value(limit int) (string, *Error) {
	var b bytes.Buffer
	w := &limitWriter{w: &b, left: int64(min(limit, maxFieldValue))}
	err := f.copy(w)
	if w.over && limit < maxFieldValue {
		return "", fieldTooLong("0006-00000112")
	}
	if w.over {
		return "", fieldTooLong("0006-00000111")
	}
	return b.String(), err
}

// limitWriter stores up to left bytes and then only notes that there were more.
type limitWriter struct {
	w    io.Writer
	left int64
	over bool
}

func (l *limitWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		l.over = true
		return 0, errOverLimit
	}
	l.left -= int64(len(p))
	return l.w.Write(p)
}

var errOverLimit = errors.New("over the limit")

// copy writes the content of a part to w, up to the boundary that ends it. An error of w stops the copy; one
// that is no *Error is reported as the server's own failure unless it is errOverLimit, which the caller knows of.
func (f *form) copy(w io.Writer) *Error {
	for {
		// At least a marker must be in sight; then everything before a possible marker can go.
		window, err := f.r.Peek(max(f.r.Buffered(), len(f.marker)))
		if i := bytes.Index(window, f.marker); i >= 0 {
			if werr := writeAll(w, window[:i]); werr != nil {
				return werr
			}
			f.discard(i + len(f.marker))
			return nil
		}
		if err != nil {
			return malformedForm("0006-00000104") // the body ended inside a part
		}
		// The tail may be the beginning of the marker, unless it holds no CR that could start one.
		safe := len(window)
		if i := bytes.LastIndexByte(window[max(0, len(window)-len(f.marker)+1):], '\r'); i >= 0 {
			safe = max(0, len(window)-len(f.marker)+1) + i
		}
		if werr := writeAll(w, window[:safe]); werr != nil {
			return werr
		}
		f.discard(safe)
	}
}

func writeAll(w io.Writer, p []byte) *Error {
	if len(p) == 0 {
		return nil
	}
	_, err := w.Write(p)
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, errOverLimit):
		return fieldTooLong("0006-00000111")
	}
	return fromStore(err, "", "")
}
