package signer

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	api "github.com/uploadtenant/uploadtenant/signer"
)

// The pinned policy lets exactly one upload through: for every field of the form, a changed or missing
// value is refused by the object store, and so is another size or any field that was not granted.
func TestEveryFieldOfAGrantIsPinned(t *testing.T) {
	x := startTenant(t, tenantYAML, "")
	granted := x.grant("alice", content(1))
	// What the signature proves itself; the rest must be a condition of the policy.
	other := x.grant("alice", content(1))
	// Every field that OSS understands and that could do harm has to be in the form, because "absent" cannot be pinned.
	for _, name := range []string{"key", "policy", "callback", "x-oss-signature", "x-oss-signature-version", "x-oss-credential", "x-oss-date", "x-oss-security-token",
		"x-oss-content-type", "x-oss-object-acl", "x-oss-forbid-overwrite", "x-oss-meta-ticket", "success_action_status"} {
		if granted.Fields[name] == "" {
			t.Errorf("the grant has no field %s", name)
		}
	}
	refused := func(t *testing.T, f form) {
		t.Helper()
		status, answer := x.post(granted.URL, f)
		if status < 400 {
			t.Errorf("status %d: %s", status, answer)
		}
	}
	changed := map[string]string{
		"key": strings.Replace(granted.Key, "alice", "bob", 1), "x-oss-object-acl": "public-read", "x-oss-content-type": "text/html", "x-oss-forbid-overwrite": "false",
		"success_action_status": "201", "x-oss-signature-version": "OSS2", "x-oss-date": "20200101T000000Z",
	}
	for name, value := range granted.Fields {
		t.Run("missing "+name, func(t *testing.T) {
			fields := maps.Clone(granted.Fields)
			delete(fields, name)
			refused(t, form{fields, content(1)})
		})
		t.Run("changed "+name, func(t *testing.T) {
			fields := maps.Clone(granted.Fields)
			switch {
			case changed[name] != "":
				fields[name] = changed[name]
			case other.Fields[name] != value:
				fields[name] = other.Fields[name] // a value of another grant, so it is well formed
			default:
				fields[name] = value + "x"
			}
			refused(t, form{fields, content(1)})
		})
	}
	t.Run("one byte more", func(t *testing.T) { refused(t, form{granted.Fields, append(content(1), 'x')}) })
	t.Run("one byte less", func(t *testing.T) { refused(t, form{granted.Fields, content(1)[1:]}) })
	t.Run("empty", func(t *testing.T) { refused(t, form{granted.Fields, nil}) })
	if got := x.records("alice"); len(got) != 0 {
		t.Fatalf("%d records", len(got))
	}
}

// What OSS does with a field that no condition names is not documented. If it takes one, then what was
// granted stays as it was.
func TestFieldsThatWereNotGrantedChangeNothing(t *testing.T) {
	x := startTenant(t, tenantYAML, "")
	for name, value := range map[string]string{"x-oss-storage-class": "IA", "Cache-Control": "no-cache", "Content-Disposition": "attachment", "Content-Type": "text/html",
		"x-oss-meta-other": "1", "x:ticket": "1", "success_action_redirect": "https://evil.example"} {
		t.Run(name, func(t *testing.T) {
			granted := x.grant("alice", content(1))
			fields := maps.Clone(granted.Fields)
			fields[name] = value
			if status, _ := x.post(granted.URL, form{fields, content(1)}); status >= 400 {
				return
			}
			got := ask[api.Record](x, "alice", http.MethodGet, "/v1/uploads/"+granted.ID, nil)
			if got.Key != granted.Key || got.ContentType != "text/plain" {
				t.Errorf("record %+v", got)
			}
		})
	}
}

func TestTheGrantedUploadLandsOnceAndIsRecorded(t *testing.T) {
	x := startTenant(t, tenantYAML, "")
	granted := x.grant("alice", content(1))
	status, answer := x.post(granted.URL, form{granted.Fields, content(1)})
	if status != http.StatusOK || !strings.Contains(string(answer), granted.ID) {
		t.Fatalf("status %d: %s", status, answer)
	}
	if status, answer := x.post(granted.URL, form{granted.Fields, content(1)}); status != http.StatusConflict {
		t.Errorf("a second upload with the same grant: status %d: %s", status, answer)
	}
	got := x.records("alice")
	if len(got) != 1 || got[0].ID != granted.ID || got[0].Size != int64(len(content(1))) || got[0].MD5 == "" || got[0].ContentType != "text/plain" || string(got[0].Metadata) != `{"n":1}` {
		t.Errorf("records %+v", got)
	}
	if len(x.records("bob")) != 0 {
		t.Error("bob sees alice's upload")
	}
}

func TestCompleteRecordsWhatTheCallbackDidNot(t *testing.T) {
	x := startTenant(t, tenantYAML, "")
	// Nor does the sweeper, which is kept from looking: on a busy machine it could be first.
	x.faults(map[string]any{"seed": 1, "callbackDrop": 1.0, "errorRate": 1.0, "operations": []string{"ListObjectsV2"}})
	granted := x.grant("alice", content(1))
	complete := map[string]string{"ticket": granted.Ticket}
	if status, answer := x.request("alice", http.MethodPost, "/v1/uploads/complete", complete); status != http.StatusNotFound {
		t.Errorf("before the upload: status %d: %s", status, answer)
	}
	if status, answer := x.post(granted.URL, form{granted.Fields, content(1)}); status != http.StatusNonAuthoritativeInfo {
		t.Fatalf("upload without callback: status %d: %s", status, answer)
	}
	if got := x.records("alice"); len(got) != 0 {
		t.Fatalf("records %+v", got)
	}
	if status, answer := x.request("bob", http.MethodPost, "/v1/uploads/complete", complete); status != http.StatusForbidden {
		t.Errorf("another user's ticket: status %d: %s", status, answer)
	}
	for range 2 {
		if status, answer := x.request("alice", http.MethodPost, "/v1/uploads/complete", complete); status != http.StatusOK {
			t.Errorf("status %d: %s", status, answer)
		}
	}
	if got := x.records("alice"); len(got) != 1 || got[0].ID != granted.ID || got[0].MD5 == "" {
		t.Errorf("records %+v", got)
	}
}
