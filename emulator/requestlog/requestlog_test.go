package requestlog

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFilters(t *testing.T) {
	l := New()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, e := range []Entry{
		{Operation: "PutObject", Service: "oss", Caller: "acs:ram::1:user/admin", Bucket: "b", Key: "k", Status: 200},
		{Operation: "PutObject", Service: "oss", Caller: "anonymous", Bucket: "b", Status: 403, Code: "AccessDenied", EC: "0003-00000001"},
		{Operation: "AssumeRole", Service: "api", Caller: "acs:ram::1:user/admin", Status: 200},
		{Operation: "Callback", Service: "callback", Caller: "oss", Bucket: "b", Key: "k", Status: 203, Code: "CallbackFailed"},
	} {
		e.Time = begin.Add(time.Duration(i) * time.Second)
		l.Add(e)
	}
	tests := map[string]struct {
		query string
		want  []uint64
	}{
		"all":       {"", []uint64{1, 2, 3, 4}},
		"operation": {"operation=PutObject", []uint64{1, 2}},
		"caller":    {"caller=user/admin", []uint64{1, 3}},
		"service":   {"service=callback", []uint64{4}},
		"bucket":    {"bucket=b&key=k", []uint64{1, 4}},
		"code":      {"code=AccessDenied", []uint64{2}},
		"since":     {"since=" + url.QueryEscape(begin.Add(2*time.Second).Format(time.RFC3339)), []uint64{3, 4}},
		"after":     {"after=3", []uint64{4}},
		"limit":     {"limit=2", []uint64{3, 4}},
		"nothing":   {"operation=GetObject", []uint64{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			l.RequestsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/_emulator/requests?"+tt.query, nil))
			var got struct{ Items []Entry }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			ids := []uint64{}
			for _, e := range got.Items {
				ids = append(ids, e.ID)
			}
			if diff := cmp.Diff(tt.want, ids); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
		})
	}
	for _, query := range []string{"limit=0", "limit=x", "since=yesterday", "operatoin=PutObject"} {
		w := httptest.NewRecorder()
		l.RequestsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/_emulator/requests?"+query, nil))
		if w.Code != 400 {
			t.Errorf("%s answered %d", query, w.Code)
		}
	}
	want := map[string]Counter{
		"PutObject":  {Total: 2, Success: 1, ByCode: map[string]uint64{"AccessDenied": 1}},
		"AssumeRole": {Total: 1, Success: 1},
		"Callback":   {Total: 1, ByCode: map[string]uint64{"CallbackFailed": 1}},
	}
	if diff := cmp.Diff(want, l.Counters()); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

func TestLogKeepsTheNewest(t *testing.T) {
	l := New()
	for range Capacity + 5 {
		l.Add(Entry{Operation: "PutObject", Status: 200})
	}
	got := l.Select(Filter{Limit: Capacity})
	if len(got) != Capacity || got[0].ID != 6 || got[Capacity-1].ID != Capacity+5 {
		t.Errorf("%d entries from %d to %d", len(got), got[0].ID, got[len(got)-1].ID)
	}
	if n := l.Counters()["PutObject"].Total; n != Capacity+5 {
		t.Errorf("counted %d", n)
	}
	l.Clear()
	l.Add(Entry{Operation: "GetObject", Status: 200})
	if got := l.Select(Filter{}); len(got) != 1 || got[0].ID != Capacity+6 {
		t.Errorf("after Clear: %+v", got)
	}
}
