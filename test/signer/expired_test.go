package signer

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/devmode"
	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/signer/config"
)

// stopped is a clock that moves by hand only.
type stopped struct{ at atomic.Int64 }

func newStopped() *stopped {
	c := &stopped{}
	c.at.Store(time.Now().Unix())
	return c
}

func (c *stopped) now() time.Time          { return time.Unix(c.at.Load(), 0) }
func (c *stopped) advance(d time.Duration) { c.at.Add(int64(d / time.Second)) }

// ossAhead sets the clock of the emulated cloud ahead of the signer's.
func (x *tenant) ossAhead(d time.Duration) {
	x.t.Helper()
	x.faults(map[string]any{"clockOffsetMs": d.Milliseconds()})
}

// A grant is good until it expires and not a second longer: OSS refuses the form, nothing is stored, and the
// signer says that it is over.
func TestAGrantEndsWhenItExpires(t *testing.T) {
	for name, configure := range map[string]func(*config.Config){
		"V4":   func(*config.Config) {},
		"V1":   func(c *config.Config) { c.Grant.Signature = "V1" },
		"long": func(c *config.Config) { c.Grant.Expiry = 900 },
	} {
		t.Run(name, func(t *testing.T) {
			clock := newStopped()
			x := startOptions(t, tenantYAML, devmode.Options{Clock: clock.now, Configure: configure})
			late, intime := x.grant("alice", content(1)), x.grant("alice", content(2))
			lasts := time.Duration(late.ExpiresIn) * time.Second
			if lasts <= 0 {
				t.Fatalf("expires in %d s", late.ExpiresIn)
			}
			x.ossAhead(lasts - time.Second)
			if status, answer := x.post(intime.URL, form{intime.Fields, content(2)}); status/100 != 2 {
				t.Errorf("a second before: status %d: %s", status, answer)
			}
			x.ossAhead(lasts + time.Second)
			for range 2 {
				if status, answer := x.post(late.URL, form{late.Fields, content(1)}); status != http.StatusForbidden || !strings.Contains(string(answer), "Policy expired") {
					t.Errorf("a second after: status %d: %s", status, answer)
				}
			}
			if x.stored(late.Key) || !x.stored(intime.Key) {
				t.Errorf("the late one is stored: %v, the one in time: %v", x.stored(late.Key), x.stored(intime.Key))
			}
			x.faults(nil) // the same time for both again
			x.refused("alice", http.MethodPost, "/v1/uploads/complete", api.CompleteRequest{Ticket: late.Ticket}, http.StatusNotFound, "not_uploaded")
			clock.advance(lasts + time.Second)
			x.refused("alice", http.MethodPost, "/v1/uploads/complete", api.CompleteRequest{Ticket: late.Ticket}, http.StatusGone, "expired")
			// What was stored in time is good for ever.
			if got := ask[api.Record](x, "alice", http.MethodPost, "/v1/uploads/complete", api.CompleteRequest{Ticket: intime.Ticket}); got.ID != intime.ID {
				t.Errorf("record %+v", got)
			}
			if _, found := x.find("alice", late.ID); found {
				t.Error("the late one is recorded")
			}
		})
	}
}

// A grant for a whole folder ends like one for a file.
func TestAFolderGrantEndsWhenItExpires(t *testing.T) {
	x := startOptions(t, tenantYAML, devmode.Options{Clock: newStopped().now, Configure: func(c *config.Config) { c.Grant.AllowPrefix = true }})
	folder := ask[api.PrefixGrant](x, "alice", http.MethodGet, "/v1/policy", nil)
	fields := append(sorted(folder.Fields), field{"key", folder.Dir + "1.txt"}, field{"x-oss-content-type", "text/plain"})
	lasts := time.Duration(folder.ExpiresIn) * time.Second
	x.ossAhead(lasts + time.Second)
	if status, answer := x.postFields(folder.URL, fields, content(1)); status != http.StatusForbidden || x.stored(folder.Dir) {
		t.Errorf("a second after: status %d: %s", status, answer)
	}
	x.ossAhead(lasts - time.Second)
	if status, answer := x.postFields(folder.URL, fields, content(1)); status/100 != 2 {
		t.Errorf("a second before: status %d: %s", status, answer)
	}
}

// Presigned URLs end too: those to read, and those of parts.
func TestPresignedURLsEndWhenTheyExpire(t *testing.T) {
	x := startOptions(t, tenantYAML, devmode.Options{Clock: newStopped().now})
	record := x.upload("alice", content(1))
	read := ask[api.URLResponse](x, "alice", http.MethodPost, "/v1/uploads/"+record.ID+"/url", api.URLRequest{ExpiresIn: 60})
	part := ask[api.MultipartResponse](x, "alice", http.MethodPost, "/v1/multipart", api.FileRequest{Name: "big.txt", Size: 5, ContentType: "text/plain"})
	parts := ask[api.PartsResponse](x, "alice", http.MethodPost, "/v1/multipart/"+part.ID+"/parts", api.PartsRequest{PartNumbers: []int{1}})
	for name, signed := range map[string]struct {
		method, url string
		seconds     int64
	}{"to read": {http.MethodGet, read.URL, read.ExpiresIn}, "of a part": {http.MethodPut, parts.Parts[0].URL, parts.ExpiresIn}} {
		lasts := time.Duration(signed.seconds) * time.Second
		for _, test := range []struct {
			ahead time.Duration
			want  int
		}{{lasts + time.Second, http.StatusForbidden}, {lasts - time.Second, http.StatusOK}} {
			x.ossAhead(test.ahead)
			req, err := http.NewRequest(signed.method, signed.url, strings.NewReader(map[string]string{http.MethodPut: "12345"}[signed.method]))
			if err != nil {
				t.Fatal(err)
			}
			if status, answer := x.send(req); status != test.want {
				t.Errorf("%s, %s later: status %d: %s", name, test.ahead, status, answer)
			}
		}
	}
}
