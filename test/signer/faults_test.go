package signer

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator/faults"
	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/test/await"
	"github.com/uploadtenant/uploadtenant/test/port"
	"github.com/uploadtenant/uploadtenant/test/program"
)

var (
	faultUploads = flag.Int("fault.uploads", 300, "uploads of the fault test; 10000 for the full one")
	faultKill    = flag.Duration("fault.kill", 700*time.Millisecond, "pause between two kills of the fault test")
)

// world is a tenant in a process of its own, which is killed and started again.
type world struct {
	t                     *testing.T
	binary, file, dir     string
	addr, oss, ops        string
	cmd                   *exec.Cmd
	log                   *os.File // of all its lives
	signerURL, ossURL     string
	receiver              *httptest.Server
	mu                    sync.Mutex
	delivered, refused    map[string]int // by event
	attempts, kills, lost atomic.Int64
	// callbacks by fault, summed over the lives of the process.
	callbacks map[string]int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), addr: port.Free(t), oss: port.Free(t), ops: port.Free(t), delivered: map[string]int{}, refused: map[string]int{}, callbacks: map[string]int{}}
	w.signerURL, w.ossURL = "http://"+w.addr, "http://"+w.oss
	// The application's receiver fails half the time, but no event more than six times: one in a thousand would
	// fail ten times in a row, and wait for minutes then.
	w.receiver = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.attempts.Add(1)
		id := r.Header.Get("Webhook-Id")
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.refused[id] < 6 && rand.IntN(2) == 0 {
			w.refused[id]++
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.delivered[id]++
	}))
	t.Cleanup(w.receiver.Close)
	w.binary = filepath.Join(w.dir, "kubectl-uploads")
	if err := program.Build(w.binary, "github.com/uploadtenant/uploadtenant/cmd/kubectl-uploads"); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.log, err = os.Create(filepath.Join(w.dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.showLog)
	w.file = filepath.Join(w.dir, "tenant.yaml")
	text := tenantYAML + "  events: {url: \"" + w.receiver.URL + "/hook\", secretRef: {name: album-events}}\n"
	if err := os.WriteFile(w.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	t.Cleanup(func() { w.kill() })
	return w
}

// faultsOf gives each life of the process its own luck. Every one has lost and repeated callbacks among its
// first ten, because a life on a busy machine has few more.
func faultsOf(life int64) faults.Config {
	c := faults.Config{CallbackDrop: 0.2, CallbackDuplicate: 0.05, ErrorCode: faults.DefaultErrorCode}
	for c.Seed = 1000 * life; ; c.Seed++ {
		luck := faults.New()
		if luck.Set(c) != nil {
			return c // the emulator will say what is wrong with it
		}
		lost, repeated := 0, 0
		for range 10 {
			switch plan := luck.PlanCallback(); {
			case plan.Drop:
				lost++
			case plan.Duplicate:
				repeated++
			}
		}
		if lost == 2 && repeated > 0 {
			return c
		}
	}
}

// showLog shows the end of the log of a test that failed, and all of one with a race.
func (w *world) showLog() {
	w.log.Close()
	log, err := os.ReadFile(w.log.Name())
	if err != nil {
		w.t.Error(err)
	}
	switch {
	case bytes.Contains(log, []byte("DATA RACE")):
		w.t.Errorf("%s", log)
	case w.t.Failed():
		w.t.Logf("the log ends with:\n%s", log[max(0, len(log)-16<<10):])
	}
}

// start runs the process, waits until it answers, and sets the faults, which it forgets.
func (w *world) start() {
	w.t.Helper()
	w.cmd = exec.Command(w.binary, "dev", "-f", w.file, "--addr", w.addr, "--oss-addr", w.oss, "--ops-addr", w.ops, "--data", filepath.Join(w.dir, "data"))
	w.cmd.Stdout, w.cmd.Stderr = w.log, w.log
	if err := w.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	await.True(w.t, "the process answers", func() bool {
		for _, u := range []string{w.signerURL + "/openapi.json", w.ossURL + "/_emulator/health"} {
			resp, err := http.Get(u)
			if err != nil {
				return false
			}
			resp.Body.Close()
		}
		return true
	})
	disturbed, err := json.Marshal(faultsOf(w.kills.Load()))
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPut, w.ossURL+"/_emulator/faults", bytes.NewReader(disturbed))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body.Close()
}

// count adds up what the emulator did to the callbacks of this life.
func (w *world) count() {
	client := http.Client{Timeout: await.Patience}
	resp, err := client.Get(w.ossURL + "/_emulator/requests?service=callback&limit=10000")
	if err != nil {
		w.t.Error(err)
		return
	}
	defer resp.Body.Close()
	var log struct{ Items []struct{ Fault string } }
	if err := json.NewDecoder(resp.Body).Decode(&log); err != nil {
		w.t.Error(err)
		return
	}
	for _, callback := range log.Items {
		w.callbacks[callback.Fault]++
	}
	w.callbacks["all"] += len(log.Items)
}

func (w *world) kill() {
	w.count()
	w.cmd.Process.Kill()
	w.cmd.Wait()
}

// call sends JSON as user; ok is false when nobody answers.
func (w *world) call(method, path, user string, body, into any) (status int, ok bool) {
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, false
	}
	req, err := http.NewRequest(method, w.signerURL+path, bytes.NewReader(raw))
	if err != nil {
		return 0, false
	}
	req.Header.Set("Authorization", "Bearer dev:"+user)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, false
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, false
	}
	return resp.StatusCode, into == nil || json.Unmarshal(answer, into) == nil
}

// upload tries until one grant of file i is used up: stored, or told that it is stored already.
func (w *world) upload(i int, done <-chan struct{}) {
	user := fmt.Sprintf("user-%d", i%7)
	file := content(i)
	for {
		select {
		case <-done:
			return
		default:
		}
		var answer api.UploadsResponse
		status, ok := w.call(http.MethodPost, "/v1/uploads", user, api.UploadsRequest{Files: []api.FileRequest{{Name: "a.txt", Size: int64(len(file)), ContentType: "text/plain"}}}, &answer)
		if !ok || status != http.StatusOK || len(answer.Uploads) != 1 || answer.Uploads[0].Status != "upload" {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		v := answer.Uploads[0]
		req, err := postRequest(v.URL, form{v.Fields, file})
		if err != nil {
			continue
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			// Nobody knows whether it was stored; the next round uploads the file under another key, and
			// both must be recorded if both are there.
			time.Sleep(20 * time.Millisecond)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusNonAuthoritativeInfo {
			w.lost.Add(1)
			if i%2 == 0 { // half of the clients ask, the others leave it to the sweeper
				w.call(http.MethodPost, "/v1/uploads/complete", user, api.CompleteRequest{Ticket: v.Ticket}, nil)
			}
		}
		if resp.StatusCode < 300 {
			return
		}
	}
}

// objects lists the keys that are stored.
func (w *world) objects() ([]string, bool) {
	var keys []string
	for after := ""; ; {
		resp, err := http.Get(w.ossURL + "/_emulator/api/objects?bucket=family-album&limit=1000&after=" + url.QueryEscape(after))
		if err != nil {
			return nil, false
		}
		var page struct {
			Items []struct{ Key string }
			Next  string
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		resp.Body.Close()
		if err != nil {
			return nil, false
		}
		for _, o := range page.Items {
			keys = append(keys, o.Key)
		}
		if after = page.Next; after == "" {
			slices.Sort(keys)
			return keys, true
		}
	}
}

// recorded lists the keys and ids of all records.
func (w *world) recorded() (keys, ids []string) {
	for u := range 7 {
		for cursor := ""; ; {
			var page api.UploadList
			if _, ok := w.call(http.MethodGet, "/v1/uploads?limit=100&cursor="+cursor, fmt.Sprintf("user-%d", u), nil, &page); !ok {
				return nil, nil
			}
			for _, r := range page.Items {
				keys, ids = append(keys, r.Key), append(ids, r.ID)
			}
			if cursor = page.NextCursor; cursor == "" {
				break
			}
		}
	}
	slices.Sort(keys)
	return keys, ids
}

// live waits until the process is to be killed: when the pause is over, unless a busy machine has got nowhere
// by then, and on a fast one when a quarter of the uploads were made. It is false when all are made.
func (w *world) live(next *atomic.Int64, finished <-chan struct{}) bool {
	begin, begun := time.Now(), next.Load()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-finished:
			return false
		case <-tick.C:
		}
		made := next.Load() - begun
		if made >= int64(*faultUploads)/4 || made >= 10 && time.Since(begin) >= *faultKill {
			return true
		}
	}
}

// One in five callbacks is lost and one in twenty comes twice, the process is killed every few seconds, the
// database is wiped once, and the receiver fails half the time. In the end every stored object is recorded
// exactly once, no record lacks its object, and every event was delivered at least once.
func TestNothingIsLost(t *testing.T) {
	if testing.Short() {
		*faultUploads = min(*faultUploads, 100)
	}
	w := newWorld(t)
	done, next := make(chan struct{}), atomic.Int64{}
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for i := next.Add(1); i <= int64(*faultUploads); i = next.Add(1) {
				w.upload(int(i), done)
			}
		})
	}
	finished := make(chan struct{})
	go func() { clients.Wait(); close(finished) }()
	wiped := false
	for w.live(&next, finished) {
		w.kill()
		w.kills.Add(1)
		if !wiped && next.Load() > int64(*faultUploads)/2 {
			wiped = true
			if err := os.RemoveAll(filepath.Join(w.dir, "data", "index")); err != nil {
				t.Fatal(err)
			}
		}
		w.start()
	}
	close(done)
	if !wiped {
		t.Error("the index was not wiped under load")
	}
	var want, got, ids []string
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%d objects, %d records, %d events", len(want), len(got), len(w.delivered))
		}
	})
	await.True(t, "every object is recorded", func() bool {
		var ok bool
		want, ok = w.objects()
		got, ids = w.recorded()
		return ok && len(want) >= *faultUploads && slices.Equal(want, got)
	})
	for _, id := range ids { // each may take a while: ten thousand events of a full run are one after the other
		await.True(t, "event "+id+" is delivered", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.delivered[id] > 0 })
	}
	if len(slices.Compact(got)) != len(want) {
		t.Errorf("%d records for %d objects", len(got), len(want))
	}
	// The faults really happened.
	w.count()
	if share := float64(w.callbacks["callbackDrop"]) / float64(w.callbacks["all"]); share < 0.1 || share > 0.3 || w.callbacks["callbackDuplicate"] == 0 || w.kills.Load() == 0 {
		t.Errorf("the faults did not happen as they should: %v, %d kills", w.callbacks, w.kills.Load())
	}
	t.Logf("callbacks that the emulator disturbed: %v", w.callbacks)
	t.Logf("%d uploads gave %d objects and as many records; %d callbacks lost, %d kills, %d delivery attempts for %d events", *faultUploads, len(want), w.lost.Load(), w.kills.Load(), w.attempts.Load(), len(w.delivered))
}
