package callback

import (
	"context"
	"crypto"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/signer/guard"
	"github.com/uploadtenant/uploadtenant/test/await"
)

// officialKey is the key that OSS publishes at http://gosspublic.alicdn.com/callback_pub_key_v1.pem: 512 bits.
const officialKey = `-----BEGIN PUBLIC KEY-----
MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKs/JBGzwUB2aVht4crBx3oIPBLNsjGsC0fTXv+nvlmklvkcolvpvXLTjaxUHR3W9LXxQ2EHXAJfCB+6H2YF1k8CAwEAAQ==
-----END PUBLIC KEY-----
`

// The official example of https://help.aliyun.com/zh/oss/developer-reference/callback
const (
	officialPath      = "/index.php"
	officialQuery     = "id=1&index=2"
	officialBody      = "bucket=yonghu-test"
	officialSignature = "kKQeGTRccDKyHB3H9vF+xYMSrmhMZjzzl2/kdD1ktNVgbWEfYTQG0G2SU/RaHBovRCE8OkQDjC3uG33esH2txA=="
)

func TestOfficialExampleVerifies(t *testing.T) {
	key, err := ParsePublicKey([]byte(officialKey))
	if err != nil {
		t.Fatal(err)
	}
	if key.n.BitLen() != 512 {
		t.Errorf("the published key has %d bits", key.n.BitLen())
	}
	header := http.Header{"Authorization": {officialSignature}, "X-Oss-Pub-Key-Url": {base64.StdEncoding.EncodeToString([]byte("http://gosspublic.alicdn.com/callback_pub_key_v1.pem"))}}
	signature, err := ParseHeaders(header)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		path, query, body string
		want              error
	}{
		"as published":  {officialPath, officialQuery, officialBody, nil},
		"other path":    {"/index.ph", officialQuery, officialBody, ErrBadSignature},
		"other query":   {officialPath, "id=1&index=3", officialBody, ErrBadSignature},
		"no query":      {officialPath, "", officialBody, ErrBadSignature},
		"other body":    {officialPath, officialQuery, officialBody + "x", ErrBadSignature},
		"trailing line": {officialPath, officialQuery, officialBody + "\n", ErrBadSignature},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := key.Verify(SignedText(test.path, test.query, []byte(test.body)), signature.Value); !errors.Is(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// Every bit of the signature matters: no lenient parsing of the padding.
func TestEveryFlippedBitIsRefused(t *testing.T) {
	key, err := ParsePublicKey([]byte(officialKey))
	if err != nil {
		t.Fatal(err)
	}
	good, _ := base64.StdEncoding.DecodeString(officialSignature)
	text := SignedText(officialPath, officialQuery, []byte(officialBody))
	for bit := range len(good) * 8 {
		bad := append([]byte(nil), good...)
		bad[bit/8] ^= 1 << (bit % 8)
		if key.Verify(text, bad) == nil {
			t.Fatalf("bit %d may be flipped", bit)
		}
	}
	for name, bad := range map[string][]byte{"empty": {}, "short": good[:63], "long": append([]byte{0}, good...), "zero": make([]byte, 64)} {
		if key.Verify(text, bad) == nil {
			t.Errorf("a signature that is %s verifies", name)
		}
	}
}

func TestAgreesWithCryptoRSA(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"PKIX":  {Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(&private.PublicKey))},
		"PKCS1": {Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&private.PublicKey)},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := ParsePublicKey(pem.EncodeToMemory(block))
			if err != nil {
				t.Fatal(err)
			}
			text := []byte("/callback\nbody")
			digest := md5.Sum(text)
			signature, err := rsa.SignPKCS1v15(nil, private, crypto.MD5, digest[:])
			if err != nil {
				t.Fatal(err)
			}
			if err := key.Verify(text, signature); err != nil {
				t.Error(err)
			}
			if key.Verify([]byte("/callback\nbodY"), signature) == nil {
				t.Error("another text verifies")
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestAllowListKnowsNoPrefixTricks(t *testing.T) {
	allow, err := ParseAllowList([]string{"https://gosspublic.alicdn.com/", "http://gosspublic.alicdn.com/", "http://oss.local:9000/_emulator/"})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{
		"http://gosspublic.alicdn.com/callback_pub_key_v1.pem":       true,
		"https://gosspublic.alicdn.com/callback_pub_key_v1.pem":      true,
		"https://gosspublic.alicdn.com:443/key.pem":                  true,
		"https://GOSSPUBLIC.alicdn.com/key.pem":                      true,
		"http://oss.local:9000/_emulator/callback_pub_key.pem":       true,
		"http://oss.local:9000/other/callback_pub_key.pem":           false,
		"http://oss.local/_emulator/callback_pub_key.pem":            false,
		"https://gosspublic.alicdn.com.evil.example/key.pem":         false,
		"https://evil.example/https://gosspublic.alicdn.com/key.pem": false,
		"https://evil.example/?https://gosspublic.alicdn.com/":       false,
		"https://gosspublic.alicdn.com@evil.example/key.pem":         false,
		"https://user:pw@gosspublic.alicdn.com/key.pem":              false,
		"https://gosspublic.alicdn.com\\@evil.example/key.pem":       false,
		"https://gosspublic.alicdn.com:8443/key.pem":                 false,
		"ftp://gosspublic.alicdn.com/key.pem":                        false,
		"//gosspublic.alicdn.com/key.pem":                            false,
		"https://gosspublic.alicdn.com":                              false,
		"https://gosspublic.alicdn.com/key.pem?x=1":                  false,
		"https://gosspublic.alicdn.com/key.pem#x":                    false,
		"https://gosspublic.alicdn.com/%2e%2e/key.pem":               false,
		"https://gosspublic.alicdn.com/a/../key.pem":                 false,
		"http://oss.local:9000/_emulator/../secret":                  false,
		" https://gosspublic.alicdn.com/key.pem":                     false,
		"https://gosspublic.alicdn.com/key.pem\n":                    false,
		"": false,
	}
	for keyURL, want := range tests {
		if _, _, err := allow.Match(keyURL); (err == nil) != want {
			t.Errorf("%q: %v", keyURL, err)
		}
	}
	for _, bad := range []string{"https://gosspublic.alicdn.com", "gosspublic.alicdn.com/", "https://x/y", "https://x/?/", "file:///etc/"} {
		if _, err := ParseAllowList([]string{bad}); err == nil {
			t.Errorf("prefix %q accepted", bad)
		}
	}
}

type clock struct{ now atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Unix(c.now.Load(), 0) }
func (c *clock) Advance(d time.Duration) { c.now.Add(int64(d / time.Second)) }

// patientKeys gives a busy machine time to fetch a key.
func patientKeys(allow AllowList, clock func() time.Time) *Keys {
	k := NewKeys(allow, nil, clock)
	k.timeout = await.Patience
	for level := range k.clients {
		k.clients[level] = guard.Client(level, await.Patience)
	}
	return k
}

func TestKeysAreCachedAlsoWhenTheyFail(t *testing.T) {
	var calls atomic.Int32
	var answer atomic.Value
	answer.Store(officialKey)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		switch text := answer.Load().(string); {
		case r.URL.Path == "/keys/redirect.pem":
			http.Redirect(w, r, "/keys/key.pem", http.StatusFound)
		case text == "":
			http.Error(w, "no", http.StatusInternalServerError)
		default:
			fmt.Fprint(w, text)
		}
	}))
	defer server.Close()
	allow, err := ParseAllowList([]string{server.URL + "/keys/"})
	if err != nil {
		t.Fatal(err)
	}
	now := &clock{}
	now.now.Store(1_000_000)
	keys := patientKeys(allow, now.Now)
	get := func(path string) error { _, err := keys.Get(context.Background(), server.URL+path); return err }
	steps := []struct {
		name      string
		before    func()
		path      string
		wantErr   error
		wantCalls int32
	}{
		{"fetches once", nil, "/keys/key.pem", nil, 1},
		{"then knows it", nil, "/keys/key.pem", nil, 1},
		{"fetches again after an hour", func() { now.Advance(keyTTL) }, "/keys/key.pem", nil, 2},
		{"keeps it while the source is down", func() { now.Advance(keyTTL); answer.Store("") }, "/keys/key.pem", nil, 3},
		{"asks no more for a minute", nil, "/keys/key.pem", nil, 3},
		{"gives up after a day", func() { now.Advance(keyStale) }, "/keys/key.pem", ErrKeyFetch, 4},
		{"remembers a failure", nil, "/keys/key.pem", ErrKeyFetch, 4},
		{"tries again after a minute", func() { now.Advance(negativeTTL); answer.Store(officialKey) }, "/keys/key.pem", nil, 5},
		{"follows no redirect", nil, "/keys/redirect.pem", ErrKeyFetch, 6},
		{"reads no endless key", func() { answer.Store(strings.Repeat("x", maxKeySize+1)) }, "/keys/big.pem", ErrKeyFetch, 7},
		{"takes no other text", func() { answer.Store("hello") }, "/keys/text.pem", ErrKeyFormat, 8},
		{"asks nobody else", nil, "/other/key.pem", ErrKeyURL, 8},
	}
	for _, step := range steps {
		if step.before != nil {
			step.before()
		}
		if err := get(step.path); !errors.Is(err, step.wantErr) || calls.Load() != step.wantCalls {
			t.Fatalf("%s: error %v (want %v), %d calls (want %d)", step.name, err, step.wantErr, calls.Load(), step.wantCalls)
		}
	}
}

// A stranger who names many URLs neither fills the memory nor drives out the real key.
func TestForgersCannotPoisonTheKeyCache(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, officialKey) }))
	defer server.Close()
	allow, _ := ParseAllowList([]string{server.URL + "/"})
	keys := patientKeys(allow, time.Now)
	for i := range maxKeys + maxNegatives + 10 {
		if _, err := keys.Get(context.Background(), fmt.Sprintf("%s/%d.pem", server.URL, i)); err != nil {
			t.Fatal(err)
		}
	}
	keys.mu.Lock()
	defer keys.mu.Unlock()
	if _, kept := keys.known[server.URL+"/0.pem"]; !kept || len(keys.known) > maxKeys {
		t.Errorf("%d keys, the first is kept: %v", len(keys.known), kept)
	}
}

func TestPublishedHostsMustBePublic(t *testing.T) {
	allow, _ := ParseAllowList([]string{"http://gosspublic.alicdn.com/", "http://emulator.example/"})
	for i, want := range []string{"0", "2"} {
		if got := fmt.Sprint(int(levelOf(allow[i]))); got != want {
			t.Errorf("%s: level %s, want %s", allow[i], got, want)
		}
	}
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add([]byte(officialKey))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := ParsePublicKey(text)
		if err == nil {
			if key.Verify([]byte("x"), make([]byte, (key.n.BitLen()+7)/8)) == nil {
				t.Error("an all-zero signature verifies")
			}
		}
	})
}

func FuzzAllowList(f *testing.F) {
	f.Add("https://gosspublic.alicdn.com/callback_pub_key_v1.pem")
	f.Add("https://gosspublic.alicdn.com@evil/")
	allow, _ := ParseAllowList([]string{"https://gosspublic.alicdn.com/"})
	f.Fuzz(func(t *testing.T, keyURL string) {
		canonical, _, err := allow.Match(keyURL)
		if err != nil {
			return
		}
		req, err := http.NewRequest(http.MethodGet, canonical, nil)
		if err != nil || req.URL.Hostname() != "gosspublic.alicdn.com" || req.URL.Scheme != "https" {
			t.Errorf("%q would be fetched from %q", keyURL, canonical)
		}
	})
}
