package trace

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/uploadtenant/uploadtenant/signer/ticket"
)

// The trace id is the upload id in other digits: it sorts by time and no two uploads share one.
func TestTheTraceIsTheUpload(t *testing.T) {
	if id, ok := Of("0000000001000000000000000z"); !ok || id.String() != "00000000000100000000000000000000"[:30]+"1f" {
		t.Errorf("got %s, %t", id, ok)
	}
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(rapid.Int64Range(0, 1<<47).Draw(t, "ms"))
		id, ok := Of(ticket.NewID(at))
		if !ok || len(id.String()) != 32 {
			t.Fatalf("%s, %t", id, ok)
		}
		if ms := int64(id[0])<<40 | int64(id[1])<<32 | int64(id[2])<<24 | int64(id[3])<<16 | int64(id[4])<<8 | int64(id[5]); ms != at.UnixMilli() {
			t.Errorf("the trace %s does not begin with the millisecond %d", id, at.UnixMilli())
		}
	})
	for _, bad := range []string{"", "x", "80000000000000000000000000", strings.Repeat("u", 26), strings.Repeat("0", 27)} {
		if _, ok := Of(bad); ok {
			t.Errorf("%q has a trace", bad)
		}
	}
}

func environment(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestTheEnvironmentDecides(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tests := map[string]struct {
		env     map[string]string
		want    string // URL, "" for off
		wantErr string
	}{
		"nothing":        {nil, "", ""},
		"an endpoint":    {map[string]string{endpoint: "http://c:4318/"}, "http://c:4318/v1/traces", ""},
		"one for traces": {map[string]string{endpoint: "http://c:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://t/x"}, "https://t/x", ""},
		"disabled":       {map[string]string{endpoint: "http://c:4318", "OTEL_SDK_DISABLED": "true"}, "", ""},
		"no exporter":    {map[string]string{endpoint: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, "", ""},
		"other exporter": {map[string]string{endpoint: "http://c:4318", "OTEL_TRACES_EXPORTER": "zipkin"}, "", "OTEL_TRACES_EXPORTER"},
		"not a URL":      {map[string]string{endpoint: "c:4318"}, "", endpoint},
		"grpc":           {map[string]string{endpoint: "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "", "grpc"},
		"protobuf":       {map[string]string{endpoint: "http://c:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "http://c:4318/v1/traces", ""},
		"bad headers":    {map[string]string{endpoint: "http://c:4318", "OTEL_EXPORTER_OTLP_HEADERS": "secret"}, "", "OTEL_EXPORTER_OTLP_HEADERS"},
		"bad timeout":    {map[string]string{endpoint: "http://c:4318", "OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, "", "OTEL_EXPORTER_OTLP_TIMEOUT"},
		"bad sampler":    {map[string]string{endpoint: "http://c:4318", "OTEL_TRACES_SAMPLER": "jaeger_remote"}, "", "OTEL_TRACES_SAMPLER"},
		"bad ratio":      {map[string]string{endpoint: "http://c:4318", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, "", "OTEL_TRACES_SAMPLER_ARG"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tracer, err := FromEnv(Options{Getenv: environment(tc.env), Client: http.DefaultClient, Logger: slog.New(slog.DiscardHandler)})
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || tracer.On() != (tc.want != "") || tracer.On() && tracer.url != tc.want {
				t.Errorf("got %+v, %v", tracer, err)
			}
		})
	}
}

// Every process must leave out the same traces.
func TestSamplingIsTheSameEverywhere(t *testing.T) {
	for arg, want := range map[string][2]int{"0": {0, 0}, "0.25": {150, 350}, "1": {1000, 1000}, "": {1000, 1000}} {
		get := environment(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": arg})
		a, errA := FromEnv(Options{Getenv: get})
		b, errB := FromEnv(Options{Getenv: get})
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		sampled := 0
		for range 1000 {
			id, _ := Of(ticket.NewID(time.UnixMilli(1_800_000_000_000)))
			if a.Sampled(id) != b.Sampled(id) {
				t.Fatal("two processes disagree")
			}
			if a.Sampled(id) {
				sampled++
			}
		}
		if sampled < want[0] || sampled > want[1] {
			t.Errorf("ratio %q: %d of 1000", arg, sampled)
		}
	}
}

// A tracer that is off may be used like one that is on.
func TestOffCostsNothing(t *testing.T) {
	var off *Tracer
	id := ticket.NewID(time.UnixMilli(1))
	if n := testing.AllocsPerRun(100, func() {
		span := off.Begin(id, Grant, "", Server, time.Time{})
		span.Fail("x")
		off.End(span, time.Time{})
		if span.Traceparent() != "" || off.On() || off.Dropped() != 0 {
			t.Error("it is on")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	off.Run(t.Context())
}

// collector is a receiver of spans whose first answers are given.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	statuses []int
	bodies   []string
	headers  []http.Header
}

func newCollector(t *testing.T, statuses ...int) *collector {
	c := &collector{statuses: statuses}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bodies, c.headers = append(c.bodies, string(body)), append(c.headers, r.Header)
		if len(c.statuses) > 0 {
			w.WriteHeader(c.statuses[0])
			c.statuses = c.statuses[1:]
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) tracer(t *testing.T) *Tracer {
	t.Helper()
	tracer, err := FromEnv(Options{Client: c.Client(), Logger: slog.New(slog.DiscardHandler), Attributes: map[string]string{"uploadtenant.tenant": "family/album"},
		Getenv: environment(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b", "OTEL_RESOURCE_ATTRIBUTES": "k8s.namespace.name=family", "OTEL_SERVICE_NAME": "album-signer"})})
	if err != nil {
		t.Fatal(err)
	}
	return tracer
}

func TestSpansAreOTLP(t *testing.T) {
	c := newCollector(t)
	tracer := c.tracer(t)
	const upload = "01m80q3hrz5t8n2v7x4k9c6d1e"
	id, _ := Of(upload)
	start := time.Unix(1_800_000_000, 5)
	span := tracer.Begin(upload, Record, Grant, Internal, start)
	span.Set(Attribute{"n", 1}, Attribute{"big", int64(1) << 60}, Attribute{"yes", true})
	span.Fail("because")
	tracer.End(span, start.Add(time.Millisecond))
	if tracer.Begin("no upload", Grant, "", Server, start) != nil {
		t.Error("what is no upload has a span")
	}
	tracer.deliver(t.Context(), []*Span{<-tracer.queue}, 1)
	var got any
	if err := json.Unmarshal([]byte(c.bodies[0]), &got); err != nil {
		t.Fatal(err)
	}
	text := func(key, value string) any {
		return map[string]any{"key": key, "value": map[string]any{"stringValue": value}}
	}
	spanID := func(name string) string { s := id.Known(name); return (&Span{ID: s}).Traceparent()[36:52] }
	want := map[string]any{"resourceSpans": []any{map[string]any{
		"resource": map[string]any{"attributes": []any{text("k8s.namespace.name", "family"), text("service.name", "album-signer"), text("uploadtenant.tenant", "family/album")}},
		"scopeSpans": []any{map[string]any{"scope": map[string]any{"name": "github.com/uploadtenant/uploadtenant/signer"}, "spans": []any{map[string]any{
			"traceId": id.String(), "spanId": spanID(Record), "parentSpanId": spanID(Grant), "name": "record", "kind": 1.0,
			"startTimeUnixNano": "1800000000000000005", "endTimeUnixNano": "1800000000001000005",
			"attributes": []any{text("upload.id", upload), map[string]any{"key": "n", "value": map[string]any{"intValue": "1"}},
				map[string]any{"key": "big", "value": map[string]any{"intValue": "1152921504606846976"}}, map[string]any{"key": "yes", "value": map[string]any{"boolValue": true}}},
			"status": map[string]any{"code": 2.0, "message": "because"},
		}}}},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if h := c.headers[0]; h.Get("Api-Key") != "a b" || h.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", h)
	}
}

func TestABusyReceiverIsAskedAgainAndABrokenOneIsNot(t *testing.T) {
	for name, tc := range map[string]struct {
		statuses              []int
		wantSent, wantDropped int
	}{
		"busy once":  {[]int{503}, 2, 0},
		"unhappy":    {[]int{400}, 1, 1},
		"no content": {[]int{204}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCollector(t, slices.Clone(tc.statuses)...)
			tracer := c.tracer(t)
			tracer.deliver(t.Context(), []*Span{{}}, attempts)
			if len(c.bodies) != tc.wantSent || tracer.Dropped() != int64(tc.wantDropped) {
				t.Errorf("%d requests, %d dropped", len(c.bodies), tracer.Dropped())
			}
		})
	}
	c := newCollector(t)
	tracer := c.tracer(t)
	for range queueSize + 3 {
		tracer.End(&Span{}, time.Time{})
	}
	if tracer.Dropped() != 3 {
		t.Errorf("%d dropped by a full queue, want 3", tracer.Dropped())
	}
}

func FuzzFromEnv(f *testing.F) {
	f.Add("http://c:4318", "a=b,c=%20d", "traceidratio", "0.5")
	f.Fuzz(func(t *testing.T, endpoint, headers, sampler, argument string) {
		tracer, err := FromEnv(Options{Getenv: environment(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_HEADERS": headers,
			"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument})})
		if err == nil && tracer.On() && tracer.threshold > 1<<63-1 {
			t.Errorf("threshold %d", tracer.threshold)
		}
	})
}
