package signer

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/devmode"
	"github.com/uploadtenant/uploadtenant/emulator/wechat"
	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/test/await"
)

const (
	pushToken  = "the push token"
	pushAESKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

// mediaYAML asks WeChat about every photo; verification holds more fields of spec.verification.
func mediaYAML(h *hooks, verification, check, secret string) string {
	// Sessions of half a day: a clock that is put forward must not leave the signer without credentials.
	return h.tenantYAML("  access: {maxSessionDuration: 12h}\n  auth: {wechat: {appID: wx1, secretRef: {name: album-wechat}}}\n  verification: {"+verification+"mediaCheck: {pushSecretRef: {name: album-push}"+check+"}}\n") +
		"\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: album-push, namespace: family}\nstringData: {" + secret + "}\n"
}

const plainPush = `token: "` + pushToken + `"`

// photo uploads a photo of user; the emulated WeChat takes "risky" and "review" in a key for a verdict.
func (x *tenant) photo(t *testing.T, user string) api.Record {
	t.Helper()
	w := &walker{x, x.logIn("emu:" + user + ":" + strconv.Itoa(int(photos.Add(1))))}
	content := []byte("\xff\xd8\xff\xe0 a photo")
	v := w.grants(t, fmt.Sprintf(`[{"name":"a.jpg","size":%d,"contentType":"image/jpeg"}]`, len(content)))[0]
	status, answer := x.post(v.URL, form{v.Fields, content})
	var r api.Record
	if err := json.Unmarshal(answer, &r); err != nil || status != http.StatusOK || r.Status != "verifying" {
		t.Fatalf("status %d: %s", status, answer)
	}
	return r
}

var photos atomic.Int64

// push sets where the emulated WeChat sends its verdicts.
func (x *tenant) push(t *testing.T, to wechat.Push) {
	t.Helper()
	raw, err := json.Marshal(to)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPut, x.APIURL+"/_emulator/wechat/push", strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	if status, answer := x.send(req); status != http.StatusOK {
		t.Fatalf("status %d: %s", status, answer)
	}
}

// checks returns what WeChat was asked.
func (x *tenant) checks(t *testing.T) []wechat.Check {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, x.APIURL+"/_emulator/wechat/checks", nil)
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Items []wechat.Check }
	if _, answer := x.send(req); json.Unmarshal(answer, &list) != nil {
		t.Fatalf("%s", answer)
	}
	return list.Items
}

// checked is checks when there are at least n: WeChat lists a check after its verdict was taken.
func (x *tenant) checked(t *testing.T, n int) []wechat.Check {
	t.Helper()
	await.True(t, "WeChat lists the checks", func() bool { return len(x.checks(t)) >= n })
	return x.checks(t)
}

// told waits for the event of an upload.
func (h *hooks) told(t *testing.T, id string) api.Event {
	t.Helper()
	await.True(t, "the application is told of "+id, func() bool { types, _ := h.of(id); return len(types) > 0 })
	_, e := h.of(id)
	return e
}

func TestWeChatDecidesAboutPhotos(t *testing.T) {
	for name, tc := range map[string]struct {
		verification, check, secret string
		xml                         bool
		want                        map[string]string // user -> event type, reason, and whether the object stays
	}{
		"quarantine, in the clear": {secret: plainPush, want: map[string]string{
			"alice": "upload.completed  true", "risky": "upload.rejected content_risky true", "review": "upload.rejected content_review true", "gone": "upload.rejected check_unanswered true"}},
		"delete, lenient, encrypted": {verification: "sniff: true, onMismatch: Delete, ", check: ", scene: Forum, onReview: Accept, onUnanswered: Accept", secret: plainPush + `, encodingAESKey: "` + pushAESKey + `"`, want: map[string]string{
			"alice": "upload.completed  true", "risky": "upload.rejected content_risky false", "review": "upload.completed  true", "gone": "upload.completed  true"}},
		"delete, strict, encrypted XML": {verification: "onMismatch: Delete, ", secret: plainPush + `, encodingAESKey: "` + pushAESKey + `"`, xml: true, want: map[string]string{
			"alice": "upload.completed  true", "risky": "upload.rejected content_risky false", "review": "upload.rejected content_review true", "gone": "upload.rejected check_unanswered true"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHooks(t)
			x := startTenant(t, mediaYAML(h, tc.verification, tc.check, tc.secret), "")
			if tc.xml {
				x.push(t, wechat.Push{URL: x.SignerURL + "/v1/wechat/push", Token: pushToken, EncodingAESKey: pushAESKey, XML: true})
			}
			for user, want := range tc.want {
				r := x.photo(t, user)
				e := h.told(t, r.ID)
				wantStored := strings.HasSuffix(want, "true")
				if got := fmt.Sprintf("%s %s %t", e.Type, e.Data.Reason, wantStored); got != want {
					t.Errorf("%s: %s, want %s", user, got, want)
				}
				await.True(t, "the object is dealt with", func() bool { return x.stored(r.Key) == wantStored })
			}
			// What WeChat does not look at is not asked.
			if r := x.upload("alice", content(1)); h.told(t, r.ID).Type != "upload.completed" {
				t.Error("a text was rejected")
			}
			if asked := x.checked(t, 3); len(asked) != 3 {
				t.Errorf("WeChat was asked %+v", asked)
			}
		})
	}
}

// A verdict that is lost is asked for again; who never gets one is decided within hours. Until then nobody
// reads the upload, and no event tells of it.
func TestALostVerdictIsAskedForAgain(t *testing.T) {
	var ahead atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	h, dir := newHooks(t), t.TempDir()
	text := mediaYAML(h, "", "", plainPush)
	x := startOptions(t, text, devmode.Options{DataDir: dir, Clock: clock})
	x.push(t, wechat.Push{}) // WeChat decides and tells nobody
	r := x.photo(t, "alice")
	await.True(t, "WeChat is asked", func() bool { return len(x.checks(t)) == 1 })
	x.refused("alice", http.MethodPost, "/v1/uploads/"+r.ID+"/url", nil, http.StatusConflict, "not_verified")
	x.stop() // a restart asks nothing anew
	x = startOptions(t, text, devmode.Options{DataDir: dir, Clock: clock})
	if got := x.get("alice", r.ID); got.Status != "verifying" {
		t.Fatalf("after a restart: %+v", got)
	}
	ahead.Add(int64(36 * time.Minute))
	if e := h.told(t, r.ID); e.Type != "upload.completed" {
		t.Errorf("event %+v", e)
	}
	if asked := x.checked(t, 1); len(asked) != 1 { // of this process
		t.Errorf("asked again %d times", len(asked))
	}

	x.push(t, wechat.Push{})
	never := x.photo(t, "bob")
	for n := 2; n <= 5; n++ {
		// The signer has noted when it asked, and waits from then on.
		await.True(t, "WeChat is asked again", func() bool {
			_, metrics := x.opsGet("/metrics")
			return strings.Contains(string(metrics), fmt.Sprintf(`uploadtenant_signer_media_checks_total{outcome="asked"} %d`, n))
		})
		ahead.Add(int64(36 * time.Minute))
	}
	if e := h.told(t, never.ID); e.Type != "upload.rejected" || e.Data.Reason != "check_unanswered" {
		t.Errorf("event %+v", e)
	}
	if asked := x.checked(t, 5); len(asked) != 5 {
		t.Errorf("asked %d times", len(asked))
	}
}

// Only WeChat answers: what a stranger sends, or WeChat sends twice, changes nothing.
func TestForgedAndRepeatedVerdictsChangeNothing(t *testing.T) {
	h := newHooks(t)
	x := startTenant(t, mediaYAML(h, "", "", plainPush), "")
	send := func(method, token, trace, suggest string, at time.Time) int {
		t.Helper()
		timestamp := strconv.FormatInt(at.Unix(), 10)
		q := url.Values{"timestamp": {timestamp}, "nonce": {"n"}, "signature": {wechat.Signature(token, timestamp, "n")}, "echostr": {"hello"}}
		body := fmt.Sprintf(`{"MsgType":"event","Event":"wxa_media_check","appid":"wx1","trace_id":%q,"version":2,"errcode":0,"result":{"suggest":%q}}`, trace, suggest)
		req, err := http.NewRequest(method, x.SignerURL+"/v1/wechat/push?"+q.Encode(), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		status, answer := x.send(req)
		if want := map[string]string{http.MethodPost: "success", http.MethodGet: "hello"}[method]; status == http.StatusOK && string(answer) != want {
			t.Errorf("WeChat is answered %q, want %q", answer, want)
		}
		return status
	}
	x.push(t, wechat.Push{})
	r := x.photo(t, "alice")
	await.True(t, "WeChat is asked", func() bool { return len(x.checks(t)) == 1 })
	trace := x.checks(t)[0].TraceID
	for name, status := range map[string]int{
		"another token": send(http.MethodPost, "guess", trace, "pass", time.Now()),
		"no token":      send(http.MethodPost, "", trace, "pass", time.Now()),
		"an old one":    send(http.MethodPost, pushToken, trace, "pass", time.Now().Add(-time.Hour)),
		"a greeting":    send(http.MethodGet, "guess", trace, "pass", time.Now()),
	} {
		if status != http.StatusForbidden {
			t.Errorf("%s: status %d", name, status)
		}
	}
	if status := send(http.MethodPost, pushToken, "a-guessed-trace", "pass", time.Now()); status != http.StatusOK {
		t.Errorf("a verdict about nothing: status %d", status)
	}
	if got := x.get("alice", r.ID); got.Status != "verifying" {
		t.Fatalf("a forged verdict was believed: %+v", got)
	}
	if status := send(http.MethodGet, pushToken, "", "", time.Now()); status != http.StatusOK {
		t.Errorf("a greeting: status %d", status)
	}
	for _, suggest := range []string{"risky", "risky", "pass"} {
		if status := send(http.MethodPost, pushToken, trace, suggest, time.Now()); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
	if e := h.told(t, r.ID); e.Type != "upload.rejected" || e.Data.Reason != "content_risky" {
		t.Errorf("event %+v", e)
	}
	// Everything that came is dealt with when a later upload is.
	x.push(t, wechat.Push{URL: x.SignerURL + "/v1/wechat/push", Token: pushToken})
	h.told(t, x.photo(t, "alice").ID)
	if types, _ := h.of(r.ID); !slices.Equal(types, []string{"upload.rejected"}) {
		t.Errorf("events %v", types)
	}
	if got := x.get("alice", r.ID); got.Status != "rejected" {
		t.Errorf("record %+v", got)
	}
}

// What WeChat said stands at the objects too: it cannot be asked again about users of long ago.
func TestVerdictsSurviveTheLossOfTheIndex(t *testing.T) {
	h, dir := newHooks(t), t.TempDir()
	text := mediaYAML(h, "tags: {source: app}, ", "", plainPush)
	x := startTenant(t, text, dir)
	good, bad := x.photo(t, "alice"), x.photo(t, "risky")
	h.told(t, good.ID)
	h.told(t, bad.ID)
	_, metrics := x.opsGet("/metrics")
	if !strings.Contains(string(metrics), `uploadtenant_signer_media_checks_total{outcome="asked"} 2`) {
		t.Error("the questions are not counted")
	}
	await.True(t, "the quarantine is done", func() bool {
		_, metrics := x.opsGet("/metrics")
		return strings.Contains(string(metrics), "uploadtenant_signer_verifications_pending 0")
	})
	x.stop()
	if err := os.RemoveAll(filepath.Join(dir, "index")); err != nil {
		t.Fatal(err)
	}
	x = startTenant(t, text, dir)
	await.True(t, "both are decided again", func() bool {
		list := x.records("alice")
		rejected := x.records("risky")
		return len(list) == 1 && list[0].Status == "completed" && len(rejected) == 1 && rejected[0].Status == "rejected"
	})
	if got := x.get("risky", bad.ID); got.Reason != "rejected_before" {
		t.Errorf("record %+v", got)
	}
	if asked := x.checks(t); len(asked) != 0 {
		t.Errorf("WeChat was asked again: %+v", asked)
	}
}
