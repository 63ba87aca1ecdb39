package signer

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/signer/config"
)

// field is one of a form, whose order counts.
type field struct{ name, value string }

// formOf reads a callback's body.
func formOf(t *testing.T, body []byte) []field {
	t.Helper()
	var fields []field
	for pair := range strings.SplitSeq(string(body), "&") {
		name, value, _ := strings.Cut(pair, "=")
		decoded, err := url.QueryUnescape(value)
		if err != nil {
			t.Fatal(err)
		}
		fields = append(fields, field{name, decoded})
	}
	return fields
}

func bodyOf(fields []field) []byte {
	pairs := make([]string, len(fields))
	for i, f := range fields {
		pairs[i] = f.name + "=" + url.QueryEscape(f.value)
	}
	return []byte(strings.Join(pairs, "&"))
}

// tampered returns, by name, everything that can be done to field i of fields.
func tampered(fields, others []field, i int) map[string][]field {
	set := func(value string) []field {
		changed := slices.Clone(fields)
		changed[i].value = value
		return changed
	}
	name, value := fields[i].name, fields[i].value
	all := map[string][]field{
		"missing": slices.Delete(slices.Clone(fields), i, i+1), "empty": set(""), "longer": set(value + "0"), "shorter": set(value[:max(len(value)-1, 0)]),
		"changed and then right": slices.Insert(slices.Clone(fields), 0, field{name, value + "0"}),
	}
	for _, other := range others {
		if other.name == name {
			all["of another upload"] = set(other.value)
		}
	}
	for kind, changed := range all {
		if slices.Equal(changed, fields) {
			delete(all, kind)
		}
	}
	return all
}

// The signature covers a callback to its last byte: whatever is changed on the way, the signer does not take it.
// Unchanged it is taken, once, however often it comes, and never again when the upload was deleted.
func TestNothingOfACallbackMayChange(t *testing.T) {
	w := newWire(t)
	x := startUnswept(t, w.tap)
	v, call := x.unheard(w, "alice", content(1))
	_, other := x.unheard(w, "alice", content(22))
	fields, others := formOf(t, call.body), formOf(t, other.body)
	if len(fields) < 5 {
		t.Fatalf("the callback has the fields %v", fields)
	}
	refused := func(what string, c captured) {
		t.Helper()
		if status, answer := x.deliver(c); status < 400 || status >= 500 {
			t.Errorf("%s: status %d: %s", what, status, answer)
		}
	}
	for i, f := range fields {
		for kind, changed := range tampered(fields, others, i) {
			refused(f.name+" "+kind, captured{call.header, call.path, bodyOf(changed)})
		}
	}
	refused("the body of another upload", captured{call.header, call.path, other.body})
	refused("a byte more", captured{call.header, call.path, append(slices.Clone(call.body), '\n')})
	refused("a query", captured{call.header, call.path + "?x=1", call.body})
	for _, name := range []string{"Authorization", "X-Oss-Pub-Key-Url"} {
		value := call.header.Get(name)
		for kind, values := range map[string][]string{"missing": nil, "empty": {""}, "twice": {value, value}, "with another before": {base64.StdEncoding.EncodeToString([]byte(x.OSSURL)), value},
			"with another behind": {value, "AAAA"}, "shorter": {value[4:]}, "as a bearer token": {"Bearer " + value}} {
			changed := call.header.Clone()
			changed[name] = values
			refused(name+" "+kind, captured{changed, call.path, call.body})
		}
	}
	signedOther := call.header.Clone()
	signedOther.Set("Authorization", other.header.Get("Authorization"))
	refused("the signature of another callback", captured{signedOther, call.path, call.body})
	if got := x.records("alice"); len(got) != 0 {
		t.Fatalf("recorded %+v", got)
	}

	for range 3 {
		if status, answer := x.deliver(call); status != http.StatusOK {
			t.Fatalf("as OSS sent it: status %d: %s", status, answer)
		}
	}
	if got := x.records("alice"); len(got) != 1 || got[0].ID != v.ID {
		t.Errorf("records %+v", got)
	}
	if status, answer := x.request("alice", http.MethodDelete, "/v1/uploads/"+v.ID, nil); status != http.StatusNoContent {
		t.Fatalf("delete: status %d: %s", status, answer)
	}
	refused("after the upload was deleted", call)
	if got := x.records("alice"); len(got) != 0 {
		t.Errorf("a replayed callback brought back %+v", got)
	}
}

// Whoever can sign callbacks, because the key is weak or because OSS signs what an upload asks for, and has a
// ticket, still cannot make the signer record anything that is not so: whatever of a callback is changed, the
// record, if there is one, tells what is stored.
func TestASignedLieIsNotRecorded(t *testing.T) {
	w := newWire(t)
	x, forge := startForgeable(t, w.tap)
	_, other := x.unheard(w, "alice", content(22))
	_, sample := x.unheard(w, "alice", content(1))
	must := map[string]bool{"ticket": true, "bucket": true, "object": true, "size": true, "mimeType": true} // what is granted
	taken := 0
	for i, f := range formOf(t, sample.body) {
		for kind := range tampered(formOf(t, sample.body), formOf(t, other.body), i) {
			v, call := x.unheard(w, "alice", content(1))
			status, answer := x.deliver(forge(string(bodyOf(tampered(formOf(t, call.body), formOf(t, other.body), i)[kind]))))
			if status >= 500 || status < 400 && must[f.name] {
				t.Errorf("%s %s: status %d: %s", f.name, kind, status, answer)
			}
			got, found := x.find("alice", v.ID)
			if found != (status == http.StatusOK) {
				t.Errorf("%s %s: status %d, and recorded is %v", f.name, kind, status, found)
			}
			if !found {
				continue
			}
			taken++
			if got.Key != v.Key || got.MD5 != hexMD5(content(1)) || got.Size != int64(len(content(1))) || got.ContentType != "text/plain" || got.Name != "a.txt" {
				shown, _ := json.Marshal(got)
				t.Errorf("%s %s: recorded as %s", f.name, kind, shown)
			}
		}
	}
	if taken == 0 {
		t.Error("not one callback was taken: the signature of the test is wrong, and nothing was tested")
	}
}

// What is stored at a granted key counts for the grant only when it carries the grant's own ticket: through a
// grant for the folder its owner could have put anything there, be it of the right size and type.
func TestAnObjectCountsForItsOwnTicketOnly(t *testing.T) {
	x, forge := startForgeable(t, func(c *config.Config) { c.Grant.AllowPrefix = true })
	v, other := x.grant("alice", content(1)), x.grant("alice", content(1))
	folder := ask[api.PrefixGrant](x, "alice", http.MethodGet, "/v1/policy", nil)
	fields := append(sorted(folder.Fields), field{"key", v.Key}, field{"x-oss-content-type", "text/plain"}, field{"x-oss-meta-ticket", other.Ticket})
	if status, answer := x.postFields(folder.URL, fields, content(1)); status != http.StatusOK {
		t.Fatalf("upload into the folder: status %d: %s", status, answer)
	}
	for name, ticket := range map[string]string{"the key's ticket": v.Ticket, "the object's ticket": other.Ticket} {
		body := url.Values{"ticket": {ticket}, "bucket": {"family-album"}, "object": {v.Key}, "size": {strconv.Itoa(len(content(1)))}, "mimeType": {"text/plain"}}.Encode()
		status, answer := x.deliver(forge(body))
		if status != http.StatusForbidden || !strings.Contains(string(answer), `"callback_mismatch"`) {
			t.Errorf("a callback with %s: status %d: %s", name, status, answer)
		}
	}
	x.refused("alice", http.MethodPost, "/v1/uploads/complete", api.CompleteRequest{Ticket: v.Ticket}, http.StatusConflict, "object_mismatch")
	x.refused("alice", http.MethodPost, "/v1/uploads/complete", api.CompleteRequest{Ticket: other.Ticket}, http.StatusNotFound, "not_uploaded")
	if got := x.records("alice"); len(got) != 0 {
		t.Errorf("records %+v", got)
	}
}

// find returns user's upload.
func (x *tenant) find(user, id string) (api.Record, bool) {
	x.t.Helper()
	for _, r := range x.records(user) {
		if r.ID == id {
			return r, true
		}
	}
	return api.Record{}, false
}

// The key URL is the caller's word, so nobody without a ticket of the tenant makes the signer fetch it.
func TestNobodyWithoutATicketMakesTheSignerFetchAKey(t *testing.T) {
	key := newWeakKey(t)
	var asked atomic.Int32
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Write(key.pem())
	}))
	defer keys.Close()
	x := startConfigured(t, func(c *config.Config) {
		c.Callback.KeyURLPrefixes = append(c.Callback.KeyURLPrefixes, keys.URL+"/")
	})
	send := func(body string) int {
		status, _ := x.deliver(key.callback(keys.URL, body))
		return status
	}
	v := x.grant("alice", content(1))
	for _, body := range []string{"", "ticket=", "ticket=AQ", "bucket=family-album", "ticket=" + v.Ticket[1:], "ticket=x&ticket=" + v.Ticket, "%zz"} {
		if status := send(body); status != http.StatusForbidden && status != http.StatusBadRequest {
			t.Errorf("%.30q: status %d", body, status)
		}
	}
	beforeTicket := asked.Load()
	if status := send("ticket=" + v.Ticket); status != http.StatusForbidden {
		t.Errorf("a ticket alone: status %d", status)
	}
	if beforeTicket != 0 || asked.Load() != 1 {
		t.Errorf("the key was fetched %d times for strangers, and %d times in all", beforeTicket, asked.Load())
	}
}
