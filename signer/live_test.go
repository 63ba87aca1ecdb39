package signer

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/test/await"
)

// volume is a mounted ConfigMap: the file is a link through ..data, which the kubelet turns to a new folder.
type volume struct {
	t    *testing.T
	dir  string
	next int
}

func (v *volume) file() string { return filepath.Join(v.dir, "config.json") }

func (v *volume) write(text string) {
	v.t.Helper()
	v.next++
	folder := fmt.Sprintf("..%d", v.next)
	link := filepath.Join(v.dir, "..data_tmp")
	for _, err := range []error{
		os.Mkdir(filepath.Join(v.dir, folder), 0o755),
		os.WriteFile(filepath.Join(v.dir, folder, "config.json"), []byte(text), 0o600),
		os.Symlink(folder, link),
		os.Rename(link, filepath.Join(v.dir, "..data")),
	} {
		if err != nil {
			v.t.Fatal(err)
		}
	}
	if v.next == 1 {
		if err := os.Symlink(filepath.Join("..data", "config.json"), v.file()); err != nil {
			v.t.Fatal(err)
		}
	}
}

func (v *volume) use(c config.Config) {
	v.t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		v.t.Fatal(err)
	}
	v.write(string(raw))
}

// follows starts a signer that follows a mounted file with its own configuration.
func follows(t *testing.T) (*fixture, *volume) {
	t.Helper()
	f := newFixture(t)
	f.stop()
	v := &volume{t: t, dir: t.TempDir()}
	v.use(*f.cfg)
	f.configFile = v.file()
	f.start()
	return f, v
}

// verdictOf asks for one grant without a test's right to end it, so that any goroutine may.
func verdictOf(api http.Handler, user, file string) (string, error) {
	r := httptest.NewRequest(http.MethodPost, "/v1/uploads", strings.NewReader(`{"files":[`+file+`]}`))
	r.Header.Set("Authorization", "Bearer "+makeJWT(user, time.Now().Add(time.Hour)))
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	var answer UploadsResponse
	err := json.Unmarshal(w.Body.Bytes(), &answer)
	switch {
	case err != nil || w.Code != http.StatusOK || len(answer.Uploads) != 1:
		return "", fmt.Errorf("status %d: %s", w.Code, w.Body)
	case answer.Uploads[0].Status == "rejected":
		return answer.Uploads[0].Error.Code, nil
	}
	return answer.Uploads[0].Status, nil
}

// A changed limit is enforced within seconds, without a restart and without a request that fails.
func TestChangedLimitsAreUsedWithoutARestart(t *testing.T) {
	t.Parallel()
	f, v := follows(t)
	var end atomic.Bool
	var load sync.WaitGroup
	var failed, asked atomic.Int64
	for i := range 4 {
		load.Go(func() {
			for !end.Load() {
				asked.Add(1)
				if verdict, err := verdictOf(f.server.API(), fmt.Sprintf("user%d", i), onePhoto); err != nil || verdict != "upload" && verdict != "file_too_large" {
					failed.Add(1)
					t.Errorf("while the configuration changes: %q, %v", verdict, err)
					return
				}
			}
		})
	}
	verdict := func() string {
		got, err := verdictOf(f.server.API(), "alice", onePhoto)
		if err != nil {
			t.Error(err)
		}
		return got
	}
	changed := *f.cfg
	changed.Limits.MaxSize = 10
	v.use(changed)
	await.True(t, "the lower limit holds", func() bool { return verdict() == "file_too_large" })
	v.use(*f.cfg)
	await.True(t, "the first limit holds again", func() bool { return verdict() == "upload" })
	end.Store(true)
	load.Wait()
	if asked.Load() == 0 || failed.Load() > 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
	}
}

// Everything in config.Live is followed, not only what a test of one field would show.
func TestEveryLiveFieldIsFollowed(t *testing.T) {
	t.Parallel()
	f, v := follows(t)
	changed := *f.cfg
	changed.Live = config.Live{
		Limits:         config.Limits{MinSize: 1, MaxSize: 1 << 20, ContentTypes: []string{"image/*"}, FilesPerRequest: 2, PerUser: config.Usage{RequestsPerMinute: 6000}},
		KeyTemplate:    "{prefix}other/{user}/{id}",
		Grant:          config.Grant{Signature: "V1", Expiry: 60, AllowPrefix: true},
		AllowedOrigins: []string{"https://other.example.com"},
		Reads:          config.Reads{MaxExpiresIn: 60, Processes: []string{"style/thumb"}},
		Deduplication:  config.DeduplicationOff,
	}
	v.use(changed)
	await.True(t, "the change is in use", func() bool { return f.server.live.Load().Limits.FilesPerRequest == 2 })
	got := f.grant("alice", `{"name":"a.gif","size":12345,"contentType":"image/gif"}`)
	if !strings.HasPrefix(got.Key, "album/other/alice/") || got.Fields["Signature"] == "" || got.ExpiresIn > 60 {
		t.Errorf("grant: %+v, want the new key template, signature and expiry", got)
	}
	if status, _, body := f.do("alice", http.MethodGet, "/v1/policy", ""); status != http.StatusOK {
		t.Errorf("prefix grant: %d: %s", status, body)
	}
	if status, _, body := f.do("alice", http.MethodPost, "/v1/uploads", `{"files":[`+onePhoto+`,`+onePhoto+`,`+onePhoto+`]}`); status != http.StatusBadRequest {
		t.Errorf("three files: %d: %s", status, body)
	}
	r := httptest.NewRequest(http.MethodOptions, "/v1/uploads", nil)
	r.Header.Set("Origin", "https://other.example.com")
	w := httptest.NewRecorder()
	f.server.API().ServeHTTP(w, r)
	if w.Header().Get("Access-Control-Allow-Origin") == "" {
		t.Error("the new origin is not answered")
	}
	if status, answer := f.callback(callbackRequest{body: callbackForm(got).Encode()}); status == http.StatusOK {
		t.Errorf("callback with another type: %s", answer)
	}
	form := callbackForm(got)
	form.Set("mimeType", "image/gif")
	if status, answer := f.callback(callbackRequest{body: form.Encode()}); status != http.StatusOK {
		t.Errorf("callback: %d: %s", status, answer)
	}
	for body, want := range map[string]int{`{"process":"style/thumb"}`: http.StatusOK, `{"expiresIn":61}`: http.StatusBadRequest} {
		if status, _, answer := f.do("alice", http.MethodPost, "/v1/uploads/"+got.ID+"/url", body); status != want {
			t.Errorf("url %s: %d: %s", body, status, answer)
		}
	}
}

// What a process cannot follow waits for the next one; what it can is used all the same.
func TestAChangedIdentityWaitsForANewProcess(t *testing.T) {
	t.Parallel()
	f, v := follows(t)
	changed := *f.cfg
	changed.Bucket.UploadURL, changed.Limits.MaxSize = "https://elsewhere.example.com", 20000
	v.use(changed)
	await.True(t, "the limit is in use", func() bool { return f.server.live.Load().Limits.MaxSize == 20000 })
	if got := f.grant("alice", onePhoto); got.URL != f.cfg.Bucket.UploadURL {
		t.Errorf("the grant names %s", got.URL)
	}
}

// A configuration that cannot be used changes nothing, is told once, and does not keep the next one out.
func TestABrokenConfigKeepsTheOneBefore(t *testing.T) {
	tests := map[string]func(c *config.Config) string{
		"not JSON":         func(*config.Config) string { return "{" },
		"empty":            func(*config.Config) string { return "" },
		"invalid":          func(c *config.Config) string { c.Limits.MaxSize = -1; return "" },
		"bad key template": func(c *config.Config) string { c.KeyTemplate = "{prefix}{nonsense}"; return "" },
	}
	for name, broken := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, v := follows(t)
			failures := func() string { return f.metric("uploadtenant_signer_config_reload_failures_total") }
			changed := *f.cfg
			if text := broken(&changed); text != "" || name == "empty" {
				v.write(text)
			} else {
				v.use(changed)
			}
			await.True(t, "the failure is counted", func() bool { return failures() == "1" })
			if got := f.grant("alice", onePhoto); got.Status != "upload" {
				t.Errorf("verdict %+v", got)
			}
			good := *f.cfg
			good.Limits.FilesPerRequest = 3
			v.use(good)
			await.True(t, "the next one is in use", func() bool { return f.server.live.Load().Limits.FilesPerRequest == 3 })
			raw, err := os.ReadFile(v.file())
			if err != nil {
				t.Fatal(err)
			}
			await.True(t, "the metric names it", func() bool {
				return f.metric(`uploadtenant_signer_config_info{hash="`+configHash(raw)+`"}`) == "1"
			})
			if got := failures(); got != "1" {
				t.Errorf("%s failures, want one", got)
			}
		})
	}
}

// Users who are known already are bound by changed rates as well, up and down.
func TestChangedRatesBindKnownUsers(t *testing.T) {
	now := time.Now()
	u := newUsage(config.Limits{PerUser: config.Usage{RequestsPerMinute: 4}}, &sums{})
	many := func() (allowed int) {
		for range 100 {
			if _, ok := u.allow("ann", now); ok {
				allowed++
			}
		}
		return allowed
	}
	if got := many(); got != 1 {
		t.Errorf("%d requests at once, want 1", got)
	}
	u.bound(config.Limits{PerUser: config.Usage{RequestsPerMinute: 40}})
	now = now.Add(time.Minute)
	if got := many(); got != 10 {
		t.Errorf("%d requests at once with the higher rate, want 10", got)
	}
	u.bound(config.Limits{})
	if got := many(); got != 100 {
		t.Errorf("%d requests at once without a rate, want 100", got)
	}
}
