package signer

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/test/await"
)

// photoYAML replaces a Django back end that signs with V1: the same extensions, size, folder per user and expiry.
const photoYAML = `
apiVersion: oss.uploadtenant.io/v1alpha1
kind: UploadTenant
metadata: {name: photos, namespace: family}
spec:
  bucket:
    name: family-album
    prefix: photos/
    cors: {allowedOrigins: ["https://h5.example.com"]}
    lifecycle: {temporary: {prefix: tmp/, afterDays: 1}}
  limits:
    size: {max: 10Mi}
    contentTypes: [image/*]
    extensions: [jpg, jpeg, png]
  keyTemplate: "{prefix}tmp/{user}/{id}.{ext}"
  grant: {signature: V1, expiry: 5m}
  auth: {jwt: {secretRef: {name: photos-jwt}, userClaim: uid}}
  callback: {url: "https://upload.example.com/family/photos/callback"}
  events: {url: "%s/hook", secretRef: {name: photos-events}}
---
apiVersion: v1
kind: Secret
metadata: {name: photos-jwt, namespace: family}
stringData: {secret: "an HS256 secret of at least 32 bytes"}
`

// walker goes through a seed system as one signed-in client.
type walker struct {
	*tenant
	token string
}

// grants asks for files, as JSON, and returns one verdict for each.
func (w *walker) grants(t *testing.T, files string) []api.Verdict {
	t.Helper()
	status, answer := w.bearer(w.token, http.MethodPost, "/v1/uploads", json.RawMessage(`{"files":`+files+`}`))
	var granted api.UploadsResponse
	if err := json.Unmarshal(answer, &granted); err != nil || status != http.StatusOK {
		t.Fatalf("status %d: %s", status, answer)
	}
	return granted.Uploads
}

// read is GET or POST of an answer of type T with status 200.
func read[T any](t *testing.T, w *walker, method, path, body string) T {
	t.Helper()
	status, answer := w.bearer(w.token, method, path, json.RawMessage(body))
	var v T
	if err := json.Unmarshal(answer, &v); err != nil || status != http.StatusOK {
		t.Fatalf("%s %s: status %d: %s", method, path, status, answer)
	}
	return v
}

// emulated reads one of the emulator's own pages.
func emulated[T any](t *testing.T, x *tenant, path string) T {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, x.OSSURL+"/_emulator/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if _, answer := x.send(req); json.Unmarshal(answer, &v) != nil {
		t.Fatalf("%s: %s", path, answer)
	}
	return v
}

// rolePolicy returns the statements of the tenant's RAM policy.
func rolePolicy(t *testing.T, x *tenant) (actions, resources []string) {
	t.Helper()
	account := emulated[struct {
		Policies []struct{ Name, Document string }
	}](t, x, "api/iam")
	for _, p := range account.Policies {
		if !strings.HasPrefix(p.Name, "ut-family-") {
			continue
		}
		var doc struct {
			Statement []struct{ Action, Resource []string }
		}
		if err := json.Unmarshal([]byte(p.Document), &doc); err != nil {
			t.Fatal(err)
		}
		for _, s := range doc.Statement {
			actions, resources = append(actions, s.Action...), append(resources, s.Resource...)
		}
	}
	if len(actions) == 0 {
		t.Fatal("the tenant's role has no policy")
	}
	return actions, resources
}

// preflight asks like a browser before it posts a form from origin.
func (x *tenant) preflight(origin, address, method string) (int, http.Header) {
	x.t.Helper()
	req, err := http.NewRequest(http.MethodOptions, address, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	req.Header.Set("Origin", origin)
	req.Header.Set("Access-Control-Request-Method", method)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		x.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode, resp.Header
}

// Seed system A, row by row: photo upload with a Django back end, signature V1 and a callback.
func TestWalkthroughPhotoUpload(t *testing.T) {
	h := newHooks(t)
	x := startTenant(t, fmt.Sprintf(photoYAML, h.URL), "")
	user := signedJWT("an HS256 secret of at least 32 bytes", fmt.Sprintf(`{"uid":1042,"exp":%d}`, time.Now().Add(time.Hour).Unix()))
	w := &walker{x, user}
	photo := []byte("\xff\xd8\xff\xe0 a photo of the family")
	file := fmt.Sprintf(`[{"name":"IMG_1.JPG","size":%d}]`, len(photo))
	var granted api.Verdict
	var conditions []any

	t.Run("ask for a token", func(t *testing.T) {
		granted = w.grants(t, file)[0]
		if !strings.HasPrefix(granted.Key, "photos/tmp/1042/") || granted.Key != "photos/tmp/1042/"+granted.ID+".jpg" {
			t.Errorf("key %s, want the user's folder, a random name and the extension", granted.Key)
		}
		for name, wrong := range map[string]string{
			"extension": `[{"name":"run.exe","size":1,"contentType":"image/jpeg"}]`, "type": `[{"name":"a.jpg","size":1,"contentType":"text/html"}]`,
			"agreement": `[{"name":"a.jpg","size":1,"contentType":"image/png"}]`, "size": `[{"name":"a.jpg","size":10485761}]`,
		} {
			if v := w.grants(t, wrong)[0]; v.Status != "rejected" || v.Error == nil || v.Error.Code == "" || v.Fields != nil {
				t.Errorf("a wrong %s: %+v", name, v)
			}
		}
		if status, _ := x.bearer("", http.MethodPost, "/v1/uploads", json.RawMessage(`{"files":`+file+`}`)); status != http.StatusUnauthorized {
			t.Errorf("without a token: status %d", status)
		}
		// The temporary suffix of the old keys is a folder that a lifecycle rule empties.
		for _, b := range emulated[struct {
			Items []struct{ Configured []string }
		}](t, x, "api/buckets").Items {
			if !slices.Contains(b.Configured, "lifecycle") {
				t.Errorf("the bucket has no lifecycle rule: %v", b.Configured)
			}
		}
	})
	t.Run("sign", func(t *testing.T) {
		raw, err := base64.StdEncoding.DecodeString(granted.Fields["policy"])
		var policy struct {
			Expiration time.Time
			Conditions []any
		}
		if err != nil || json.Unmarshal(raw, &policy) != nil {
			t.Fatalf("policy %s", raw)
		}
		conditions = policy.Conditions
		if left := time.Until(policy.Expiration); left <= 0 || left > 5*time.Minute {
			t.Errorf("expires in %v", left)
		}
		text := string(raw)
		for _, want := range []string{fmt.Sprintf(`["content-length-range",%d,%d]`, len(photo), len(photo)), `"` + granted.Key + `"`, `"image/jpeg"`, `"` + granted.Fields["callback"] + `"`} {
			if !strings.Contains(strings.ReplaceAll(text, " ", ""), want) {
				t.Errorf("the policy does not pin %s:\n%s", want, text)
			}
		}
		if len(granted.Fields["Signature"]) != 28 { // HMAC-SHA1 in base64
			t.Errorf("signature %q", granted.Fields["Signature"])
		}
	})
	t.Run("token", func(t *testing.T) {
		if !strings.HasPrefix(granted.Fields["OSSAccessKeyId"], "STS.") || granted.Fields["x-oss-security-token"] == "" {
			t.Error("the key is not a temporary one")
		}
		if granted.ExpiresIn != 300 || granted.URL == "" || len(conditions) < 8 {
			t.Errorf("grant %+v with %d conditions", granted, len(conditions))
		}
		var callback struct{ CallbackURL, CallbackBody, CallbackBodyType string }
		raw, err := base64.StdEncoding.DecodeString(granted.Fields["callback"])
		if err != nil || json.Unmarshal(raw, &callback) != nil || callback.CallbackURL != "https://upload.example.com/family/photos/callback" ||
			!strings.Contains(callback.CallbackBody, "${size}") || !strings.Contains(callback.CallbackBody, "${mimeType}") || callback.CallbackBodyType != "application/x-www-form-urlencoded" {
			t.Errorf("callback %s", raw)
		}
	})
	t.Run("RAM", func(t *testing.T) {
		actions, resources := rolePolicy(t, x)
		for _, a := range actions {
			if strings.Contains(a, "*") || a == "oss:PostObject" {
				t.Errorf("the role may %s", a)
			}
		}
		for _, r := range resources {
			if r != "acs:oss:*:*:family-album/photos/*" && r != "acs:oss:*:*:family-album" {
				t.Errorf("the role reaches %s", r)
			}
		}
	})
	t.Run("upload", func(t *testing.T) {
		if status, _ := x.post(granted.URL, form{granted.Fields, append(photo, 'x')}); status == http.StatusOK {
			t.Error("another size was stored")
		}
		status, answer := x.post(granted.URL, form{granted.Fields, photo})
		var r api.Record
		if err := json.Unmarshal(answer, &r); err != nil || status != http.StatusOK || r.ID != granted.ID {
			t.Fatalf("status %d: %s", status, answer)
		}
		if status, _ := x.post(granted.URL, form{granted.Fields, photo}); status != http.StatusConflict {
			t.Errorf("the same grant again: status %d", status)
		}
	})
	t.Run("callback", func(t *testing.T) {
		r := read[api.Record](t, w, http.MethodGet, "/v1/uploads/"+granted.ID, "null")
		if r.Name != "IMG_1.JPG" || r.Size != int64(len(photo)) || r.ContentType != "image/jpeg" || r.MD5 != hexMD5(photo) {
			t.Errorf("record %+v", r)
		}
		// A stranger's key, at an address that merely contains the right one, was accepted by the old server.
		key := newWeakKey(t)
		asked := 0
		evil := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { asked++; rw.Write(key.pem()) }))
		defer evil.Close()
		body := url.Values{"ticket": {granted.Ticket}, "bucket": {"family-album"}, "object": {granted.Key}, "size": {fmt.Sprint(len(photo))}, "mimeType": {"image/jpeg"}}.Encode()
		req, err := http.NewRequest(http.MethodPost, x.SignerURL+"/family/photos/callback", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", key.sign([]byte("/family/photos/callback\n"+body)))
		req.Header.Set("x-oss-pub-key-url", base64.StdEncoding.EncodeToString([]byte(evil.URL+"/?"+x.OSSURL+"/_emulator/callback_pub_key.pem")))
		if status, answer := x.send(req); status != http.StatusForbidden || asked != 0 {
			t.Errorf("a forged callback: status %d: %s; its key was fetched %d times", status, answer, asked)
		}
		// A callback that comes twice is one record and one event.
		x.faults(map[string]any{"seed": 1, "callbackDuplicate": 1.0})
		twice := w.grants(t, file)[0]
		if status, answer := x.post(twice.URL, form{twice.Fields, photo}); status != http.StatusOK {
			t.Fatalf("status %d: %s", status, answer)
		}
		x.faults(nil)
		if list := read[api.UploadList](t, w, http.MethodGet, "/v1/uploads", "null"); len(list.Items) != 2 {
			t.Errorf("records %+v", list.Items)
		}
		await.True(t, "the application is told", func() bool {
			first, _ := h.of(granted.ID)
			second, _ := h.of(twice.ID)
			return slices.Equal(first, []string{"upload.completed"}) && slices.Equal(second, []string{"upload.completed"})
		})
	})
	t.Run("CORS", func(t *testing.T) {
		for origin, want := range map[string]bool{"https://h5.example.com": true, "https://evil.example.com": false} {
			for what, address := range map[string]string{"OSS": granted.URL, "the signer": x.SignerURL + "/v1/uploads"} {
				_, header := x.preflight(origin, address, http.MethodPost)
				if got := header.Get("Access-Control-Allow-Origin") == origin; got != want {
					t.Errorf("%s lets %s in: %t, want %t", what, origin, got, want)
				}
			}
		}
	})
}
