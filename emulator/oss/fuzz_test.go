package oss

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// readForm parses a whole form: its fields and the file.
func readForm(contentType string, body []byte, buffer int) (fields []formField, file string, failure *Error) {
	f, err := newForm(contentType, bytes.NewReader(body), bufio.NewReaderSize(nil, buffer))
	if err != nil {
		return nil, "", err
	}
	ff, err := f.fields()
	if err != nil {
		return nil, "", err
	}
	var b strings.Builder
	if err := f.copy(&b); err != nil {
		return ff.list, "", err
	}
	p, err := f.next()
	if err == nil && p != nil {
		err = malformedForm("0006-00000103")
	}
	return ff.list, b.String(), err
}

// A form that the standard library writes is read back as it was, whatever is in it and however small the buffer.
func FuzzFormRoundTrip(f *testing.F) {
	f.Add("key", "album/a.jpg", []byte("file"), uint16(0))
	f.Add("x-oss-meta-a", "--B\r\n", []byte("\r\n--B--\r\n"), uint16(300))
	f.Fuzz(func(t *testing.T, name, value string, content []byte, buffer uint16) {
		if name == "" || strings.EqualFold(name, "file") || strings.ContainsAny(name, "\r\n") || !utf8.ValidString(name) || len(name) > 4000 {
			return
		}
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		w.WriteField(name, value)
		p, _ := w.CreateFormFile("file", "a")
		p.Write(content)
		w.Close()
		fields, file, err := readForm(w.FormDataContentType(), b.Bytes(), 256+int(buffer))
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		if len(fields) != 1 || fields[0].value != value || file != string(content) {
			t.Fatalf("read %q and %q, want %q and %q", fields, file, value, content)
		}
	})
}

// Whatever is sent, the parser ends, and what it accepts has named fields.
func FuzzForm(f *testing.F) {
	for _, body := range []string{
		"--B\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--B--\r\n",
		"--B--", "--B\r\n", "\r\n--B\r\nContent-Disposition: form-data; name=file\r\n\r\n\r\n--B--",
		"--B\r\nContent-Disposition: form-data; name=\"a\\\"b\"; filename*=UTF-8''%41\r\n\r\n\r\n--B",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		fields, _, _ := readForm("multipart/form-data; boundary=B", body, 512)
		for _, field := range fields {
			if field.name == "" {
				t.Errorf("a field without a name: %q", fields)
			}
		}
	})
}

// A policy is accepted or refused with a code of its own, and what is accepted can be checked.
func FuzzPostPolicy(f *testing.F) {
	for _, text := range []string{
		`{"expiration":"2099-01-01T00:00:00Z","conditions":[{"bucket":"b"},["eq","$key","k"],["in","$a",["b"]],["content-length-range",0,1]]}`,
		`{"expiration":"2099-01-01T00:00:00.000Z","conditions":[["starts-with","\$key","\u732b"]]}`, `{}`, `[]`, `{"conditions":[[]]}`, `{"a":`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePostPolicy(base64.StdEncoding.EncodeToString([]byte(text)))
		if err != nil {
			if err.Code != "InvalidPolicyDocument" || !strings.HasPrefix(err.EC, "0006-000002") {
				t.Errorf("refused with %v", err)
			}
			return
		}
		if len(p.conditions) == 0 && p.min == 0 && p.max < 0 || p.expiration.IsZero() && !strings.Contains(text, "0001-01-01") {
			t.Errorf("accepted %q as %+v", text, p)
		}
		_ = p.check(func(string) (string, bool) { return "", false })
	})
}

// The own JSON parser accepts what the standard one accepts, and reads strings alike. It may accept more: \$.
func FuzzPolicyJSON(f *testing.F) {
	for _, text := range []string{`{"a":[1,true,null,"\ud83d\ude00"]}`, `"\u0041"`, `[1.5e3,-0]`, `{"a":{"b":[]}}`, ` [ ] `} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || strings.Count(text, "[")+strings.Count(text, "{") > maxJSONDepth {
			return // deeper than a policy may be
		}
		var want any
		if json.Unmarshal([]byte(text), &want) != nil {
			_, _ = parseJSON(text) // must end
			return
		}
		got, err := parseJSON(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if s, ok := want.(string); ok && got != s {
			t.Errorf("%q = %q, want %q", text, got, s)
		}
	})
}

// Documents are refused with MalformedXML or accepted; nothing else.
func FuzzXMLDocuments(f *testing.F) {
	for _, text := range []string{
		"<Delete><Object><Key>&#x01;a</Key></Object></Delete>", "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>",
		"<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>",
		"<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "<a",
	} {
		f.Add([]byte(text))
	}
	q := newFuzzRequest(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		for name, check := range map[string]func(*request, []byte) *Error{
			"cors": checkCORS, "lifecycle": checkLifecycle, "referer": checkRefererConfig, "encryption": checkEncryption, "policy": checkBucketPolicy,
		} {
			if err := check(q, body); err != nil && err.Status/100 != 4 {
				t.Errorf("%s answered %v", name, err)
			}
		}
		var doc deleteRequest
		if err := parseXML(hideControls(body), &doc); err != nil && err.Code != "MalformedXML" {
			t.Errorf("delete answered %v", err)
		}
	})
}

func newFuzzRequest(f *testing.F) *request {
	f.Helper()
	s, err := store.Open(store.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	server := New(Options{AccountID: "1", Region: "cn-hangzhou", Store: s})
	return &request{server: server, call: &Call{}, info: &store.Bucket{}, r: httptest.NewRequest(http.MethodPut, "/", nil)}
}

func TestControlCharactersInDocuments(t *testing.T) {
	for c := range rune(' ') {
		var doc deleteRequest
		body := fmt.Sprintf("<Delete><Object><Key>a&#x%02X;b</Key></Object></Delete>", c)
		if err := parseXML(hideControls([]byte(body)), &doc); err != nil {
			t.Fatalf("%q: %v", c, err)
		}
		if got, want := showControls(doc.Object[0].Key), "a"+string(c)+"b"; got != want {
			t.Errorf("key = %q, want %q", got, want)
		}
	}
}
