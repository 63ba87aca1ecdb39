package signer

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/test/await"
)

// albumYAML replaces an album back end with V4 signatures, STS and instant upload.
const albumYAML = `
apiVersion: oss.uploadtenant.io/v1alpha1
kind: UploadTenant
metadata: {name: album, namespace: family}
spec:
  bucket:
    name: family-album
    prefix: album/
    referer: {allowed: ["https://servicewechat.com/wx0123456789abcdef/*"], allowEmpty: false}
  limits:
    size: {max: 20Mi}
    contentTypes: [image/jpeg, image/png, video/mp4]
    filesPerRequest: 100
  grant: {expiry: 5m, allowPrefix: true}
  auth: {wechat: {appID: wx0123456789abcdef, secretRef: {name: album-wechat}}}
  callback: {url: "https://upload.example.com/family/album/callback"}
  reads: {processes: [style/thumb]}
  events: {url: "%s/hook", secretRef: {name: album-events}}
`

const weChatReferer = "https://servicewechat.com/wx0123456789abcdef/12/page-frame.html"

// fetch reads a URL as a page of referer would.
func fetch(t *testing.T, address, referer string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if referer != "" {
		req.Header.Set("Referer", referer)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// Seed system B, row by row: album upload with V4 signatures, STS and instant upload.
func TestWalkthroughAlbumUpload(t *testing.T) {
	h := newHooks(t)
	x := startTenant(t, fmt.Sprintf(albumYAML, h.URL), "")
	w, stranger := &walker{x, x.logIn("emu:oAlice:1")}, &walker{x, x.logIn("emu:oMallory:1")}
	photo, clip := []byte("\xff\xd8\xff\xe0 the first photo"), []byte("\x00\x00\x00\x18ftypmp42 a clip")
	var picked, granted []api.Verdict

	t.Run("bucket and role", func(t *testing.T) {
		for _, b := range emulated[struct {
			Items []struct {
				Name, ACL         string
				BlockPublicAccess bool
			}
		}](t, x, "api/buckets").Items {
			if b.ACL != "private" || !b.BlockPublicAccess {
				t.Errorf("bucket %+v", b)
			}
		}
		actions, resources := rolePolicy(t, x)
		if !slices.Contains(actions, "oss:PutObject") || slices.Contains(actions, "oss:PostObject") || slices.ContainsFunc(actions, func(a string) bool { return strings.Contains(a, "*") }) {
			t.Errorf("actions %v", actions)
		}
		if slices.Contains(resources, "acs:oss:*:*:family-album/*") || !slices.Contains(resources, "acs:oss:*:*:family-album/album/*") {
			t.Errorf("resources %v", resources)
		}
	})
	t.Run("ask for a grant", func(t *testing.T) {
		// The old flow: one grant for a folder, only because the tenant opted in, and with a warning.
		g := read[api.PrefixGrant](t, w, http.MethodGet, "/v1/policy?dir=family-7/holiday", "null")
		if g.Dir != "album/oAlice/family-7/holiday/" || g.Fields["x-oss-signature-version"] != "OSS4-HMAC-SHA256" || g.Warning == "" {
			t.Errorf("prefix grant %+v", g)
		}
		for _, field := range []string{"policy", "x-oss-signature", "x-oss-credential", "x-oss-date", "x-oss-security-token"} {
			if g.Fields[field] == "" {
				t.Errorf("the prefix grant has no %s", field)
			}
		}
		for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusForbidden} {
			fields := maps.Clone(g.Fields)
			fields["key"], fields["x-oss-content-type"] = fmt.Sprintf("%s170000000000%d_%d.jpg", g.Dir, i, i), "image/jpeg"
			if want != http.StatusOK {
				fields["key"] = "album/oMallory/1.jpg"
			}
			if status, answer := x.post(g.URL, form{fields, photo}); status != want {
				t.Errorf("file %d: status %d: %s", i, status, answer)
			}
		}
	})
	t.Run("pick files", func(t *testing.T) {
		// chooseMedia names no file, chooseMessageFile does; the application's own fields travel as metadata.
		picked = w.grants(t, fmt.Sprintf(`[{"name":"","size":%d,"contentType":"image/jpeg","metadata":{"album":7,"family":"f1","time":"2026-10-01","sizeKb":1,"creator":"Alice"}},
			{"name":"群文件.mp4","size":%d,"contentType":"video/mp4","metadata":{"album":7,"family":"f1"}},
			{"name":"taxes.xlsx","size":10,"contentType":"application/vnd.ms-excel"},
			{"name":"","size":%d,"contentType":"image/jpeg"}]`, len(photo), len(clip), len(photo)))
		var statuses []string
		for _, v := range picked {
			statuses = append(statuses, v.Status)
		}
		if !slices.Equal(statuses, []string{"upload", "upload", "rejected", "upload"}) {
			t.Fatalf("verdicts %v", statuses)
		}
		if !strings.HasSuffix(picked[0].Key, ".jpg") || !strings.HasSuffix(picked[1].Key, ".mp4") {
			t.Errorf("keys %s and %s", picked[0].Key, picked[1].Key)
		}
	})
	t.Run("hash", func(t *testing.T) {
		if status, answer := x.post(picked[0].URL, form{picked[0].Fields, photo}); status != http.StatusOK {
			t.Fatalf("status %d: %s", status, answer)
		}
		ask := fmt.Sprintf(`{"md5":[%q,%q]}`, hexMD5(photo), hexMD5(clip))
		got := read[api.HashesResponse](t, w, http.MethodPost, "/v1/hashes/check", ask)
		if len(got.Items) != 1 || got.Items[0].ID != picked[0].ID || got.Items[0].MD5 != hexMD5(photo) {
			t.Errorf("hashes %+v", got)
		}
		file := fmt.Sprintf(`[{"name":"again.jpg","size":%d,"contentType":"image/jpeg","md5":%q,"metadata":{"album":8}}]`, len(photo), hexMD5(photo))
		instant := w.grants(t, file)[0]
		if instant.Status != "instant" {
			t.Fatalf("a known file: %+v", instant)
		}
		if r := read[api.Record](t, w, http.MethodGet, "/v1/uploads/"+instant.ID, "null"); string(r.Metadata) != `{"album":8}` || r.Key == picked[0].Key {
			t.Errorf("the instant copy: %+v", r)
		}
		// Who only knows the hash gets neither the file nor the knowledge that it exists.
		if got := read[api.HashesResponse](t, stranger, http.MethodPost, "/v1/hashes/check", ask); len(got.Items) != 0 {
			t.Errorf("a stranger learns %+v", got)
		}
		if v := stranger.grants(t, file)[0]; v.Status != "upload" {
			t.Errorf("a stranger gets %+v", v)
		}
	})
	t.Run("upload", func(t *testing.T) {
		const n = 12
		var files []string
		for i := range n {
			files = append(files, fmt.Sprintf(`{"name":"%d.jpg","size":%d,"contentType":"image/jpeg","metadata":{"n":%d}}`, i, len(photo)+i, i))
		}
		granted = w.grants(t, "["+strings.Join(files, ",")+"]")
		for _, v := range granted {
			if v.Fields["x-oss-signature-version"] != "OSS4-HMAC-SHA256" || v.Fields["x-oss-security-token"] == "" {
				t.Fatalf("grant %+v", v)
			}
		}
		// All at once, and the store refuses some: a client repeats those, the others are not affected.
		x.faults(map[string]any{"seed": 3, "errorRate": 0.4, "operations": []string{"PostObject"}})
		var all sync.WaitGroup
		for i, v := range granted {
			all.Go(func() {
				for range 20 {
					if status, _ := x.post(v.URL, form{v.Fields, append(slices.Clone(photo), bytes.Repeat([]byte("x"), i)...)}); status == http.StatusOK || status == http.StatusConflict {
						return
					}
				}
				t.Errorf("file %d was never stored", i)
			})
		}
		all.Wait()
		x.faults(nil)
		for i, v := range granted {
			path := "/v1/uploads/" + v.ID
			await.True(t, "the upload is recorded", func() bool {
				status, _ := w.bearer(w.token, http.MethodGet, path, nil)
				return status == http.StatusOK
			})
			if r := read[api.Record](t, w, http.MethodGet, path, "null"); string(r.Metadata) != fmt.Sprintf(`{"n":%d}`, i) || r.Size != int64(len(photo)+i) {
				t.Errorf("file %d: %+v", i, r)
			}
		}
	})
	t.Run("commit", func(t *testing.T) {
		// The callback is lost and the app is closed: nobody commits, and still nothing is lost.
		x.faults(map[string]any{"seed": 1, "callbackDrop": 1.0})
		v := picked[1]
		if status, answer := x.post(v.URL, form{v.Fields, clip}); status != http.StatusNonAuthoritativeInfo {
			t.Fatalf("status %d: %s", status, answer)
		}
		x.faults(nil)
		await.True(t, "the application is told", func() bool { types, _ := h.of(v.ID); return len(types) > 0 })
		_, e := h.of(v.ID)
		if e.Data.Name != "群文件.mp4" || string(e.Data.Metadata) != `{"album":7,"family":"f1"}` || e.Data.User != "oAlice" || e.Data.Key != v.Key || e.Data.ContentType != "video/mp4" || e.Data.Size != int64(len(clip)) || e.Data.MD5 != hexMD5(clip) || e.Data.CreatedAt.IsZero() {
			t.Errorf("event %+v", e)
		}
	})
	t.Run("pitfalls it lists", func(t *testing.T) {
		v := picked[3]
		fields := maps.Clone(v.Fields)
		fields["x-oss-signature"] = strings.Repeat("0", 64)
		if status, answer := x.post(v.URL, form{fields, photo}); status != http.StatusForbidden || !bytes.Contains(answer, []byte("SignatureDoesNotMatch")) {
			t.Errorf("a wrong signature: status %d: %s", status, answer)
		}
		same := w.grants(t, "["+strings.TrimSuffix(strings.Repeat(`{"name":"","size":1,"contentType":"image/png"},`, 100), ",")+"]")
		keys := map[string]bool{}
		for _, v := range same {
			keys[v.Key] = true
		}
		if len(keys) != 100 {
			t.Errorf("%d names for 100 files of one millisecond", len(keys))
		}
		if status := x.anonymous(picked[0].Key); status != http.StatusForbidden {
			t.Errorf("the object without a signature: status %d", status)
		}
		list := read[api.URLsResponse](t, w, http.MethodPost, "/v1/uploads/urls", fmt.Sprintf(`{"ids":[%q,%q,%q]}`, granted[2].ID, granted[0].ID, granted[1].ID))
		for i, want := range []string{granted[2].ID, granted[0].ID, granted[1].ID} {
			if list.Items[i].ID != want || list.Items[i].URL == "" {
				t.Errorf("URL %d is %+v, want that of %s", i, list.Items[i], want)
			}
		}
	})
	t.Run("ideas it leaves open", func(t *testing.T) {
		path := "/v1/uploads/" + picked[0].ID + "/url"
		signed := read[api.URLResponse](t, w, http.MethodPost, path, `{"expiresIn":60}`)
		if status, body := fetch(t, signed.URL, weChatReferer); status != http.StatusOK || !bytes.Equal(body, photo) || signed.ExpiresIn != 60 {
			t.Errorf("presigned read for %d s: status %d: %s", signed.ExpiresIn, status, body)
		}
		for _, thief := range []string{"https://evil.example.com/", ""} {
			if status, _ := fetch(t, signed.URL, thief); status != http.StatusForbidden {
				t.Errorf("a link from %q: status %d", thief, status)
			}
		}
		if styled := read[api.URLResponse](t, w, http.MethodPost, path, `{"process":"style/thumb"}`); !strings.Contains(styled.URL, "x-oss-process=style%2Fthumb") {
			t.Errorf("a thumbnail: %+v", styled)
		}
		// Transcoding and a CDN hang on the event, which comes once for every upload, deletion included.
		if status, answer := x.bearer(w.token, http.MethodDelete, "/v1/uploads/"+picked[0].ID, nil); status != http.StatusNoContent {
			t.Fatalf("status %d: %s", status, answer)
		}
		await.True(t, "the hooks have run", func() bool {
			types, _ := h.of(picked[0].ID)
			return slices.Equal(types, []string{"upload.completed", "upload.deleted"})
		})
		if status, _ := fetch(t, signed.URL, weChatReferer); status != http.StatusNotFound {
			t.Errorf("a deleted photo: status %d", status)
		}
		await.True(t, "every upload was told of", func() bool {
			for _, v := range granted {
				if types, _ := h.of(v.ID); !slices.Equal(types, []string{"upload.completed"}) {
					return false
				}
			}
			return true
		})
	})
}
