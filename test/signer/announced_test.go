package signer

import (
	"encoding/json"
	"net/http"
	"testing"

	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/test/await"
)

// A file that is not the one whose hash was announced is stored all the same. So it is recorded, as rejected,
// whoever tells of it: it counts against the allowance, and its owner can delete it.
func TestAnotherContentThanAnnouncedIsRecordedAsRejected(t *testing.T) {
	tests := map[string]struct {
		faults   any
		complete bool
	}{
		"by callback": {},
		"by complete": {map[string]any{"seed": 1, "callbackDrop": 1.0}, true},
		"by sweeper":  {map[string]any{"seed": 1, "callbackDrop": 1.0}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			x := startTenant(t, tenantYAML, "")
			x.faults(test.faults)
			file := api.FileRequest{Name: "a.txt", Size: int64(len(content(1))), ContentType: "text/plain", MD5: hexMD5(content(2))}
			v := ask[api.UploadsResponse](x, "alice", http.MethodPost, "/v1/uploads", api.UploadsRequest{Files: []api.FileRequest{file}}).Uploads[0]
			if status, answer := x.post(v.URL, form{v.Fields, content(1)}); status != http.StatusNonAuthoritativeInfo {
				t.Errorf("status %d: %s", status, answer)
			}
			if test.complete || test.faults == nil {
				x.refused("alice", http.MethodPost, "/v1/uploads/complete", api.CompleteRequest{Ticket: v.Ticket}, http.StatusConflict, "hash_mismatch")
			}
			await.True(t, "the upload is recorded", func() bool { return len(x.records("alice")) == 1 })
			if r := x.records("alice")[0]; r.Status != "rejected" || r.Reason != "content_mismatch" || r.MD5 != hexMD5(content(1)) {
				shown, _ := json.Marshal(r)
				t.Errorf("record %s", shown)
			}
			if status, answer := x.request("alice", http.MethodDelete, "/v1/uploads/"+v.ID, nil); status != http.StatusNoContent {
				t.Errorf("status %d: %s", status, answer)
			}
		})
	}
}
