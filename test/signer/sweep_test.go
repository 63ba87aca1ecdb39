package signer

import (
	"bytes"
	"encoding/base64"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/test/await"
)

// Deleting the index while the signer is stopped loses nothing: all comes back from the bucket.
func TestTheIndexIsRebuiltFromTheBucket(t *testing.T) {
	dir := t.TempDir()
	x := startTenant(t, tenantYAML, dir)
	want := map[string]api.Record{}
	for i := range 25 {
		granted := x.grant("alice", content(i))
		if status, answer := x.post(granted.URL, form{granted.Fields, content(i)}); status != http.StatusOK {
			t.Fatalf("status %d: %s", status, answer)
		}
		want[granted.ID] = api.Record{}
	}
	for _, r := range x.records("alice") {
		want[r.ID] = r
	}
	x.stop()
	if err := os.RemoveAll(filepath.Join(dir, "index")); err != nil {
		t.Fatal(err)
	}
	x = startTenant(t, tenantYAML, dir)
	await.True(t, "all records are back", func() bool { return len(x.records("alice")) == len(want) })
	for _, got := range x.records("alice") {
		w := want[got.ID]
		if got.Key != w.Key || got.MD5 != w.MD5 || got.Size != w.Size || got.ContentType != w.ContentType || got.Name != w.Name || string(got.Metadata) != string(w.Metadata) || got.CRC64 != w.CRC64 {
			t.Errorf("rebuilt %+v, was %+v", got, w)
		}
	}
}

// When every callback is lost and no client asks, the sweeper still records each object.
func TestTheSweeperRecordsWhatNobodyToldOf(t *testing.T) {
	x := startTenant(t, tenantYAML, t.TempDir())
	x.faults(map[string]any{"seed": 1, "callbackDrop": 1.0})
	var want []string
	for i := range 5 {
		granted := x.grant("alice", content(i))
		if status, answer := x.post(granted.URL, form{granted.Fields, content(i)}); status != http.StatusNonAuthoritativeInfo {
			t.Fatalf("status %d: %s", status, answer)
		}
		want = append(want, granted.ID)
	}
	await.True(t, "all are recorded", func() bool { return len(x.records("alice")) == len(want) })
	got := map[string]bool{}
	for _, r := range x.records("alice") {
		got[r.ID] = true
	}
	if slices.Sort(want); !slices.Equal(want, slices.Sorted(maps.Keys(got))) {
		t.Errorf("records %v, want %v", got, want)
	}
}

// An object whose ticket key is lost is left alone, and recorded once the key is back, without a new index.
func TestARestoredTicketKeyBringsItsUploadsBack(t *testing.T) {
	dir, keys := t.TempDir(), filepath.Join(t.TempDir(), "keys.json")
	use := func(text string) func(*config.Config) {
		if err := os.WriteFile(keys, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return func(c *config.Config) { c.TicketKeysFile = keys }
	}
	entry := func(id string) string {
		return `"` + id + `":"` + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte(id), 32)) + `"`
	}
	x := start(t, tenantYAML, dir, use(`{"current":"1","keys":{`+entry("1")+`}}`))
	lost := x.upload("alice", content(1))
	x.stop()
	if err := os.RemoveAll(filepath.Join(dir, "index")); err != nil {
		t.Fatal(err)
	}
	x = start(t, tenantYAML, dir, use(`{"current":"2","keys":{`+entry("2")+`}}`))
	await.True(t, "the object is a stranger", func() bool {
		_, metrics := x.opsGet("/metrics")
		return bytes.Contains(metrics, []byte(`strangers_total{reason="unknown_ticket_key"} 1`))
	})
	x.upload("alice", content(2))
	x.stop()
	x = start(t, tenantYAML, dir, use(`{"current":"2","keys":{`+entry("1")+`,`+entry("2")+`}}`))
	await.True(t, "the upload is back", func() bool { return len(x.records("alice")) == 2 })
	if got := x.get("alice", lost.ID); got.Key != lost.Key || got.MD5 != lost.MD5 {
		t.Errorf("got %+v, want %+v", got, lost)
	}
}

// opsGet reads from the operators' port.
func (x *tenant) opsGet(path string) (int, []byte) {
	x.t.Helper()
	req, err := http.NewRequest(http.MethodGet, x.OpsURL+path, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	return x.send(req)
}
