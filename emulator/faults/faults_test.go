package faults

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseIsStrict(t *testing.T) {
	tests := map[string]struct {
		body string
		ok   bool
	}{
		"contract":         {`{"seed":1,"latencyMs":0,"callbackDrop":0.2,"callbackDuplicate":0.05,"callbackDelayMs":0,"errorRate":0,"errorCode":"ServiceUnavailable","operations":[]}`, true},
		"empty object":     {`{}`, true},
		"everything":       {`{"latencyByOperation":{"PutObject":5},"requestDrop":1,"responseDrop":0.5,"ramPropagationMs":1,"listDelayMs":1,"clockOffsetMs":-1,"expireTokens":true,"errorCode":"Odd","errorStatus":418}`, true},
		"nothing":          {``, false},
		"unknown field":    {`{"latency":1}`, false},
		"text behind":      {`{} {}`, false},
		"rate over one":    {`{"errorRate":1.1}`, false},
		"negative rate":    {`{"callbackDrop":-0.1}`, false},
		"negative latency": {`{"latencyMs":-1}`, false},
		"rate as text":     {`{"errorRate":"0.5"}`, false},
		"unknown code":     {`{"errorRate":1,"errorCode":"Odd"}`, false},
		"odd status":       {`{"errorCode":"Odd","errorStatus":200}`, false},
		"bad pattern":      {`{"operations":["[a"]}`, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse(strings.NewReader(tt.body)); (err == nil) != tt.ok {
				t.Errorf("error %v, want ok %t", err, tt.ok)
			}
		})
	}
}

func sequence(i *Injector, operation string, n int) []bool {
	var out []bool
	for range n {
		out = append(out, i.Plan(operation).Code != "")
	}
	return out
}

func TestSameSeedSameFaults(t *testing.T) {
	fresh := func(seed int64) *Injector {
		i := New()
		if err := i.Set(Config{Seed: seed, ErrorRate: 0.5}); err != nil {
			t.Fatal(err)
		}
		return i
	}
	want := sequence(fresh(1), "PutObject", 200)
	i := fresh(1)
	var got []bool
	for range 200 { // other operations in between change nothing
		i.Plan("GetObject")
		got = append(got, i.Plan("PutObject").Code != "")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the same seed, other traffic in between (-want +got):\n%s", diff)
	}
	if cmp.Equal(want, sequence(fresh(2), "PutObject", 200)) {
		t.Error("another seed, the same faults")
	}
	hits := 0
	for _, hit := range want {
		if hit {
			hits++
		}
	}
	if hits < 70 || hits > 130 {
		t.Errorf("%d of 200 hit, want about 100", hits)
	}
}

func TestFaultsHitTheNamedOperationsOnly(t *testing.T) {
	i := New()
	if err := i.Set(Config{ErrorRate: 1, ErrorCode: "Throttling", LatencyMs: 10, Operations: []string{"Assume*", "PutObject"},
		LatencyByOperation: map[string]int{"GetObject": 5, "PutObject": 7}}); err != nil {
		t.Fatal(err)
	}
	for operation, want := range map[string]Plan{
		"AssumeRole":         {Delay: 10 * time.Millisecond, Status: 400, Code: "Throttling"},
		"AssumeRoleWithOIDC": {Delay: 10 * time.Millisecond, Status: 400, Code: "Throttling"},
		"PutObject":          {Delay: 17 * time.Millisecond, Status: 400, Code: "Throttling"},
		"GetObject":          {Delay: 5 * time.Millisecond},
		"DeleteObject":       {},
	} {
		if diff := cmp.Diff(want, i.Plan(operation)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", operation, diff)
		}
	}
	i.Clear()
	if diff := cmp.Diff(Plan{}, i.Plan("PutObject")); diff != "" {
		t.Errorf("after Clear (-want +got):\n%s", diff)
	}
}

func TestHandler(t *testing.T) {
	i := New()
	var seen []Config
	i.OnChange(func(c Config) { seen = append(seen, c) })
	do := func(method, body string) (int, string) {
		w := httptest.NewRecorder()
		i.Handler().ServeHTTP(w, httptest.NewRequest(method, "/_emulator/faults", strings.NewReader(body)))
		return w.Code, w.Body.String()
	}
	if status, _ := do("PUT", `{"callbackDrop":1,"clockOffsetMs":60000}`); status != 200 {
		t.Fatalf("PUT answered %d", status)
	}
	if !i.PlanCallback().Drop {
		t.Error("callbackDrop 1 drops nothing")
	}
	if status, body := do("PUT", `{"callbackdroop":1}`); status != 400 || !strings.Contains(body, "callbackdroop") {
		t.Errorf("PUT of an unknown field answered %d %s", status, body)
	}
	if _, body := do("GET", ""); !strings.Contains(body, `"callbackDrop":1`) {
		t.Errorf("GET answered %s", body)
	}
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := i.Clock(func() time.Time { return base })
	if got := now(); got.Sub(base) != time.Minute {
		t.Errorf("the clock says %s", got)
	}
	if status, _ := do("DELETE", ""); status != 200 || i.PlanCallback().Drop || !now().Equal(base) {
		t.Error("DELETE left faults behind")
	}
	if status, _ := do("POST", `{"errorRate":1}`); status != 405 || i.Plan("PutObject").Code != "" {
		t.Errorf("POST, which any web page may send, answered %d", status)
	}
	if len(seen) != 2 {
		t.Errorf("%d changes were told, want 2", len(seen))
	}
}

func TestDroppedConnections(t *testing.T) {
	const size = 1 << 20
	tests := map[string]struct {
		plan     Plan
		upload   string
		wantRead int64 // what the handler gets of the upload
		wantErr  bool  // for the handler
	}{
		"nothing dropped":       {Plan{}, strings.Repeat("u", size), size, false},
		"request with a body":   {Plan{DropRequest: true}, strings.Repeat("u", size), size / 2, true},
		"request without one":   {Plan{DropRequest: true}, "", 0, false},
		"answer after the work": {Plan{DropResponse: true}, strings.Repeat("u", size), size, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			read, failed := make(chan int64, 1), make(chan error, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w, r = tt.plan.Drop(w, r)
				n, err := io.Copy(io.Discard, r.Body)
				read <- n
				failed <- err
				w.Header().Set("Content-Length", "1048576")
				_, _ = io.WriteString(w, strings.Repeat("d", size))
			}))
			t.Cleanup(server.Close)
			resp, err := http.Post(server.URL, "text/plain", strings.NewReader(tt.upload))
			got := int64(-1)
			if err == nil {
				got, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			if n := <-read; n != tt.wantRead {
				t.Errorf("the handler read %d, want %d", n, tt.wantRead)
			}
			if e := <-failed; errors.Is(e, io.ErrUnexpectedEOF) != tt.wantErr {
				t.Errorf("the handler's error is %v", e)
			}
			switch {
			case tt.plan.DropRequest && err == nil:
				t.Error("the caller got an answer")
			case tt.plan.DropResponse && (err == nil || got != size/2):
				t.Errorf("the caller got %d bytes and error %v, want half and an error", got, err)
			case tt.plan == Plan{} && (err != nil || got != size):
				t.Errorf("the caller got %d bytes and error %v", got, err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"seed":1,"errorRate":0.5,"operations":["Put*"]}`)
	f.Fuzz(func(t *testing.T, body string) {
		c, err := Parse(strings.NewReader(body))
		if err != nil {
			return
		}
		i := New()
		if err := i.Set(c); err != nil {
			t.Fatalf("parsed but not accepted: %v", err)
		}
		i.Plan("PutObject")
		i.PlanCallback()
	})
}
