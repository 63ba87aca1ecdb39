package tracing_test

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/uploadtenant/uploadtenant/controllers/tracing"
)

// TestSpansReachTheCollectorOfTheEnvironment reads what arrives as a collector does.
func TestSpansReachTheCollectorOfTheEnvironment(t *testing.T) {
	got := make(chan *collector.ExportTraceServiceRequest, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("X-Team") != "photo booth" {
			t.Errorf("%s %s, headers %v, err %v", r.Method, r.URL, r.Header, err)
		}
		request := &collector.ExportTraceServiceRequest{}
		if err := proto.Unmarshal(body, request); err != nil {
			t.Error(err)
		}
		got <- request
	}))
	t.Cleanup(server.Close)
	environment(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL + "/", "OTEL_EXPORTER_OTLP_HEADERS": "X-Team=photo%20booth", "OTEL_SERVICE_NAME": "mine",
	})
	provider, stop, err := tracing.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tracer := provider.Tracer("test")
	ctx, parent := tracer.Start(t.Context(), "reconcile")
	_, child := tracer.Start(ctx, "ram:GetRole", trace.WithAttributes(attribute.String("cloud.service", "ram")))
	child.End()
	parent.End()
	if err := stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	group := (<-got).GetResourceSpans()[0]
	if described := group.GetResource().String(); !strings.Contains(described, `"mine"`) {
		t.Errorf("resource = %s", described)
	}
	type span struct{ Name, ID, Parent string }
	var spans []span
	for _, s := range group.GetScopeSpans()[0].GetSpans() {
		spans = append(spans, span{s.GetName(), hex.EncodeToString(s.GetSpanId()), hex.EncodeToString(s.GetParentSpanId())})
	}
	id := parent.SpanContext().SpanID().String()
	want := []span{{"ram:GetRole", child.SpanContext().SpanID().String(), id}, {"reconcile", id, ""}}
	if diff := cmp.Diff(want, spans); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

// environment sets the OTEL_* variables of one test; those of the machine do not count.
func environment(t *testing.T, env map[string]string) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
}

func TestTheEnvironmentDecides(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tests := map[string]struct {
		env     map[string]string
		wantOn  bool
		wantErr string
	}{
		"nothing":          {},
		"an endpoint":      {env: map[string]string{endpoint: "http://127.0.0.1:4318"}, wantOn: true},
		"one for traces":   {env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, wantOn: true},
		"disabled":         {env: map[string]string{endpoint: "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}},
		"no traces":        {env: map[string]string{endpoint: "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}},
		"another protocol": {env: map[string]string{endpoint: "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, wantErr: "HTTP only"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			environment(t, tc.env)
			provider, stop, err := tracing.Start(t.Context())
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("err = %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			_, span := provider.Tracer("test").Start(t.Context(), "x")
			if span.IsRecording() != tc.wantOn {
				t.Errorf("recording: %t, want %t", span.IsRecording(), tc.wantOn)
			}
			// A span that has not ended is not sent, so no collector is needed here.
			if err := stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNoTracingCostsNothing(t *testing.T) {
	environment(t, nil)
	provider, _, err := tracing.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tracer := provider.Tracer("test")
	ctx := t.Context()
	if allocations := testing.AllocsPerRun(100, func() {
		_, span := tracer.Start(ctx, "x")
		span.End()
	}); allocations > 1 {
		t.Errorf("%v allocations per span that nobody wants", allocations)
	}
}
