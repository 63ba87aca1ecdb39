package signer

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/signer/problem"
)

// sample reads a tenant of config/samples and adds Secrets to it.
func sample(t *testing.T, file string, secrets map[string]string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("../../config/samples", file))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for name, value := range secrets {
		text += fmt.Sprintf("\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: family}\nstringData: {secret: %q}\n", name, value)
	}
	return text
}

// bearer sends JSON with a token as it is, "" for none.
func (x *tenant) bearer(token, method, path string, body any) (int, []byte) {
	x.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		x.t.Fatal(err)
	}
	req, err := http.NewRequest(method, x.SignerURL+path, bytes.NewReader(raw))
	if err != nil {
		x.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return x.send(req)
}

// logIn trades a code, which must work.
func (x *tenant) logIn(code string) string {
	x.t.Helper()
	status, answer := x.bearer("", http.MethodPost, "/v1/sessions/wechat", map[string]string{"code": code})
	var session api.SessionResponse
	if err := json.Unmarshal(answer, &session); err != nil || status != http.StatusOK || session.Token == "" || session.ExpiresIn != 7200 {
		x.t.Fatalf("log in: status %d: %s", status, answer)
	}
	return session.Token
}

// uploadAs sends a photo as the holder of a token and returns its record.
func (x *tenant) uploadAs(token string) api.Record {
	x.t.Helper()
	photo := []byte("\xff\xd8\xff\xe0 a photo")
	status, answer := x.bearer(token, http.MethodPost, "/v1/uploads", map[string]any{"files": []map[string]any{{"name": "a.jpg", "size": len(photo), "contentType": "image/jpeg"}}})
	var granted api.UploadsResponse
	if err := json.Unmarshal(answer, &granted); err != nil || status != http.StatusOK || granted.Uploads[0].Status != "upload" {
		x.t.Fatalf("grant: status %d: %s", status, answer)
	}
	v := granted.Uploads[0]
	if status, answer := x.post(v.URL, form{v.Fields, photo}); status/100 != 2 {
		x.t.Fatalf("upload: status %d: %s", status, answer)
	}
	status, answer = x.bearer(token, http.MethodPost, "/v1/uploads/complete", map[string]string{"ticket": v.Ticket})
	var record api.Record
	if err := json.Unmarshal(answer, &record); err != nil || status != http.StatusOK {
		x.t.Fatalf("complete: status %d: %s", status, answer)
	}
	return record
}

func signedJWT(secret, claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

func TestAMiniProgramUserUploadsAfterWeChatLogin(t *testing.T) {
	dir := t.TempDir()
	text := sample(t, "auth-wechat.yaml", map[string]string{"album-wechat": "the AppSecret"})
	x := startTenant(t, text, dir)
	// wx.login: the code that WeChat's own API issues, for this mini-program.
	raw, err := http.Post(x.APIURL+"/_emulator/wechat/codes", "application/json", strings.NewReader(`{"appid":"wx0123456789abcdef","openid":"oAlice"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Body.Close()
	var issued struct{ Code string }
	if err := json.NewDecoder(raw.Body).Decode(&issued); err != nil {
		t.Fatal(err)
	}
	alice := x.logIn(issued.Code)
	record := x.uploadAs(alice)
	if !strings.HasPrefix(record.Key, "album/oAlice/") {
		t.Errorf("key %s", record.Key)
	}
	bob := x.logIn("emu:oBob:1")
	if status, answer := x.bearer(bob, http.MethodGet, "/v1/uploads/"+record.ID, nil); status != http.StatusNotFound {
		t.Errorf("another user reads the record: status %d: %s", status, answer)
	}
	x.stop()
	x = startTenant(t, text, dir) // the keys are kept, so the session goes on
	if status, answer := x.bearer(alice, http.MethodGet, "/v1/uploads/"+record.ID, nil); status != http.StatusOK {
		t.Errorf("after a restart: status %d: %s", status, answer)
	}
}

func TestWeChatRefusalsReachTheClient(t *testing.T) {
	x := startTenant(t, sample(t, "auth-wechat.yaml", nil), "") // without the Secret the emulator takes any
	x.logIn("emu:oAlice:once")
	tests := map[string]struct {
		code       string
		wantStatus int
		wantCode   string
	}{
		"invented code":     {"0a3KT10w3xYzAbCd", 401, "wechat_code_invalid"},
		"used code":         {"emu:oAlice:once", 401, "wechat_code_used"},
		"blocked user":      {"emu-error:40226", 403, "wechat_user_blocked"},
		"too often":         {"emu-error:45011", 429, "wechat_rate_limited"},
		"daily quota":       {"emu-error:45009", 503, "wechat_quota_exceeded"},
		"busy":              {"emu-error:-1", 503, "wechat_busy"},
		"wrong AppSecret":   {"emu-error:40125", 503, "wechat_misconfigured"},
		"something new":     {"emu-error:61024", 503, "wechat_failed"},
		"nothing":           {"", 400, "wechat_code_missing"},
		"code of a novel":   {strings.Repeat("0", 600), 401, "wechat_code_invalid"},
		"code of two lines": {"emu:oAlice:2\n", 401, "wechat_code_invalid"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			status, answer := x.bearer("", http.MethodPost, "/v1/sessions/wechat", map[string]string{"code": test.code})
			var p problem.Problem
			if err := json.Unmarshal(answer, &p); err != nil || status != test.wantStatus || p.Code != test.wantCode {
				t.Errorf("status %d: %s", status, answer)
			}
		})
	}
	x.faults(map[string]any{"seed": 1, "errorRate": 1.0, "operations": []string{"code2Session"}})
	if status, answer := x.bearer("", http.MethodPost, "/v1/sessions/wechat", map[string]string{"code": "emu:oAlice:3"}); status != http.StatusServiceUnavailable {
		t.Errorf("a disturbed WeChat: status %d: %s", status, answer)
	}
	x.faults(nil)
	x.logIn("emu:oAlice:3") // the code was not spent
}

func TestAWrongAppSecretIsToldApart(t *testing.T) {
	text := strings.Replace(sample(t, "auth-wechat.yaml", map[string]string{"album-wechat": "right"}), "family-album", "other-album", 1)
	x := startTenant(t, text, "")
	y := startTenant(t, strings.Replace(strings.Replace(text, "right", "wrong", 1), "sessionDuration", "endpoint: "+x.APIURL+"\n      sessionDuration", 1), "")
	status, answer := y.bearer("", http.MethodPost, "/v1/sessions/wechat", map[string]string{"code": "emu:oAlice:1"})
	if status != http.StatusServiceUnavailable || !strings.Contains(string(answer), "wechat_misconfigured") || strings.Contains(string(answer), "wrong") {
		t.Errorf("status %d: %s", status, answer)
	}
	// Both tenants are family/album; only the keys differ.
	if status, answer := y.bearer(x.logIn("emu:oAlice:2"), http.MethodGet, "/v1/uploads", nil); status != http.StatusUnauthorized {
		t.Errorf("a session of the tenant's namesake: status %d: %s", status, answer)
	}
}

func TestAMiniProgramAndAWebPageShareATenant(t *testing.T) {
	const secret = "an HS256 secret of at least 32 bytes"
	x := startTenant(t, sample(t, "auth-wechat-and-jwt.yaml", map[string]string{"album-wechat": "s", "album-jwt": secret}), "")
	if status, answer := x.bearer("", http.MethodPost, "/v1/sessions/wechat", map[string]string{"code": "emu:oAlice:1"}); status != http.StatusForbidden || !strings.Contains(string(answer), "wechat_no_unionid") {
		t.Errorf("without a unionid: status %d: %s", status, answer)
	}
	resp, err := http.Post(x.APIURL+"/_emulator/wechat/codes", "application/json", strings.NewReader(`{"openid":"oAlice","unionid":"uAlice"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var issued struct{ Code string }
	if err := json.NewDecoder(resp.Body).Decode(&issued); err != nil {
		t.Fatal(err)
	}
	record := x.uploadAs(x.logIn(issued.Code))
	claims := fmt.Sprintf(`{"sub":"uAlice","aud":"uploads","exp":%d}`, time.Now().Add(time.Hour).Unix())
	if status, answer := x.bearer(signedJWT(secret, claims), http.MethodGet, "/v1/uploads/"+record.ID, nil); status != http.StatusOK {
		t.Errorf("the same person on the web page: status %d: %s", status, answer)
	}
	for name, token := range map[string]string{"other secret": signedJWT(secret+"x", claims), "other audience": signedJWT(secret, strings.Replace(claims, "uploads", "mail", 1)), "no token": ""} {
		if status, answer := x.bearer(token, http.MethodGet, "/v1/uploads/"+record.ID, nil); status != http.StatusUnauthorized {
			t.Errorf("%s: status %d: %s", name, status, answer)
		}
	}
}

func TestTheApplicationSaysWhoACallerIs(t *testing.T) {
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") + r.Header.Get("X-Upload-Tenant") + r.URL.Path {
		case "Bearer session-of-alicefamily/album/internal/whoami":
			w.Header().Set("X-User-Id", "alice")
		case "Bearer session-of-malloryfamily/album/internal/whoami":
			w.WriteHeader(http.StatusForbidden)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer application.Close()
	x := startTenant(t, strings.Replace(sample(t, "auth-forward.yaml", nil), "http://api.family.svc:8080", application.URL, 1), "")
	if record := x.uploadAs("session-of-alice"); !strings.HasPrefix(record.Key, "album/alice/") {
		t.Errorf("key %s", record.Key)
	}
	for token, want := range map[string]int{"session-of-mallory": 403, "made-up": 401} {
		if status, answer := x.bearer(token, http.MethodGet, "/v1/uploads", nil); status != want {
			t.Errorf("%s: status %d: %s", token, status, answer)
		}
	}
	application.Close()
	if status, answer := x.bearer("session-of-bob", http.MethodGet, "/v1/uploads", nil); status != http.StatusServiceUnavailable || !strings.Contains(string(answer), "auth_unavailable") {
		t.Errorf("while the application is away: status %d: %s", status, answer)
	}
}
