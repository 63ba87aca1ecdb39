package signer

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/signer/config"
)

// postFields sends the fields in their order, then the file.
func (x *tenant) postFields(url string, fields []field, content []byte) (int, []byte) {
	x.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, f := range fields {
		if err := w.WriteField(f.name, f.value); err != nil {
			x.t.Fatal(err)
		}
	}
	part, err := w.CreateFormFile("file", "a.txt")
	if err != nil {
		x.t.Fatal(err)
	}
	if _, err := part.Write(content); err != nil {
		x.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		x.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, url, &body)
	if err != nil {
		x.t.Fatal(err)
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	return x.send(req)
}

// sorted returns the fields of a grant in one order.
func sorted(grant map[string]string) []field {
	fields := make([]field, 0, len(grant))
	for name, value := range grant {
		fields = append(fields, field{name, value})
	}
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return fields
}

// The fields are those that the signer returned, none by name: a field that is added tomorrow is tampered with
// as well. OSS takes the grant as it is, and in no other way.
func TestNoFieldOfAFormMayChange(t *testing.T) {
	for name, configure := range map[string]func(*config.Config){
		"V4": func(*config.Config) {},
		"V1": func(c *config.Config) { c.Grant.Signature = "V1" },
	} {
		t.Run(name, func(t *testing.T) {
			x := startConfigured(t, configure)
			granted, other := x.grant("alice", content(1)), x.grant("bob", content(2))
			fields, others := sorted(granted.Fields), sorted(other.Fields)
			for i, f := range fields {
				all := tampered(fields, others, i)
				all["under a name in capitals, changed"] = slices.Insert(slices.Clone(fields), 0, field{strings.ToUpper(f.name), f.value + "0"})
				all["behind a space"] = slices.Replace(slices.Clone(fields), i, i+1, field{f.name, " " + f.value})
				all["renamed"] = slices.Replace(slices.Clone(fields), i, i+1, field{"x-" + f.name, f.value})
				for kind, changed := range all {
					if status, answer := x.postFields(granted.URL, changed, content(1)); status < 400 || status >= 500 {
						t.Errorf("%s %s: status %d: %s", f.name, kind, status, answer)
					}
				}
			}
			if got := x.records("alice"); len(got) != 0 || x.stored(granted.Key) {
				t.Fatalf("recorded %+v, stored: %v", got, x.stored(granted.Key))
			}
			if status, answer := x.postFields(granted.URL, fields, content(1)); status/100 != 2 || !x.stored(granted.Key) {
				t.Errorf("the form as it was granted: status %d: %s", status, answer)
			}
		})
	}
}

// A ticket is the proof of what was granted, and its every character counts: at complete, and in a callback
// that is signed. The upload is stored, so a ticket that opened would be recorded.
func TestNoCharacterOfATicketMayChangeOnItsWay(t *testing.T) {
	w := newWire(t)
	x, forge := startForgeable(t, w.tap)
	v, call := x.unheard(w, "alice", content(1))
	callback := func(ticket string) int {
		t.Helper()
		status, _ := x.deliver(forge(strings.Replace(string(call.body), v.Ticket, url.QueryEscape(ticket), 1)))
		return status
	}
	complete := func(ticket string) int {
		t.Helper()
		status, _ := x.request("alice", http.MethodPost, "/v1/uploads/complete", api.CompleteRequest{Ticket: ticket})
		return status
	}
	forged := []string{"", v.Ticket + "A", v.Ticket + "=", v.Ticket + "\n", " " + v.Ticket, v.Ticket + v.Ticket, strings.ToLower(v.Ticket)}
	for i, c := range []byte(v.Ticket) {
		other := byte('A')
		if c == other {
			other = 'B'
		}
		forged = append(forged, v.Ticket[:i]+string(other)+v.Ticket[i+1:])
		if i%16 == 0 {
			forged = append(forged, v.Ticket[:i])
		}
	}
	for _, ticket := range forged {
		if status := complete(ticket); status != http.StatusBadRequest {
			t.Errorf("complete with %q: status %d", ticket, status)
		}
		if status := callback(ticket); status != http.StatusForbidden {
			t.Errorf("callback with %q: status %d", ticket, status)
		}
	}
	if got := x.records("alice"); len(got) != 0 {
		t.Fatalf("recorded %+v", got)
	}
	if status := callback(v.Ticket); status != http.StatusOK {
		t.Errorf("callback with the ticket: status %d", status)
	}
	if status := complete(v.Ticket); status != http.StatusOK {
		t.Errorf("complete with the ticket: status %d", status)
	}
}

// Every parameter of a presigned URL is signed, and so are its path and method.
func TestNoParameterOfAPresignedURLMayChange(t *testing.T) {
	x := startConfigured(t, func(c *config.Config) { c.Reads.Processes = []string{"style/thumb"} })
	mine, other := x.upload("alice", content(1)), x.upload("alice", content(2))
	part := ask[api.MultipartResponse](x, "alice", http.MethodPost, "/v1/multipart", api.FileRequest{Name: "big.txt", Size: 5, ContentType: "text/plain"})
	parts := ask[api.PartsResponse](x, "alice", http.MethodPost, "/v1/multipart/"+part.ID+"/parts", api.PartsRequest{PartNumbers: []int{1}})
	send := func(method string, u url.URL) (int, []byte) {
		t.Helper()
		req, err := http.NewRequest(method, u.String(), strings.NewReader(map[string]string{http.MethodPut: "12345"}[method]))
		if err != nil {
			t.Fatal(err)
		}
		return x.send(req)
	}
	for name, signed := range map[string]struct{ method, url string }{
		"a download": {http.MethodGet, ask[api.URLResponse](x, "alice", http.MethodPost, "/v1/uploads/"+mine.ID+"/url", api.URLRequest{Download: true}).URL},
		"a part":     {http.MethodPut, parts.Parts[0].URL},
	} {
		t.Run(name, func(t *testing.T) {
			right, err := url.Parse(signed.url)
			if err != nil {
				t.Fatal(err)
			}
			refused := func(what, method string, u url.URL) {
				t.Helper()
				if status, answer := send(method, u); status < 400 || status >= 500 {
					t.Errorf("%s: status %d: %s", what, status, answer)
				}
			}
			if len(right.Query()) < 6 {
				t.Fatalf("the parameters are %v", right.Query())
			}
			for parameter, values := range right.Query() {
				for kind, changed := range map[string][]string{"missing": nil, "empty": {""}, "longer": {values[0] + "0"}, "shorter": {values[0][:len(values[0])-1]}, "changed and then right": {values[0] + "0", values[0]}} {
					query := right.Query()
					if query[parameter] = changed; changed == nil {
						query.Del(parameter)
					}
					u := *right
					u.RawQuery = query.Encode()
					refused(parameter+" "+kind, signed.method, u)
				}
			}
			u := *right
			u.RawQuery += "&x-oss-process=style%2Fthumb"
			refused("a process added", signed.method, u)
			u = *right
			u.Path = "/family-album/" + other.Key
			refused("another upload", signed.method, u)
			u.Path = right.Path + "/../" + other.Key[strings.LastIndexByte(other.Key, '/')+1:]
			refused("another upload behind ..", signed.method, u)
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPost} {
				if method != signed.method {
					refused(method, method, *right)
				}
			}
			if status, answer := send(signed.method, *right); status != http.StatusOK {
				t.Errorf("as it was signed: status %d: %s", status, answer)
			}
		})
	}
}
