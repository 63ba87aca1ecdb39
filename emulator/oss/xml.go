package oss

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxXML bounds a request document. The largest legal one is a DeleteMultipleObjects of 1000 keys or a
// CompleteMultipartUpload of 10000 parts.
const maxXML = 2 << 20

// xmlTime is a time as OSS writes it in documents.
func xmlTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// writeXML answers with a document.
func (q *request) writeXML(status int, v any) {
	body, err := xml.Marshal(v)
	if err != nil {
		q.fail(fromStore(err, q.bucket, q.key))
		return
	}
	q.writeDocument(status, append([]byte(xml.Header), body...))
}

func (q *request) writeDocument(status int, body []byte) {
	h := q.w.Header()
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	q.w.WriteHeader(status)
	// A client that has gone away is not this server's failure.
	_, _ = q.w.Write(body)
}

// readBody reads a small request body and checks its Content-MD5.
func (q *request) readBody() ([]byte, *Error) {
	body, err := io.ReadAll(io.LimitReader(q.r.Body, maxXML+1))
	if err != nil {
		return nil, newError(http.StatusBadRequest, "IncompleteBody", "", "The request body terminated unexpectedly.")
	}
	if len(body) > maxXML {
		return nil, entityTooLarge("")
	}
	if sum := q.header("Content-MD5"); sum != "" && sum != md5Base64(body) {
		return nil, invalidDigest(sum)
	}
	return body, nil
}

// readXML reads a document into v, whose XMLName tag names the root element.
func (q *request) readXML(v any) *Error {
	body, err := q.readBody()
	if err != nil {
		return err
	}
	return parseXML(body, v)
}

func parseXML(body []byte, v any) *Error {
	d := xml.NewDecoder(bytes.NewReader(body))
	d.Strict = true
	if err := d.Decode(v); err != nil {
		return malformedXML("", "")
	}
	return nil
}

// XML has no way to write most control characters, but object names may hold them and the SDKs send them as character
// references. They are moved to private code points for the parser, which would refuse them, and back.
const controlBase = 0x10ff00

var controlReference = regexp.MustCompile(`&#(?:x0*([0-9a-fA-F]{1,2})|0*([0-9]{1,2}));`)

func hideControls(doc []byte) []byte {
	return controlReference.ReplaceAllFunc(doc, func(ref []byte) []byte {
		m := controlReference.FindSubmatch(ref)
		n, err := strconv.ParseUint(string(m[1]), 16, 8)
		if len(m[1]) == 0 {
			n, err = strconv.ParseUint(string(m[2]), 10, 8)
		}
		if err != nil || n >= ' ' || n == '\t' || n == '\n' || n == '\r' {
			return ref
		}
		return []byte(string(rune(controlBase + n)))
	})
}

func showControls(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= controlBase && r < controlBase+' ' {
			return r - controlBase
		}
		return r
	}, s)
}

// encoder returns the function that encodes names in listings when the request has encoding-type=url.
func (q *request) encoder() (func(string) string, *Error) {
	switch q.param("encoding-type") {
	case "":
		return func(s string) string { return s }, nil
	case "url":
		return func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }, nil
	}
	return nil, invalidArgument("", "encoding-type", q.param("encoding-type"), "Invalid Encoding Method specified in Request.")
}

// count reads a numeric query parameter between low and high.
func (q *request) count(name string, standard, low, high int) (int, *Error) {
	text := q.param(name)
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, invalidArgument("", name, text, "Argument %s must be an integer between %d and %d.", name, low, high)
	}
	return n, nil
}

type owner struct {
	ID, DisplayName string
}

func (s *Server) owner() owner { return owner{s.opts.AccountID, s.opts.AccountID} }
