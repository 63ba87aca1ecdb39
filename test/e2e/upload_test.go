//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/uploadtenant/uploadtenant/test/demo"
)

// limit bounds every wait of a test. Only a failure takes that long.
const limit = 5 * time.Minute

// eventually polls until check returns no complaint.
func eventually(t *testing.T, check func(ctx context.Context) (complaint string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		complaint := check(ctx)
		if complaint == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", limit, complaint)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Every upload that OSS confirmed has a record, a stored object with the same bytes and one verified event.
func TestUploadIsStoredRecordedAndDelivered(t *testing.T) {
	records, err := d.Records(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range d.Uploads() {
		i := slices.IndexFunc(records, func(r demo.Record) bool { return r.ID == u.ID })
		if i < 0 {
			t.Errorf("%s has no record", u.Name)
			continue
		}
		r := records[i]
		got := demo.Upload{ID: r.ID, Key: r.Key, Name: r.Name, ContentType: r.ContentType, MD5: r.MD5, Size: r.Size}
		if diff := cmp.Diff(u, got); diff != "" {
			t.Errorf("record of %s (-uploaded +recorded):\n%s", u.Name, diff)
		}
		status, content, err := d.Object(t.Context(), http.MethodGet, bucket, u.Key, nil)
		if err != nil || status != http.StatusOK || len(content) != u.Size {
			t.Errorf("GET of %s = %d, %d bytes, %v, want 200 and %d bytes", u.Key, status, len(content), err, u.Size)
		}
		e, err := d.EventOf(t.Context(), u.ID)
		if err != nil {
			t.Error(err)
			continue
		}
		if !e.Verified || e.Body.Type != "upload.completed" || e.Body.Data["key"] != u.Key {
			t.Errorf("event of %s = %+v, want a verified upload.completed with its key", u.Name, e)
		}
	}
}

// OSS calls the signer back through its Service, and that alone makes the record.
func TestCallbackRecords(t *testing.T) {
	photo, err := demo.Photo(6)
	if err != nil {
		t.Fatal(err)
	}
	var id string
	// A signer that has just started is not yet known to every node's proxy.
	eventually(t, func(ctx context.Context) string {
		verdicts, err := d.Grants(ctx, demo.File{Name: "back.jpg", Size: len(photo), ContentType: "image/jpeg"})
		if err != nil {
			return err.Error()
		}
		status, body, err := d.PostFile(ctx, verdicts[0], "back.jpg", "image/jpeg", photo)
		if err != nil || status != http.StatusOK {
			return fmt.Sprintf("OSS answered %d: %s, %v", status, body, err)
		}
		id = verdicts[0].ID
		return ""
	})
	records, err := d.Records(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(records, func(r demo.Record) bool { return r.ID == id }) {
		t.Errorf("the upload %s was answered with 200 and has no record", id)
	}
}

// A lost callback costs nothing: the client hears 203, completes, and record and event are there.
func TestLostCallbackIsMadeUpForByComplete(t *testing.T) {
	if err := d.Faults(t.Context(), `{"seed":1,"callbackDrop":1}`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Faults(context.Background(), ""); err != nil {
			t.Error(err)
		}
	})
	photo, err := demo.Photo(7)
	if err != nil {
		t.Fatal(err)
	}
	verdicts, err := d.Grants(t.Context(), demo.File{Name: "lost.jpg", Size: len(photo), ContentType: "image/jpeg"})
	if err != nil {
		t.Fatal(err)
	}
	v := verdicts[0]
	status, body, err := d.PostFile(t.Context(), v, "lost.jpg", "image/jpeg", photo)
	if err != nil {
		t.Fatal(err)
	}
	if status != http.StatusNonAuthoritativeInfo {
		t.Fatalf("OSS answered %d: %s, want 203: the object is stored, the callback failed", status, body)
	}
	var r demo.Record
	if err := d.Signer(t.Context(), http.MethodPost, "/v1/uploads/complete", map[string]any{"ticket": v.Ticket}, http.StatusOK, &r); err != nil {
		t.Fatal(err)
	}
	if r.ID != v.ID || r.Key != v.Key || r.Size != len(photo) {
		t.Errorf("record = %+v, want id %s, key %s and %d bytes", r, v.ID, v.Key, len(photo))
	}
	if e, err := d.EventOf(t.Context(), v.ID); err != nil || !e.Verified {
		t.Errorf("event = %+v, %v, want a verified one", e, err)
	}
}

// What the policy pins cannot be changed by the client.
func TestChangedFormIsRefused(t *testing.T) {
	photo, err := demo.Photo(8)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(fields map[string]string){
		"another key":      func(f map[string]string) { f["key"] = strings.Replace(f["key"], "xiaoming", "someone", 1) },
		"another type":     func(f map[string]string) { f["x-oss-content-type"] = "text/html" },
		"public":           func(f map[string]string) { f["x-oss-object-acl"] = "public-read" },
		"overwriting":      func(f map[string]string) { f["x-oss-forbid-overwrite"] = "false" },
		"without callback": func(f map[string]string) { delete(f, "callback") },
		"without token":    func(f map[string]string) { delete(f, "x-oss-security-token") },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			verdicts, err := d.Grants(t.Context(), demo.File{Name: "a.jpg", Size: len(photo), ContentType: "image/jpeg"})
			if err != nil {
				t.Fatal(err)
			}
			v := verdicts[0]
			change(v.Fields)
			status, body, err := d.PostFile(t.Context(), v, "a.jpg", "image/jpeg", photo)
			if err != nil {
				t.Fatal(err)
			}
			if status < 400 {
				t.Errorf("OSS answered %d: %s, want a refusal", status, body)
			}
		})
	}
}
