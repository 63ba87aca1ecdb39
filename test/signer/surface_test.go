package signer

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/signer/config"
)

// raw sends bytes as they are, because an HTTP client tidies them up, and returns status, header and body.
func raw(t *testing.T, base, head, body string) (int, http.Header, []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, answer
}

// However a path is spelt, it leads to nothing that the plain path would not: what is for the operators' port
// is not on the public one, nothing of the API answers without a token, and the public port is not on the
// other.
func TestNoSpellingOfAPathOpensAnything(t *testing.T) {
	x := startTenant(t, tenantYAML, "")
	mine := x.upload("alice", content(1))
	spellings := func(path string) []string {
		inner := strings.TrimPrefix(path, "/")
		return []string{path, "/" + path, path + "/", "/./" + inner, "/v1/.." + path, "/v1/%2e%2e" + path, "/v1/..%2f" + inner, "/%2e%2e" + path, "/" + strings.ReplaceAll(inner, "/", "%2F"), "/" + strings.ReplaceAll(inner, "/", "//"),
			"/" + strings.ReplaceAll(inner, "/", "%5C"), path + "%00", path + ";a=b", path + "/.", path + "%20", "/" + strings.ToUpper(inner), "http://localhost" + path, "/family/album/callback/../../.." + path,
			"/openapi.json/.." + path, "/v1/callback/..;" + path, "/\u2025" + path, "/%c0%ae%c0%ae" + path, "/%252e%252e" + path}
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/events/dead", "/events/replay", "/debug/pprof/", "/_emulator/faults"} {
		for _, spelt := range spellings(path) {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				status, header, answer := raw(t, x.SignerURL, method+" "+spelt+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev:alice", "")
				if status/100 == 2 || status >= 500 || status/100 == 3 && !strings.HasPrefix(header.Get("Location"), "/") || strings.HasPrefix(header.Get("Location"), "//") {
					t.Errorf("public port, %s %s: status %d to %q: %s", method, spelt, status, header.Get("Location"), answer)
				}
			}
		}
	}
	for _, path := range []string{"/v1/uploads", "/v1/uploads/" + mine.ID, "/v1/policy", "/v1/uploads/urls", "/v1/hashes/check"} {
		for _, spelt := range spellings(path) {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
				if status, _, answer := raw(t, x.SignerURL, method+" "+spelt+" HTTP/1.1\r\nHost: x", "{}"); status/100 == 2 || status >= 500 || bytes.Contains(answer, []byte(mine.Key)) {
					t.Errorf("without a token, %s %s: status %d: %s", method, spelt, status, answer)
				}
				if status, _, answer := raw(t, x.SignerURL, method+" "+spelt+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev:bob", "{}"); status >= 500 || bytes.Contains(answer, []byte(mine.Key)) {
					t.Errorf("another user, %s %s: status %d: %s", method, spelt, status, answer)
				}
				if status, _, answer := raw(t, x.OpsURL, method+" "+spelt+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev:alice", "{}"); status/100 == 2 || status >= 500 {
					t.Errorf("the operators' port, %s %s: status %d: %s", method, spelt, status, answer)
				}
			}
		}
	}
	if got := x.records("alice"); len(got) != 1 {
		t.Errorf("records %+v", got)
	}
}

// A request says who it is from once, in Authorization, and nowhere else.
func TestIdentityComesFromOneHeaderOnly(t *testing.T) {
	x := startTenant(t, tenantYAML, "")
	mine := x.upload("alice", content(1))
	for name, test := range map[string]struct {
		headers string
		want    int
	}{
		"one token":              {"Authorization: Bearer dev:alice", http.StatusOK},
		"two tokens":             {"Authorization: Bearer dev:bob\r\nAuthorization: Bearer dev:alice", http.StatusUnauthorized},
		"the same twice":         {"Authorization: Bearer dev:alice\r\nauthorization: Bearer dev:alice", http.StatusUnauthorized},
		"an empty one before":    {"Authorization: \r\nAuthorization: Bearer dev:alice", http.StatusUnauthorized},
		"another scheme before":  {"Authorization: Basic YWxpY2U6\r\nAuthorization: Bearer dev:alice", http.StatusUnauthorized},
		"a token behind a comma": {"Authorization: Basic YWxpY2U6, Bearer dev:alice", http.StatusUnauthorized},
		"folded":                 {"Authorization: Basic YWxpY2U6\r\n Bearer dev:alice", http.StatusUnauthorized},
		"as another header":      {"Proxy-Authorization: Bearer dev:alice\r\nX-Authorization: Bearer dev:alice", http.StatusUnauthorized},
		"with an underscore":     {"Authorization_: Bearer dev:alice\r\nHTTP_AUTHORIZATION: Bearer dev:alice", http.StatusUnauthorized},
		"in a cookie":            {"Cookie: Authorization=Bearer dev:alice; token=dev:alice", http.StatusUnauthorized},
		"named by a gateway":     {"X-User-Id: alice\r\nX-Forwarded-User: alice\r\nX-Remote-User: alice\r\nX-Auth-Request-User: alice", http.StatusUnauthorized},
		"of the trusted network": {"X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\nX-Real-Ip: 127.0.0.1\r\nX-Forwarded-Host: localhost", http.StatusUnauthorized},
		"bob, said to be alice":  {"Authorization: Bearer dev:bob\r\nX-User-Id: alice\r\nX-Forwarded-User: alice", http.StatusNotFound},
		"another method":         {"Authorization: Bearer dev:bob\r\nX-HTTP-Method-Override: DELETE\r\nX-Original-URL: /v1/uploads\r\nX-Rewrite-URL: /v1/uploads", http.StatusNotFound},
	} {
		status, _, answer := raw(t, x.SignerURL, "GET /v1/uploads/"+mine.ID+" HTTP/1.1\r\nHost: x\r\n"+test.headers, "")
		if status != test.want {
			t.Errorf("%s: status %d, want %d: %s", name, status, test.want, answer)
		}
	}
	for _, path := range []string{"?access_token=dev:alice", "?token=dev:alice", "?authorization=Bearer+dev:alice", "?user=alice"} {
		if status, _, answer := raw(t, x.SignerURL, "GET /v1/uploads"+path+" HTTP/1.1\r\nHost: x", ""); status != http.StatusUnauthorized {
			t.Errorf("%s: status %d: %s", path, status, answer)
		}
	}
}

// Two lengths, or two ways to say one, are how a request is hidden in another's body from a proxy in front.
func TestAmbiguousRequestsAreRefused(t *testing.T) {
	x := startTenant(t, tenantYAML, "")
	hidden := "GET /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev:alice\r\n\r\n"
	for name, head := range map[string]string{
		"two lengths":                  "Content-Length: 4\r\nContent-Length: 5",
		"a length that is a list":      "Content-Length: 4, 5",
		"a length with a sign":         "Content-Length: +4",
		"a length in hex":              "Content-Length: 0x4",
		"an unknown transfer encoding": "Transfer-Encoding: xchunked",
		"chunked, twice":               "Transfer-Encoding: chunked, chunked",
		"chunked and not":              "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
		"a space before the colon":     "Content-Length : 4",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(x.SignerURL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev:bob\r\n%s\r\n\r\n%s", head, hidden)
		answer, err := io.ReadAll(conn) // to the end: the connection must not go on
		conn.Close()
		// A reset is an end too.
		if statuses := strings.Count(string(answer), "HTTP/1.1 "); statuses > 1 || !strings.HasPrefix(string(answer), "HTTP/1.1 4") && !strings.HasPrefix(string(answer), "HTTP/1.1 501") && err == nil {
			t.Errorf("%s: %d answers: %q", name, statuses, answer)
		}
	}
}

// The algorithm is the tenant's choice and not the token's. Who knows the public key cannot use it as a secret,
// in whatever form, and nobody gets in unsigned.
func TestTheAlgorithmOfATokenIsNotItsOwnChoice(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	set := fmt.Sprintf(`{"keys":[{"kty":"RSA","use":"sig","kid":"one","n":%q,"e":"AQAB"}]}`, encode(key.N.Bytes()))
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, set) }))
	defer provider.Close()
	x := startConfigured(t, func(c *config.Config) {
		c.Auth = config.Auth{JWT: &config.JWT{JWKSURL: provider.URL, Issuer: "https://id.example", Audience: "album", UserClaim: "sub"}}
	})
	claims := func(sub string) string {
		return encode(fmt.Appendf(nil, `{"iss":"https://id.example","aud":"album","sub":%s,"exp":%d}`, sub, time.Now().Add(time.Hour).Unix()))
	}
	signed := func(header, claims string, key *rsa.PrivateKey) string {
		text := encode([]byte(header)) + "." + claims
		digest := sha256.Sum256([]byte(text))
		signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return text + "." + encode(signature)
	}
	mac := func(header string, secret []byte) string {
		text := encode([]byte(header)) + "." + claims(`"alice"`)
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(text))
		return text + "." + encode(h.Sum(nil))
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PublicKey(&key.PublicKey)
	good := signed(`{"alg":"RS256","kid":"one"}`, claims(`"alice"`), key)
	parts := strings.Split(good, ".")
	tokens := map[string]string{
		"none":                      encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"None, with a signature":    encode([]byte(`{"alg":"None","kid":"one"}`)) + "." + parts[1] + "." + parts[2],
		"no algorithm":              signed(`{"kid":"one"}`, claims(`"alice"`), key),
		"RS512 by name":             signed(`{"alg":"RS512","kid":"one"}`, claims(`"alice"`), key),
		"PS256 by name":             signed(`{"alg":"PS256","kid":"one"}`, claims(`"alice"`), key),
		"ES256 by name":             signed(`{"alg":"ES256","kid":"one"}`, claims(`"alice"`), key),
		"rs256 in small letters":    signed(`{"alg":"rs256","kid":"one"}`, claims(`"alice"`), key),
		"HS256 with the PEM":        mac(`{"alg":"HS256","kid":"one"}`, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})),
		"HS256 with the other PEM":  mac(`{"alg":"HS256","kid":"one"}`, pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1})),
		"HS256 with the DER":        mac(`{"alg":"HS256","kid":"one"}`, spki),
		"HS256 with the modulus":    mac(`{"alg":"HS256","kid":"one"}`, key.N.Bytes()),
		"HS256 with the key set":    mac(`{"alg":"HS256","kid":"one"}`, []byte(set)),
		"HS256 with nothing":        mac(`{"alg":"HS256"}`, nil),
		"a stranger's key":          signed(`{"alg":"RS256","kid":"one"}`, claims(`"alice"`), stranger),
		"a stranger's key, brought": signed(`{"alg":"RS256","jwk":{"kty":"RSA","n":"`+encode(stranger.N.Bytes())+`","e":"AQAB"}}`, claims(`"alice"`), stranger),
		"critical":                  signed(`{"alg":"RS256","kid":"one","crit":["exp"]}`, claims(`"alice"`), key),
		"other claims":              parts[0] + "." + claims(`"bob"`) + "." + parts[2],
		"a signature of zero":       parts[0] + "." + parts[1] + "." + encode(make([]byte, 256)),
		"a signature and the key":   parts[0] + "." + parts[1] + "." + encode(new(big.Int).Add(new(big.Int).SetBytes(must(base64.RawURLEncoding.DecodeString(parts[2]))), key.N).Bytes()),
		"encrypted":                 good + "..",
		"no signature":              parts[0] + "." + parts[1],
		"padding":                   good + "==",
		"no user":                   signed(`{"alg":"RS256","kid":"one"}`, claims(`null`), key),
		"a list of users":           signed(`{"alg":"RS256","kid":"one"}`, claims(`["alice"]`), key),
		"a surrogate":               signed(`{"alg":"RS256","kid":"one"}`, claims(`"alice\ud800"`), key),
		"a byte that is no UTF-8":   signed(`{"alg":"RS256","kid":"one"}`, claims("\"alice\xff\""), key),
		"a zero byte":               signed(`{"alg":"RS256","kid":"one"}`, claims(`"alice\u0000"`), key),
	}
	for name, token := range tokens {
		if status, answer := x.bearer(token, http.MethodGet, "/v1/uploads", nil); status != http.StatusUnauthorized {
			t.Errorf("%s: status %d: %s", name, status, answer)
		}
	}
	if status, answer := x.bearer(good, http.MethodGet, "/v1/uploads", nil); status != http.StatusOK {
		t.Errorf("a good token: status %d: %s", status, answer)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Users whose names look alike, or are alike once somebody normalises them, are different users, with folders of
// their own.
func TestUsersThatLookAlikeAreDifferent(t *testing.T) {
	x := startTenant(t, tenantYAML, "")
	users := []string{"zoé", "zoe\u0301", "ZOÉ", "zоé", "zoé\u200b", "../zoé", "zoé/../bob", "zo%C3%A9", "zo~C3~A9", "zoé.", "ｚoé"}
	folders, ids := map[string]string{}, map[string]string{}
	for i, user := range users {
		r := x.upload(user, content(i))
		folder, _, _ := strings.Cut(strings.TrimPrefix(r.Key, "album/"), "/")
		if !strings.HasPrefix(r.Key, "album/") || strings.Contains(r.Key, "/..") || folders[folder] != "" {
			t.Errorf("%q has the key %s, in the folder of %q", user, r.Key, folders[folder])
		}
		folders[folder], ids[user] = user, r.ID
	}
	for i, user := range users {
		if got := x.records(user); len(got) != 1 || got[0].ID != ids[user] {
			t.Errorf("%q has %+v", user, got)
		}
		other := users[(i+1)%len(users)]
		x.refused(user, http.MethodGet, "/v1/uploads/"+ids[other], nil, http.StatusNotFound, "not_found")
	}
}

// A file's name is in the header of its download, and nothing of it gets out of its place there.
func TestANameStaysInItsHeader(t *testing.T) {
	x := startTenant(t, tenantYAML, "")
	for _, name := range []string{`a".txt`, `a"; filename="evil.txt`, `a; filename=evil.txt`, `a'; filename*=UTF-8''evil.txt`, `a%0d%0aSet-Cookie: x=1.txt`, `a%22%3B.txt`, "a\u00a0.txt", "照片 “一”.txt",
		"é\u0301.txt", `a,b=c&x-oss-process=style%2Fx#.txt`, `a+b c.txt`, `%2e%2e%2fa.txt`, `${jndi:x}.txt`, `<script>.txt`} {
		v := ask[api.UploadsResponse](x, "alice", http.MethodPost, "/v1/uploads", api.UploadsRequest{Files: []api.FileRequest{{Name: name, Size: 1, ContentType: "text/plain"}}}).Uploads[0]
		if v.Status != "upload" {
			t.Errorf("%q: %+v", name, v.Error)
			continue
		}
		if status, answer := x.post(v.URL, form{v.Fields, []byte("x")}); status != http.StatusOK {
			t.Fatalf("%q: status %d: %s", name, status, answer)
		}
		got := ask[api.URLResponse](x, "alice", http.MethodPost, "/v1/uploads/"+v.ID+"/url", api.URLRequest{Download: true})
		resp, err := http.Get(got.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		kind, parameters, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
		if err != nil || resp.StatusCode != http.StatusOK || kind != "attachment" || parameters["filename"] != name || len(parameters) != 1 || resp.Header.Get("Set-Cookie") != "" || resp.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("%q: status %d, %v, header %v", name, resp.StatusCode, err, resp.Header)
		}
	}
	for _, name := range []string{"a\r\nSet-Cookie: x=1.txt", "a\n.txt", "a\x00.txt", "a/../b.txt", `a\b.txt`, "..", "a\u202etxt.exe", "\u2028.txt", strings.Repeat("a", 300) + ".txt"} {
		v := ask[api.UploadsResponse](x, "alice", http.MethodPost, "/v1/uploads", api.UploadsRequest{Files: []api.FileRequest{{Name: name, Size: 1, ContentType: "text/plain"}}}).Uploads[0]
		if v.Status != "rejected" {
			t.Errorf("%q: %+v", name, v)
		}
	}
}

// The number of parts is the signer's, so nobody gets a URL for a part that was not granted, and what parts are
// worth is seen before they become an object.
func TestPartsStayWithinTheGrant(t *testing.T) {
	x := startTenant(t, strings.Replace(tenantYAML, "max: 1Mi", "max: 20Mi", 1), "")
	m := ask[api.MultipartResponse](x, "alice", http.MethodPost, "/v1/multipart", api.FileRequest{Name: "a.txt", Size: 10, ContentType: "text/plain"})
	path := "/v1/multipart/" + m.ID
	for _, n := range []int{0, -1, 2, 10000, 10001, 1 << 31, -1 << 31} {
		x.refused("alice", http.MethodPost, path+"/parts", api.PartsRequest{PartNumbers: []int{n}}, http.StatusBadRequest, "invalid_part")
		x.refused("alice", http.MethodPost, path+"/parts", api.PartsRequest{PartNumbers: []int{1, n}}, http.StatusBadRequest, "invalid_part")
	}
	x.refused("alice", http.MethodPost, path+"/parts", api.PartsRequest{PartNumbers: make([]int, 101)}, http.StatusBadRequest, "too_many_parts")
	for _, contentType := range []string{"Text/Plain", "text/plain; charset=x", "text/plain\r\nx-oss-object-acl: public-read", "text", " text/plain", "text/plain,text/html"} {
		x.refused("alice", http.MethodPost, path+"/parts", api.PartsRequest{PartNumbers: []int{1}, ContentType: contentType}, http.StatusBadRequest, "invalid_content_type")
	}
	put := func(signed string, change func(url.Values), content string, header http.Header) int {
		t.Helper()
		u, err := url.Parse(signed)
		if err != nil {
			t.Fatal(err)
		}
		query := u.Query()
		change(query)
		u.RawQuery = query.Encode()
		req, err := http.NewRequest(http.MethodPut, u.String(), strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range header {
			req.Header[name] = values
		}
		status, _ := x.send(req)
		return status
	}
	part := ask[api.PartsResponse](x, "alice", http.MethodPost, path+"/parts", api.PartsRequest{PartNumbers: []int{1, 1}}).Parts[0]
	same := func(url.Values) {}
	if status := put(part.URL, func(q url.Values) { q.Set("partNumber", "2") }, "x", nil); status != http.StatusForbidden {
		t.Errorf("another part: status %d", status)
	}
	for name, header := range map[string]http.Header{"public": {"X-Oss-Object-Acl": {"public-read"}}, "a copy": {"X-Oss-Copy-Source": {"/family-album/album/bob/x"}}, "typed": {"Content-Type": {"text/html"}}} {
		if status := put(part.URL, same, "x", header); status != http.StatusForbidden {
			t.Errorf("a part with a header that is not signed, %s: status %d", name, status)
		}
	}
	for _, content := range []string{"", "123456789", "12345678901"} {
		if status := put(part.URL, same, content, nil); status != http.StatusOK {
			t.Fatalf("a part of %d bytes: status %d", len(content), status)
		}
		x.refused("alice", http.MethodPost, path+"/complete", nil, http.StatusConflict, "part_size")
	}
	if got := x.records("alice"); len(got) != 0 || x.stored(m.Key) {
		t.Errorf("records %+v, stored: %v", got, x.stored(m.Key))
	}
	if status := put(part.URL, same, "1234567890", nil); status != http.StatusOK {
		t.Fatalf("the part: status %d", status)
	}
	got := ask[api.Record](x, "alice", http.MethodPost, path+"/complete", nil)
	shown, _ := json.Marshal(got)
	if got.Size != 10 || got.ContentType != "text/plain" || x.anonymous(got.Key) != http.StatusForbidden {
		t.Errorf("record %s", shown)
	}
}
