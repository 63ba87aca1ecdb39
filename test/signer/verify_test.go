package signer

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/test/await"
)

// hooks is the application's receiver: it keeps every event, in order of arrival.
type hooks struct {
	*httptest.Server
	mu     sync.Mutex
	events []api.Event
}

func newHooks(t *testing.T) *hooks {
	h := &hooks{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a broken request decodes to an empty event
		var e api.Event
		_ = json.Unmarshal(body, &e)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.events = append(h.events, e)
	}))
	t.Cleanup(h.Close)
	return h
}

// of returns the types of the events of one upload, and the last of them.
func (h *hooks) of(id string) (types []string, last api.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if e.Data.ID == id {
			types, last = append(types, e.Type), e
		}
	}
	return types, last
}

func (h *hooks) tenantYAML(more string) string {
	return tenantYAML + "  events: {url: \"" + h.URL + "/hook\", secretRef: {name: album-events}}\n" + more
}

func (x *tenant) get(user, id string) api.Record {
	x.t.Helper()
	return ask[api.Record](x, user, http.MethodGet, "/v1/uploads/"+id, nil)
}

// anonymous reads the object without a signature.
func (x *tenant) anonymous(key string) int {
	x.t.Helper()
	req, err := http.NewRequest(http.MethodGet, x.OSSURL+"/family-album/"+key, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	status, _ := x.send(req)
	return status
}

// stored tells whether the bucket has the object, whoever may read it.
func (x *tenant) stored(key string) bool {
	x.t.Helper()
	req, err := http.NewRequest(http.MethodGet, x.OSSURL+"/_emulator/api/objects?bucket=family-album&limit=1000", nil)
	if err != nil {
		x.t.Fatal(err)
	}
	_, answer := x.send(req)
	return strings.Contains(string(answer), key)
}

var page = []byte("<!DOCTYPE html><script>alert(1)</script>")

// The role has exactly the rights that the YAML asks for, so this also proves the RAM policy.
func TestContentThatLiesIsRejected(t *testing.T) {
	for policy, wantStored := range map[string]bool{"Quarantine": true, "Delete": false} {
		t.Run(policy, func(t *testing.T) {
			h := newHooks(t)
			x := startTenant(t, h.tenantYAML("  verification: {sniff: true, onMismatch: "+policy+"}\n"), "")
			r := x.upload("alice", page)
			if r.Status != "verifying" {
				t.Errorf("the callback was answered with %+v, want an upload that is being verified", r)
			}
			await.True(t, "the event is delivered", func() bool { types, _ := h.of(r.ID); return len(types) > 0 })
			types, e := h.of(r.ID)
			if !slices.Equal(types, []string{"upload.rejected"}) || e.Data.Status != "rejected" || e.Data.Reason != "content_mismatch" {
				t.Errorf("events %v, last %+v", types, e)
			}
			if got := x.get("alice", r.ID); got.Status != "rejected" || got.Reason != "content_mismatch" {
				t.Errorf("record %+v", got)
			}
			x.refused("alice", http.MethodPost, "/v1/uploads/"+r.ID+"/url", nil, http.StatusConflict, "not_available")
			await.True(t, "the object is dealt with", func() bool { return x.stored(r.Key) == wantStored })
			if status := x.anonymous(r.Key); status == http.StatusOK {
				t.Error("the rejected object can be read")
			}
			honest := x.upload("alice", content(1))
			await.True(t, "honest content is completed", func() bool { types, _ := h.of(honest.ID); return slices.Equal(types, []string{"upload.completed"}) })
		})
	}
}

func TestVerifiedObjectsGetTagsAndACL(t *testing.T) {
	h := newHooks(t)
	x := startTenant(t, h.tenantYAML("  verification: {sniff: true, tags: {checked: \"yes\"}, publicRead: true}\n"), "")
	good, bad := x.upload("alice", content(1)), x.upload("alice", page)
	await.True(t, "both are decided", func() bool {
		a, _ := h.of(good.ID)
		b, _ := h.of(bad.ID)
		return len(a) > 0 && len(b) > 0
	})
	if status := x.anonymous(good.Key); status != http.StatusOK {
		t.Errorf("the completed object: status %d, want it to be public before its event", status)
	}
	if status := x.anonymous(bad.Key); status != http.StatusForbidden {
		t.Errorf("the rejected object: status %d", status)
	}
}

// What is to be verified stands in the index: neither a failing object store nor a restart loses it.
func TestVerificationSurvivesFailuresAndARestart(t *testing.T) {
	h, dir := newHooks(t), t.TempDir()
	text := h.tenantYAML("  verification: {sniff: true}\n")
	x := startTenant(t, text, dir)
	x.faults(map[string]any{"seed": 1, "errorRate": 1.0, "operations": []string{"GetObject"}})
	honest, liar := x.upload("alice", content(1)), x.upload("alice", page)
	x.refused("alice", http.MethodPost, "/v1/uploads/"+honest.ID+"/url", nil, http.StatusConflict, "not_verified")
	x.stop()
	if types, _ := h.of(honest.ID); len(types) != 0 {
		t.Fatalf("told of before it was verified: %v", types)
	}
	x = startTenant(t, text, dir)
	await.True(t, "both are decided", func() bool {
		return x.get("alice", honest.ID).Status == "completed" && x.get("alice", liar.ID).Status == "rejected"
	})
	await.True(t, "both are told of", func() bool {
		a, _ := h.of(honest.ID)
		b, _ := h.of(liar.ID)
		return slices.Equal(a, []string{"upload.completed"}) && slices.Equal(b, []string{"upload.rejected"})
	})
}

func TestDeletionIsToldOfAfterCompletion(t *testing.T) {
	h := newHooks(t)
	x := startTenant(t, h.tenantYAML(""), "")
	r := x.upload("alice", content(1))
	if status, answer := x.request("alice", http.MethodDelete, "/v1/uploads/"+r.ID, nil); status != http.StatusNoContent {
		t.Fatalf("status %d: %s", status, answer)
	}
	await.True(t, "both events are there", func() bool {
		types, _ := h.of(r.ID)
		return slices.Equal(types, []string{"upload.completed", "upload.deleted"})
	})
}
