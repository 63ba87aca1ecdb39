package events

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/test/await"
)

func testSecret(fill string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(fill, 32)))
}

// The reference implementation of Standard Webhooks accepts our signature, with either secret of a rotation.
func TestSignaturesVerifyWithTheReferenceLibrary(t *testing.T) {
	secrets, err := ParseSecrets(testSecret("a") + "\n" + testSecret("b") + "\n")
	if err != nil {
		t.Fatal(err)
	}
	payload := []byte(`{"type":"upload.completed"}`)
	at := time.Now()
	header := http.Header{"Webhook-Id": {"id-1"}, "Webhook-Timestamp": {strconv.FormatInt(at.Unix(), 10)}, "Webhook-Signature": {secrets.Sign("id-1", at, payload)}}
	for fill, want := range map[string]bool{"a": true, "b": true, "c": false} {
		hook, err := webhooks.NewWebhook(testSecret(fill))
		if err != nil {
			t.Fatal(err)
		}
		if err := hook.Verify(payload, header); (err == nil) != want {
			t.Errorf("secret %s: %v", fill, err)
		}
	}
}

func TestParseSecretsNeverShowsThem(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "no prefix": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "short": "whsec_c2hvcnQ=", "not base64": "whsec_SECRET!SECRET!SECRET!SECRET!"} {
		_, err := ParseSecrets(text)
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error shows it: %v", name, err)
		}
	}
}

func TestBackoffGrowsWithJitterToAnHour(t *testing.T) {
	for attempt, want := range map[int]time.Duration{1: time.Second, 2: 1500 * time.Millisecond, 5: 5062500 * time.Microsecond, 22: time.Hour, 1000: time.Hour} {
		for range 50 {
			if got := Backoff(attempt); got < want/2 || got >= want {
				t.Errorf("attempt %d: %s, want between %s and %s", attempt, got, want/2, want)
			}
		}
	}
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func openStore(t *testing.T, clock func() time.Time) *index.Store {
	t.Helper()
	store, err := index.OpenSQLite(t.Context(), ":memory:", clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func TestAnEventIsRetriedAndThenBuried(t *testing.T) {
	c := &clock{now: time.Now()}
	store := openStore(t, c.Now)
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { calls++; w.WriteHeader(http.StatusFound) }))
	defer server.Close()
	secrets, _ := ParseSecrets(testSecret("a"))
	var results []string
	d := New(Options{Outbox: store, URL: server.URL + "/?secret=1", Secrets: secrets, Client: noRedirect(), Clock: c.Now, Observe: func(result string, _ time.Duration) { results = append(results, result) }})
	if _, err := store.Record(t.Context(), index.Upload{ID: "u1", Key: "k1"}, &index.Event{ID: "u1", UploadID: "u1", Type: "upload.completed", Payload: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name    string
		after   time.Duration
		handled int
		want    string
	}{
		{"at once", 0, 1, "retried"}, {"not before the pause", 0, 0, "retried"}, {"after it", time.Second, 1, "retried retried"},
		{"after a day it is over", giveUpAfter, 1, "retried retried dead"}, {"for good", giveUpAfter, 0, "retried retried dead"},
	}
	for _, step := range steps {
		c.Advance(step.after)
		due := d.claim(t.Context())
		for _, event := range due {
			d.handle(t.Context(), event)
		}
		if handled := len(due); handled != step.handled || strings.Join(results, " ") != step.want {
			t.Fatalf("%s: handled %d, results %v", step.name, handled, results)
		}
	}
	b, err := store.Backlog(t.Context())
	if err != nil || b.Pending != 0 || b.Dead != 1 || calls != 3 {
		t.Errorf("%+v %v after %d calls", b, err, calls)
	}
}

// A receiver that hangs on one event gets the others meanwhile, also those that come later.
func TestASlowDeliveryHoldsUpNoOther(t *testing.T) {
	store := openStore(t, time.Now)
	hang, began := make(chan struct{}), make(chan struct{})
	release, begin := sync.OnceFunc(func() { close(hang) }), sync.OnceFunc(func() { close(began) })
	var others atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Webhook-Id") == "slow" {
			begin()
			<-hang
			return
		}
		others.Add(1)
	}))
	defer server.Close()
	defer release()
	secrets, _ := ParseSecrets(testSecret("a"))
	d := New(Options{Outbox: store, URL: server.URL, Secrets: secrets, Client: noRedirect()})
	d.timeout = time.Hour // it hangs until the others have come
	record := func(id string) {
		t.Helper()
		// The workers use the database, too, and a busy machine lets a record wait for too long.
		await.True(t, id+" is recorded", func() bool {
			_, err := store.Record(t.Context(), index.Upload{ID: id, Key: "k" + id}, &index.Event{ID: id, UploadID: id, Payload: []byte(`{}`)})
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			return err == nil
		})
		d.Wake()
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	record("slow")
	<-began
	const count = 40
	for i := range count {
		record("u" + strconv.Itoa(i))
	}
	await.True(t, "the others come while one hangs", func() bool { return others.Load() >= count })
	if got := others.Load(); got != count {
		t.Errorf("%d of %d events came while one hung", got, count)
	}
	release()
	cancel()
	<-done
	if b, err := store.Backlog(context.Background()); err != nil || b.Pending != 0 {
		t.Errorf("%+v, %v: Run finishes what it has begun", b, err)
	}
}

func noRedirect() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// A drain neither loses an event nor leaves it hidden until its lease ends.
func TestWhatADrainDidNotBeginIsDueAtOnce(t *testing.T) {
	c := &clock{now: time.Now()}
	store := openStore(t, c.Now)
	secrets, _ := ParseSecrets(testSecret("a"))
	d := New(Options{Outbox: store, URL: "http://127.0.0.1:1", Secrets: secrets, Client: noRedirect(), Clock: c.Now})
	if _, err := store.Record(t.Context(), index.Upload{ID: "u1", Key: "k1"}, &index.Event{ID: "u1", UploadID: "u1", Payload: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	due, err := store.Claim(t.Context(), 1, lease)
	if err != nil || len(due) != 1 {
		t.Fatal(due, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	d.handle(ended, due[0])
	if due, err = store.Claim(t.Context(), 1, lease); err != nil || len(due) != 1 {
		t.Errorf("%v %v", due, err)
	}
}

func TestSendNeverShowsTheURL(t *testing.T) {
	secrets, _ := ParseSecrets(testSecret("a"))
	d := New(Options{URL: "http://127.0.0.1:1/?secret=1", Secrets: secrets, Client: noRedirect()})
	err := d.send(t.Context(), index.Delivery{Event: index.Event{ID: "x"}}, "")
	if err == nil || strings.Contains(err.Error(), "secret=1") {
		t.Errorf("got %v", err)
	}
	if errors.Is(err, context.Canceled) {
		t.Error("the call was not made")
	}
}
