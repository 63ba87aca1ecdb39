// Package requestlog remembers what the emulator was asked and how it answered, so that tests can look and people
// can see. It keeps the newest entries and counts everything.
package requestlog

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Entry is one call, or one callback that the emulator made.
type Entry struct {
	// ID grows by one with every entry.
	ID   uint64    `json:"id"`
	Time time.Time `json:"time"`
	// Service is oss, api or callback.
	Service string `json:"service"`
	// Operation is the name in the API, for example PutObject or AssumeRole; Callback for callbacks.
	Operation string `json:"operation"`
	// Caller is the ARN of the caller, or anonymous.
	Caller string `json:"caller"`
	Method string `json:"method,omitempty"`
	// Path never holds the query: signatures and tokens are in there.
	Path   string `json:"path,omitempty"`
	Bucket string `json:"bucket,omitempty"`
	Key    string `json:"key,omitempty"`
	// Resource is the role, policy, user or provider that an API call is about.
	Resource   string  `json:"resource,omitempty"`
	Status     int     `json:"status"`
	Code       string  `json:"code,omitempty"`
	EC         string  `json:"ec,omitempty"`
	RequestID  string  `json:"requestId"`
	DurationMs float64 `json:"durationMs"`
	BytesIn    int64   `json:"bytesIn,omitempty"`
	BytesOut   int64   `json:"bytesOut,omitempty"`
	// Fault names what was injected, empty for nothing.
	Fault string `json:"fault,omitempty"`
	// URL and Problem tell of a callback where it went and why it failed.
	URL     string `json:"url,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// Counter is how often an operation was called and how it ended.
type Counter struct {
	Total   uint64 `json:"total"`
	Success uint64 `json:"success"`
	// ByCode counts refusals by their Code.
	ByCode map[string]uint64 `json:"byCode,omitempty"`
}

// Capacity is how many entries a Log keeps.
const Capacity = 10_000

// Log is a ring of entries. It is safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	ring []Entry
	// head is where the next entry goes once the ring is full; before that it is len(ring).
	head     int
	lastID   uint64
	counters map[string]*Counter
}

// New returns an empty Log.
func New() *Log { return &Log{counters: map[string]*Counter{}} }

// Add appends an entry and gives it its ID.
func (l *Log) Add(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastID++
	e.ID = l.lastID
	if len(l.ring) < Capacity {
		l.ring = append(l.ring, e)
	} else {
		l.ring[l.head%Capacity] = e
	}
	l.head = l.head%Capacity + 1
	c := l.counters[e.Operation]
	if c == nil {
		c = &Counter{}
		l.counters[e.Operation] = c
	}
	c.Total++
	if e.Code == "" && e.Status < 400 {
		c.Success++
		return
	}
	if c.ByCode == nil {
		c.ByCode = map[string]uint64{}
	}
	code := e.Code
	if code == "" {
		code = strconv.Itoa(e.Status)
	}
	c.ByCode[code]++
}

// Filter selects entries. The zero value selects the newest thousand.
type Filter struct {
	Operation, Service, Bucket, Key, Code string
	// Caller selects entries whose caller contains it.
	Caller string
	// Since selects entries at or after a time, After those with a greater ID.
	Since time.Time
	After uint64
	// Limit is how many are returned at most, the newest of all that match. Default 1000.
	Limit int
}

// DefaultLimit is the Limit of a Filter that names none.
const DefaultLimit = 1000

func (f *Filter) matches(e *Entry) bool {
	return (f.Operation == "" || f.Operation == e.Operation) && (f.Service == "" || f.Service == e.Service) &&
		(f.Bucket == "" || f.Bucket == e.Bucket) && (f.Key == "" || f.Key == e.Key) && (f.Code == "" || f.Code == e.Code) &&
		strings.Contains(e.Caller, f.Caller) && !e.Time.Before(f.Since) && e.ID > f.After
}

// Select returns the entries that a filter selects, oldest first.
func (l *Log) Select(f Filter) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := f.Limit
	if limit <= 0 {
		limit = DefaultLimit
	}
	out := make([]Entry, 0, min(limit, len(l.ring)))
	for i := 0; i < len(l.ring) && len(out) < limit; i++ {
		e := &l.ring[(l.head-1-i+len(l.ring))%len(l.ring)]
		if f.matches(e) {
			out = append(out, *e)
		}
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// Counters returns a copy of the counters by operation.
func (l *Log) Counters() map[string]Counter {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]Counter, len(l.counters))
	for name, c := range l.counters {
		copied := *c
		copied.ByCode = nil
		for code, n := range c.ByCode {
			if copied.ByCode == nil {
				copied.ByCode = map[string]uint64{}
			}
			copied.ByCode[code] = n
		}
		out[name] = copied
	}
	return out
}

// Clear forgets entries and counters; IDs go on.
func (l *Log) Clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring, l.head = nil, 0
	l.counters = map[string]*Counter{}
}

func parseFilter(q url.Values) (Filter, error) {
	f := Filter{}
	for name := range q {
		v := q.Get(name)
		var err error
		switch name {
		case "operation":
			f.Operation = v
		case "service":
			f.Service = v
		case "bucket":
			f.Bucket = v
		case "key":
			f.Key = v
		case "code":
			f.Code = v
		case "caller":
			f.Caller = v
		case "since":
			f.Since, err = time.Parse(time.RFC3339Nano, v)
		case "after":
			f.After, err = strconv.ParseUint(v, 10, 64)
		case "limit":
			f.Limit, err = strconv.Atoi(v)
			if err == nil && (f.Limit < 1 || f.Limit > Capacity) {
				err = fmt.Errorf("must lie between 1 and %d", Capacity)
			}
		default:
			return f, fmt.Errorf("there is no filter %q: use operation, service, bucket, key, code, caller, since, after, limit", name)
		}
		if err != nil {
			return f, fmt.Errorf("the filter %s is not valid: %w", name, err)
		}
	}
	return f, nil
}

// RequestsHandler serves the entries as {"items":[…]}, oldest first; the filters are query parameters. DELETE forgets.
func (l *Log) RequestsHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			f, err := parseFilter(r.URL.Query())
			if err != nil {
				answer(w, http.StatusBadRequest, map[string]string{"code": "InvalidFilter", "message": err.Error()})
				return
			}
			answer(w, http.StatusOK, map[string]any{"items": l.Select(f)})
		case http.MethodDelete:
			l.Clear()
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Allow", "GET, DELETE")
			answer(w, http.StatusMethodNotAllowed, map[string]string{"code": "MethodNotAllowed", "message": "Use GET or DELETE."})
		}
	})
}

// CountersHandler serves the counters as {"operations":{…}}.
func (l *Log) CountersHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"operations": l.Counters()})
	})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
