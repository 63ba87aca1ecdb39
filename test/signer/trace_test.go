package signer

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/test/await"
)

// seenSpan is what a receiver of OTLP learns of a span.
type seenSpan struct {
	TraceID, SpanID, ParentSpanID, Name string
	Attributes                          []struct {
		Key   string
		Value map[string]any
	}
}

// spans receives OTLP and keeps what it got.
type spans struct {
	*httptest.Server
	mu  sync.Mutex
	all []seenSpan
}

func newSpans(t *testing.T) *spans {
	c := &spans{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			ResourceSpans []struct {
				ScopeSpans []struct{ Spans []seenSpan }
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.URL.Path != "/v1/traces" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, resource := range body.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				c.all = append(c.all, scope.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// of returns the spans that carry an upload id, by name.
func (c *spans) of(id string) map[string]seenSpan {
	c.mu.Lock()
	defer c.mu.Unlock()
	byName := map[string]seenSpan{}
	for _, s := range c.all {
		for _, a := range s.Attributes {
			if a.Key == "upload.id" && a.Value["stringValue"] == id {
				byName[s.Name] = s
			}
		}
	}
	return byName
}

// One trace leads from the grant, which one process gave, to the delivery, which another made, although OSS in
// between carries no trace context; the application's receiver can join it.
func TestOneTraceLeadsFromGrantToDelivery(t *testing.T) {
	c := newSpans(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	var mu sync.Mutex
	received := map[string]string{}
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		received[r.Header.Get("Webhook-Id")] = r.Header.Get("Traceparent")
	}))
	t.Cleanup(hook.Close)
	dir := t.TempDir()
	text := tenantYAML + "  events: {url: \"" + hook.URL + "/hook\", secretRef: {name: album-events}}\n  verification: {sniff: true}\n"
	x := startTenant(t, text, dir)
	granted := x.grant("alice", content(1))
	instead := x.grant("alice", content(2))
	x.stop()
	first := x.OSSURL
	x = startTenant(t, text, dir)
	at := func(url string) string { return strings.Replace(url, first, x.OSSURL, 1) } // another port after the restart
	// OSS calls back by itself; a client whose callback was lost asks.
	status, answer := x.post(at(granted.URL), form{granted.Fields, content(1)})
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, answer)
	}
	x.faults(map[string]any{"seed": 1, "callbackDrop": 1.0})
	if status, answer := x.post(at(instead.URL), form{instead.Fields, content(2)}); status != http.StatusNonAuthoritativeInfo {
		t.Fatalf("status %d: %s", status, answer)
	}
	ask[api.Record](x, "alice", http.MethodPost, "/v1/uploads/complete", api.CompleteRequest{Ticket: instead.Ticket})
	await.True(t, "both are delivered", func() bool { mu.Lock(); defer mu.Unlock(); return len(received) == 2 })
	x.stop() // sends what is left
	for id, want := range map[string][]string{granted.ID: {"callback", "deliver", "grant", "record", "verify"}, instead.ID: {"complete", "deliver", "grant", "record", "verify"}} {
		got := c.of(id)
		var names []string
		for name := range got {
			names = append(names, name)
		}
		if slices.Sort(names); !slices.Equal(names, want) {
			t.Fatalf("spans %v, want %v", names, want)
		}
		root := got["grant"]
		for name, parent := range map[string]string{want[0]: root.SpanID, "record": root.SpanID, "deliver": got["record"].SpanID, "verify": got["record"].SpanID, "grant": ""} {
			if s := got[name]; s.TraceID != root.TraceID || s.ParentSpanID != parent || len(s.TraceID) != 32 || len(s.SpanID) != 16 {
				t.Errorf("span %s: %+v, want parent %q in trace %s", name, s, parent, root.TraceID)
			}
		}
		if want := "00-" + root.TraceID + "-" + got["deliver"].SpanID + "-01"; received[id] != want {
			t.Errorf("the receiver got traceparent %q, want %q", received[id], want)
		}
	}
	if c.of(granted.ID)["grant"].TraceID == c.of(instead.ID)["grant"].TraceID {
		t.Error("two uploads share a trace")
	}
}

func TestWithoutAReceiverNothingIsTraced(t *testing.T) {
	c := newSpans(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	h := newHooks(t)
	x := startTenant(t, h.tenantYAML(""), "")
	r := x.upload("alice", content(1))
	h.told(t, r.ID)
	x.stop()
	if got := c.of(r.ID); len(got) != 0 {
		t.Errorf("spans %v", got)
	}
}
