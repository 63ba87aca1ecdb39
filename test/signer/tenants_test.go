package signer

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/aliyun"
	"github.com/uploadtenant/uploadtenant/devmode"
	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/sts"
)

// adminKey is the AccessKey of the emulated account: a neighbour in a bucket has rights of his own, and what
// keeps tenants apart in these tests must not be the cloud.
type adminKey struct{ id, secret string }

func (k adminKey) Credential() (sts.Credential, error) {
	return sts.Credential{AccessKeyID: k.id, AccessKeySecret: k.secret, Expires: time.Now().Add(time.Hour)}, nil
}

func (x *tenant) adminKey() adminKey {
	x.t.Helper()
	raw, err := os.ReadFile(x.AdminKeyFile)
	if err != nil {
		x.t.Fatal(err)
	}
	var key struct{ AccessKeyID, AccessKeySecret string }
	if err := json.Unmarshal(raw, &key); err != nil {
		x.t.Fatal(err)
	}
	x.scan.Add(key.AccessKeySecret)
	return adminKey{key.AccessKeyID, key.AccessKeySecret}
}

// neighbour runs the signer of another tenant over HTTP, in the cloud of x.
func (x *tenant) neighbour(cfg config.Config) *tenant {
	x.t.Helper()
	server, err := api.New(context.WithoutCancel(x.t.Context()), api.Options{Config: &cfg, Credentials: x.adminKey(), Logger: x.scan.Logger(), DevUsers: true})
	if err != nil {
		x.t.Fatal(err)
	}
	front := httptest.NewServer(server.API())
	x.t.Cleanup(func() {
		front.Close()
		if err := server.Close(); err != nil {
			x.t.Errorf("close the neighbour: %v", err)
		}
	})
	return &tenant{x.t, &devmode.Server{SignerURL: front.URL, OSSURL: x.OSSURL}, front.Close, x.scan}
}

// makeBucket makes a bucket in the cloud of x, unless it is there.
func (x *tenant) makeBucket(name string) {
	x.t.Helper()
	key := x.adminKey()
	services, err := aliyun.NewOpener(aliyun.Options{}).Open(cloud.Account{ID: x.Account.Spec.AccountID, Region: x.Account.Spec.Region,
		Endpoints:   cloud.Endpoints{OSS: x.OSSURL, RAM: x.APIURL, STS: x.APIURL},
		Credentials: cloud.Credentials{Static: &cloud.StaticCredentials{AccessKeyID: key.id, AccessKeySecret: key.secret}}})
	if err != nil {
		x.t.Fatal(err)
	}
	_, found, err := services.Buckets.Observe(x.t.Context(), name)
	if err == nil && !found {
		err = services.Buckets.Create(x.t.Context(), name, "")
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

// ticketKeys writes a file of one key.
func (x *tenant) ticketKeys(key byte) string {
	x.t.Helper()
	file := filepath.Join(x.t.TempDir(), "tickets.json")
	text := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{key}, 32))
	x.scan.Add(text)
	if err := os.WriteFile(file, []byte(`{"current":"k1","keys":{"k1":"`+text+`"}}`), 0o600); err != nil {
		x.t.Fatal(err)
	}
	return file
}

// Two tenants have users of the same name, and even callbacks of the same path, which OSS signs alike. What one
// tenant's signer gave out is nothing to the other's: no ticket, callback, multipart upload, upload id, cursor
// or form of the one does anything at the other, be the buckets the same, and even the ticket keys.
func TestNothingOfAnotherTenantIsTaken(t *testing.T) {
	tests := map[string]func(mine, theirs *config.Config){
		"another prefix of the bucket": func(_, theirs *config.Config) { theirs.Bucket.Prefix = "other/" },
		"another bucket":               func(_, theirs *config.Config) { theirs.Bucket.Name = "other-album" },
		"the same prefix and keys":     func(mine, theirs *config.Config) { theirs.TicketKeysFile = mine.TicketKeysFile },
	}
	for name, differ := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			var mine config.Config
			x := startUnswept(t, func(c *config.Config) {
				w.tap(c)
				c.Deduplication, c.Grant.AllowPrefix = config.DeduplicationTenant, true
				mine = *c
			})
			theirs := mine
			theirs.Tenant, theirs.TenantUID, theirs.TicketKeysFile, theirs.Index = "family/other", "another-uid", x.ticketKeys(8), config.Index{SQLitePath: ":memory:"}
			differ(&mine, &theirs)
			x.makeBucket(theirs.Bucket.Name)
			theirs.Bucket.UploadURL = strings.Replace(mine.Bucket.UploadURL, mine.Bucket.Name, theirs.Bucket.Name, 1)
			y := x.neighbour(theirs)
			takesNothingOf(t, x, y, w, 10)
			takesNothingOf(t, y, x, w, 20)
		})
	}
}

// takesNothingOf gives everything that alice got from theirs to mine, as alice of mine. The contents are those
// from first on, which neither knows.
func takesNothingOf(t *testing.T, mine, theirs *tenant, w *wire, first int) {
	t.Helper()
	before := len(mine.records("alice"))
	pending := theirs.grant("alice", content(first+1))
	stored, call := theirs.unheard(w, "alice", content(first+2))
	kept, keptCall := theirs.unheard(w, "alice", content(first+3))
	if status, answer := theirs.deliver(keptCall); status != http.StatusOK {
		t.Fatalf("a callback to its own tenant: status %d: %s", status, answer)
	}
	big := ask[api.MultipartResponse](theirs, "alice", http.MethodPost, "/v1/multipart", api.FileRequest{Name: "big.txt", Size: 5, ContentType: "text/plain"})
	part := ask[api.PartsResponse](theirs, "alice", http.MethodPost, "/v1/multipart/"+big.ID+"/parts", api.PartsRequest{PartNumbers: []int{1}}).Parts[0]
	put, err := http.NewRequest(part.Method, part.URL, strings.NewReader("12345"))
	if err != nil {
		t.Fatal(err)
	}
	if status, answer := theirs.send(put); status != http.StatusOK {
		t.Fatalf("put a part: status %d: %s", status, answer)
	}

	for _, v := range []api.Verdict{pending, stored, kept} {
		mine.refused("alice", http.MethodPost, "/v1/uploads/complete", api.CompleteRequest{Ticket: v.Ticket}, http.StatusBadRequest, "invalid_ticket")
		mine.refused("alice", http.MethodGet, "/v1/uploads/"+v.ID, nil, http.StatusNotFound, "not_found")
		mine.refused("alice", http.MethodPost, "/v1/uploads/"+v.ID+"/url", nil, http.StatusNotFound, "not_found")
		mine.refused("alice", http.MethodDelete, "/v1/uploads/"+v.ID, nil, http.StatusNotFound, "not_found")
	}
	for _, c := range []captured{call, keptCall} {
		if status, answer := mine.deliver(c); status != http.StatusForbidden || !strings.Contains(string(answer), `"callback_ticket_invalid"`) {
			t.Errorf("a callback of the other tenant: status %d: %s", status, answer)
		}
	}
	path := "/v1/multipart/" + big.ID
	mine.refused("alice", http.MethodPost, path+"/parts", api.PartsRequest{PartNumbers: []int{1}}, http.StatusNotFound, "not_found")
	mine.refused("alice", http.MethodPost, path+"/complete", nil, http.StatusNotFound, "not_found")
	mine.refused("alice", http.MethodDelete, path, nil, http.StatusNotFound, "not_found")
	if v := mine.askWithHash("alice", content(first+3)); v.Status != "upload" {
		t.Errorf("the hash of the other tenant's file: %+v", v)
	}

	// A ticket of the other tenant in a form of this one: neither tenant takes what is stored with it.
	own := mine.grant("alice", content(first+4))
	fields := maps.Clone(own.Fields)
	fields["x-oss-meta-ticket"] = pending.Ticket
	if status, answer := mine.post(own.URL, form{fields, content(first + 4)}); status != http.StatusForbidden {
		t.Errorf("a form with the other tenant's ticket: status %d: %s", status, answer)
	}
	folder := ask[api.PrefixGrant](mine, "alice", http.MethodGet, "/v1/policy", nil)
	fields = maps.Clone(folder.Fields)
	fields["key"], fields["x-oss-content-type"], fields["x-oss-meta-ticket"] = own.Key, "text/plain", pending.Ticket
	if status, answer := mine.post(folder.URL, form{fields, content(first + 4)}); status != http.StatusOK {
		t.Fatalf("upload into the folder: status %d: %s", status, answer)
	}
	mine.refused("alice", http.MethodPost, "/v1/uploads/complete", api.CompleteRequest{Ticket: own.Ticket}, http.StatusConflict, "object_mismatch")
	theirs.refused("alice", http.MethodPost, "/v1/uploads/complete", api.CompleteRequest{Ticket: pending.Ticket}, http.StatusNotFound, "not_uploaded")

	if after := len(mine.records("alice")); after != before {
		t.Errorf("%d records, %d before", after, before)
	}
	// All of it is good where it came from.
	if got := ask[api.Record](theirs, "alice", http.MethodPost, "/v1/uploads/complete", api.CompleteRequest{Ticket: stored.Ticket}); got.ID != stored.ID {
		t.Errorf("completed %+v", got)
	}
	if got := ask[api.Record](theirs, "alice", http.MethodPost, path+"/complete", nil); got.ID != big.ID {
		t.Errorf("joined %+v", got)
	}
}
