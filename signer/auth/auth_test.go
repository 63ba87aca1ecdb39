package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/test/await"
)

var encode = base64.RawURLEncoding.EncodeToString

const secret = "0123456789abcdef0123456789abcdef"

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

func hs256(header, claims, key string) string {
	signed := encode([]byte(header)) + "." + encode([]byte(claims))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

func claims(extra string) string {
	return fmt.Sprintf(`{"sub":"alice","iss":"https://idp","aud":["other","uploads"],"exp":%d%s}`, now.Add(time.Hour).Unix(), extra)
}

func TestHS256Tokens(t *testing.T) {
	const header = `{"alg":"HS256","typ":"JWT"}`
	good := hs256(header, claims(""), secret)
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	tests := map[string]struct {
		token string
		want  error
	}{
		"good":                         {good, nil},
		"other secret":                 {hs256(header, claims(""), secret+"x"), ErrInvalid},
		"alg none":                     {encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(claims(""))) + ".", ErrInvalid},
		"alg none, signed":             {hs256(`{"alg":"none"}`, claims(""), secret), ErrInvalid},
		"alg in other case":            {hs256(`{"alg":"hs256"}`, claims(""), secret), ErrInvalid},
		"alg RS256":                    {hs256(`{"alg":"RS256"}`, claims(""), secret), ErrInvalid},
		"critical header":              {hs256(`{"alg":"HS256","crit":["b64"],"b64":false}`, claims(""), secret), ErrInvalid},
		"expired within the skew":      {hs256(header, fmt.Sprintf(`{"sub":"alice","iss":"https://idp","aud":"uploads","exp":%d}`, at(-59*time.Second)), secret), nil},
		"expired":                      {hs256(header, fmt.Sprintf(`{"sub":"alice","iss":"https://idp","aud":"uploads","exp":%d}`, at(-61*time.Second)), secret), ErrExpired},
		"never expires":                {hs256(header, `{"sub":"alice","iss":"https://idp","aud":"uploads"}`, secret), ErrInvalid},
		"expiry of text":               {hs256(header, `{"sub":"alice","iss":"https://idp","aud":"uploads","exp":"9999999999"}`, secret), ErrInvalid},
		"not yet":                      {hs256(header, claims(fmt.Sprintf(`,"nbf":%d`, at(2*time.Minute))), secret), ErrInvalid},
		"not yet within the skew":      {hs256(header, claims(fmt.Sprintf(`,"nbf":%d`, at(50*time.Second))), secret), nil},
		"other issuer":                 {hs256(header, strings.Replace(claims(""), "https://idp", "https://evil", 1), secret), ErrInvalid},
		"other audience":               {hs256(header, strings.Replace(claims(""), "uploads", "downloads", 1), secret), ErrInvalid},
		"no user":                      {hs256(header, strings.Replace(claims(""), `"alice"`, `""`, 1), secret), ErrInvalid},
		"user with a newline":          {hs256(header, strings.Replace(claims(""), `"alice"`, `"a\nb"`, 1), secret), ErrInvalid},
		"user of a list":               {hs256(header, strings.Replace(claims(""), `"alice"`, `["alice"]`, 1), secret), ErrInvalid},
		"wrong required claim":         {hs256(header, claims(`,"role":"guest"`), secret), ErrInvalid},
		"missing required claim":       {hs256(header, strings.Replace(claims(""), "}", "", 1)+"}", secret), ErrInvalid},
		"cut":                          {good[:len(good)-2], ErrInvalid},
		"two parts":                    {good[:strings.LastIndexByte(good, '.')], ErrInvalid},
		"four parts":                   {good + ".x", ErrInvalid},
		"newline in the signature":     {good + "\n", ErrInvalid},
		"empty":                        {"", ErrInvalid},
		"claims changed after signing": {strings.Replace(good, encode([]byte(claims(""))), encode([]byte(strings.Replace(claims(""), "alice", "admin", 1))), 1), ErrInvalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := JWTConfig{Secret: []byte(secret), Issuer: "https://idp", Audience: "uploads", UserClaim: "sub", Clock: clock}
			if strings.Contains(name, "required claim") {
				cfg.RequiredClaims = map[string]string{"role": "uploader"}
			}
			j, err := NewJWT(cfg)
			if err != nil {
				t.Fatal(err)
			}
			user, err := j.Authenticate(t.Context(), test.token)
			if !errors.Is(err, test.want) || err == nil && user != "alice" || err != nil && user != "" && errors.Is(err, ErrExpired) {
				t.Errorf("user %q, error %v, want %v", user, err, test.want)
			}
		})
	}
}

func TestUsersMayBeNumbers(t *testing.T) {
	j, _ := NewJWT(JWTConfig{Secret: []byte(secret), UserClaim: "uid", Clock: clock})
	for raw, want := range map[string]string{`42`: "42", `"u-1"`: "u-1", `4.2e1`: "", `null`: "", `{}`: ""} {
		user, err := j.Authenticate(t.Context(), hs256(`{"alg":"HS256"}`, fmt.Sprintf(`{"uid":%s,"exp":%d}`, raw, now.Add(time.Hour).Unix()), secret))
		if user != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q %v", raw, user, err)
		}
	}
}

// idp is an identity provider with keys that change.
type idp struct {
	*httptest.Server
	calls atomic.Int32
	body  atomic.Value
}

func newIDP(t *testing.T) *idp {
	p := &idp{}
	p.body.Store("")
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.calls.Add(1)
		if p.body.Load().(string) == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, p.body.Load())
	}))
	t.Cleanup(p.Close)
	return p
}

// patientJWKS is a key set that gives a busy machine time to fetch it.
func patientJWKS(url string, clock func() time.Time) *JWKS {
	j := NewJWKS(url, http.DefaultClient, clock)
	j.timeout, j.staleWait = await.Patience, await.Patience
	return j
}

func rsaJWK(kid string, key *rsa.PrivateKey) string {
	return fmt.Sprintf(`{"kty":"RSA","kid":%q,"use":"sig","n":%q,"e":%q}`, kid, encode(key.N.Bytes()), encode(big.NewInt(int64(key.E)).Bytes()))
}

func rs256(kid string, key *rsa.PrivateKey, claims string) string {
	signed := encode(fmt.Appendf(nil, `{"alg":"RS256","kid":%q}`, kid)) + "." + encode([]byte(claims))
	digest := sha256.Sum256([]byte(signed))
	signature, _ := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	return signed + "." + encode(signature)
}

func TestJWKSRotationAndOutage(t *testing.T) {
	one, _ := rsa.GenerateKey(rand.Reader, 2048)
	two, _ := rsa.GenerateKey(rand.Reader, 2048)
	provider := newIDP(t)
	var moved atomic.Int64
	tick := func() time.Time { return now.Add(time.Duration(moved.Load())) }
	j, err := NewJWT(JWTConfig{JWKS: patientJWKS(provider.URL, tick), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	check := func(step, token string, want error, calls int32) {
		t.Helper()
		if _, err := j.Authenticate(t.Context(), token); !errors.Is(err, want) || calls >= 0 && provider.calls.Load() != calls {
			t.Fatalf("%s: %v after %d calls, want %v after %d", step, err, provider.calls.Load(), want, calls)
		}
	}
	tokenOne, tokenTwo := rs256("one", one, claims("")), rs256("two", two, claims(""))
	check("provider down at start", tokenOne, ErrUnavailable, 1)
	provider.body.Store(`{"keys":[` + rsaJWK("one", one) + `,{"kty":"oct","k":"AAAA"}]}`)
	moved.Add(int64(2 * time.Second))
	check("first token fetches", tokenOne, nil, 2)
	check("then it is known", tokenOne, nil, 2)
	check("unknown key id right after a fetch", tokenTwo, ErrInvalid, 2)
	provider.body.Store(`{"keys":[` + rsaJWK("two", two) + `]}`)
	moved.Add(int64(jwksMissPause + time.Second))
	check("rotation is noticed", tokenTwo, nil, 3)
	check("the old key is gone", tokenOne, ErrInvalid, 3)
	provider.body.Store("")
	moved.Add(int64(24 * time.Hour)) // from here on the set is fetched in the background, now and then
	check("outage", tokenTwo, nil, -1)
	check("HS256 with a public key as secret", hs256(`{"alg":"HS256","kid":"two"}`, claims(""), string(two.N.Bytes())), ErrInvalid, -1)
	check("wrong key for the id", rs256("two", one, claims("")), ErrInvalid, -1)
}

func TestES256(t *testing.T) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	point, _ := key.PublicKey.Bytes()
	provider := newIDP(t)
	provider.body.Store(fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","kid":"e","alg":"ES256","x":%q,"y":%q}]}`, encode(point[1:33]), encode(point[33:])))
	j, _ := NewJWT(JWTConfig{JWKS: patientJWKS(provider.URL, clock), Clock: clock})
	signed := encode([]byte(`{"alg":"ES256","kid":"e"}`)) + "." + encode([]byte(claims("")))
	digest := sha256.Sum256([]byte(signed))
	r, s, _ := ecdsa.Sign(rand.Reader, key, digest[:])
	raw := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	if user, err := j.Authenticate(t.Context(), signed+"."+encode(raw)); err != nil || user != "alice" {
		t.Errorf("%q %v", user, err)
	}
	der, _ := ecdsa.SignASN1(rand.Reader, key, digest[:])
	for name, bad := range map[string][]byte{"DER": der, "zero": make([]byte, 64), "short": raw[:63]} {
		if _, err := j.Authenticate(t.Context(), signed+"."+encode(bad)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDevTokensAreForDevModeOnly(t *testing.T) {
	j, _ := NewJWT(JWTConfig{Secret: []byte(secret), Clock: clock})
	if _, err := j.Authenticate(t.Context(), "dev:alice"); !errors.Is(err, ErrInvalid) {
		t.Errorf("without dev mode: %v", err)
	}
	if user, err := (Dev{Next: j}).Authenticate(t.Context(), "dev:alice"); err != nil || user != "alice" {
		t.Errorf("in dev mode: %q %v", user, err)
	}
	if _, err := (Dev{}).Authenticate(t.Context(), "dev:"); err == nil {
		t.Error("a user without a name")
	}
	if _, err := (Deny{}).Authenticate(t.Context(), "x"); !errors.Is(err, ErrInvalid) {
		t.Error("nothing configured lets somebody in")
	}
}

func TestBearerToken(t *testing.T) {
	for header, want := range map[string]string{"Bearer a.b.c": "a.b.c", "bearer x": "x", "Basic x": "", "": "", "Bearer": "", "Bearer  ": "", "Bearer " + strings.Repeat("x", maxToken+1): ""} {
		if got, err := BearerToken(header); got != want || (err == nil) != (want != "") {
			t.Errorf("%.30q: %q %v", header, got, err)
		}
	}
}

// countingAuth counts how often it is asked.
type countingAuth struct {
	calls int
	until time.Time
	err   error
}

func (c *countingAuth) Authenticate(context.Context, string) (string, error) { return "alice", c.err }
func (c *countingAuth) AuthenticateUntil(context.Context, string) (string, time.Time, error) {
	c.calls++
	return "alice", c.until, c.err
}

func TestTheCacheForgetsInTime(t *testing.T) {
	at := now
	next := &countingAuth{until: now.Add(10 * time.Second)}
	c := NewCache(next, CacheTTL, func() time.Time { return at })
	steps := []struct {
		name  string
		after time.Duration
		err   error
		calls int
	}{
		{"first", 0, nil, 1}, {"again", time.Second, nil, 1}, {"the token ends before the cache does", 10 * time.Second, nil, 2},
		{"refused", time.Second, ErrInvalid, 3}, {"refusals are not remembered", 0, ErrInvalid, 4},
	}
	for _, step := range steps {
		at = at.Add(step.after)
		next.err = step.err
		if _, err := c.Authenticate(t.Context(), "token"); !errors.Is(err, step.err) || next.calls != step.calls {
			t.Fatalf("%s: %v after %d calls", step.name, err, next.calls)
		}
	}
	next.err, next.until = nil, now.Add(time.Hour)
	for i := range maxCached + 10 {
		if _, err := c.Authenticate(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.known.kept) > maxCached {
		t.Errorf("%d tokens are kept", len(c.known.kept))
	}
}

func TestRequiredClaimsMayBeLists(t *testing.T) {
	tests := map[string]struct {
		claims string
		want   bool
	}{
		"text": {`,"role":"uploader"`, true}, "other text": {`,"role":"guest"`, false}, "list with it": {`,"role":["guest","uploader"]`, true},
		"list without it": {`,"role":["guest"]`, false}, "empty list": {`,"role":[]`, false}, "list of lists": {`,"role":[["uploader"]]`, false},
		"part of a text": {`,"role":"uploaders"`, false}, "object": {`,"role":{"uploader":true}`, false}, "null": {`,"role":null`, false}, "missing": {``, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			j, _ := NewJWT(JWTConfig{Secret: []byte(secret), RequiredClaims: map[string]string{"role": "uploader"}, Clock: clock})
			if _, err := j.Authenticate(t.Context(), hs256(`{"alg":"HS256"}`, claims(test.claims), secret)); (err == nil) != test.want {
				t.Errorf("%v", err)
			}
		})
	}
	j, _ := NewJWT(JWTConfig{Secret: []byte(secret), RequiredClaims: map[string]string{"verified": "true", "level": "3"}, Clock: clock})
	if _, err := j.Authenticate(t.Context(), hs256(`{"alg":"HS256"}`, claims(`,"verified":true,"level":3`), secret)); err != nil {
		t.Errorf("a boolean and a number: %v", err)
	}
}

// A token cannot bring its own key, and keys are looked for only where the tenant said.
func TestKeysInsideATokenAreIgnored(t *testing.T) {
	mine, evil := newIDP(t), newIDP(t)
	one, _ := rsa.GenerateKey(rand.Reader, 2048)
	two, _ := rsa.GenerateKey(rand.Reader, 2048)
	mine.body.Store(`{"keys":[` + rsaJWK("one", one) + `]}`)
	evil.body.Store(`{"keys":[` + rsaJWK("one", two) + `]}`)
	j, _ := NewJWT(JWTConfig{JWKS: patientJWKS(mine.URL, clock), Clock: clock})
	for name, header := range map[string]string{"jku": `{"alg":"RS256","kid":"one","jku":"` + evil.URL + `"}`, "jwk": `{"alg":"RS256","kid":"one","jwk":` + rsaJWK("one", two) + `}`, "no id": `{"alg":"RS256"}`} {
		signed := encode([]byte(header)) + "." + encode([]byte(claims("")))
		digest := sha256.Sum256([]byte(signed))
		signature, _ := rsa.SignPKCS1v15(nil, two, crypto.SHA256, digest[:])
		if _, err := j.Authenticate(t.Context(), signed+"."+encode(signature)); !errors.Is(err, ErrInvalid) || evil.calls.Load() != 0 {
			t.Errorf("%s: %v, the other provider was asked %d times", name, err, evil.calls.Load())
		}
	}
}

// After an idle night the first token is held against the keys of today.
func TestAWithdrawnKeyEndsAlsoWhenNobodyAsked(t *testing.T) {
	one, _ := rsa.GenerateKey(rand.Reader, 2048)
	provider := newIDP(t)
	provider.body.Store(`{"keys":[` + rsaJWK("one", one) + `]}`)
	at := now
	j, _ := NewJWT(JWTConfig{JWKS: patientJWKS(provider.URL, func() time.Time { return at }), Clock: clock})
	if _, err := j.Authenticate(t.Context(), rs256("one", one, claims(""))); err != nil {
		t.Fatal(err)
	}
	provider.body.Store(`{"keys":[` + rsaJWK("two", one) + `]}`)
	at = at.Add(2*jwksTTL + time.Second)
	if _, err := j.Authenticate(t.Context(), rs256("one", one, claims(""))); !errors.Is(err, ErrInvalid) {
		t.Errorf("a withdrawn key: %v", err)
	}
}

// What the provider serves while something is wrong with it does not end the keys that are known.
func TestBrokenKeySetsLeaveTheKnownKeys(t *testing.T) {
	one, _ := rsa.GenerateKey(rand.Reader, 2048)
	for name, broken := range map[string]string{"empty set": `{"keys":[]}`, "not JSON": `<html>`, "weak key": `{"keys":[{"kty":"RSA","kid":"two","n":"AQAB","e":"AQAB"}]}`,
		"encryption key": strings.Replace(`{"keys":[`+rsaJWK("two", one)+`]}`, `"sig"`, `"enc"`, 1), "endless": `{"keys":[` + strings.Repeat(" ", maxJWKS) + `]}`} {
		t.Run(name, func(t *testing.T) {
			provider := newIDP(t)
			provider.body.Store(`{"keys":[` + rsaJWK("one", one) + `]}`)
			at := now
			j, _ := NewJWT(JWTConfig{JWKS: patientJWKS(provider.URL, func() time.Time { return at }), Clock: clock})
			if _, err := j.Authenticate(t.Context(), rs256("one", one, claims(""))); err != nil {
				t.Fatal(err)
			}
			provider.body.Store(broken)
			at = at.Add(jwksMissPause + time.Second)
			if _, err := j.Authenticate(t.Context(), rs256("two", one, claims(""))); !errors.Is(err, ErrInvalid) || provider.calls.Load() != 2 {
				t.Errorf("an unknown key: %v after %d calls", err, provider.calls.Load())
			}
			if _, err := j.Authenticate(t.Context(), rs256("one", one, claims(""))); err != nil {
				t.Errorf("the known key: %v", err)
			}
		})
	}
}

// A provider that hangs holds up nobody whose key is known.
func TestAHangingProviderHoldsNobodyUp(t *testing.T) {
	one, _ := rsa.GenerateKey(rand.Reader, 2048)
	var calls atomic.Int32
	hang := make(chan struct{})
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) > 1 {
			<-hang
		}
		fmt.Fprint(w, `{"keys":[`+rsaJWK("one", one)+`]}`)
	}))
	defer provider.Close()
	defer close(hang)
	var moved atomic.Int64
	keys := patientJWKS(provider.URL, func() time.Time { return now.Add(time.Duration(moved.Load())) })
	keys.timeout, keys.staleWait = time.Hour, time.Millisecond // whoever waits for the provider is found out
	j, _ := NewJWT(JWTConfig{JWKS: keys, Clock: clock})
	for range 3 { // the second finds the set old and has it fetched in the background
		ctx, cancel := context.WithTimeout(t.Context(), await.Patience)
		if _, err := j.Authenticate(ctx, rs256("one", one, claims(""))); err != nil {
			t.Error(err)
		}
		cancel()
		moved.Add(int64(jwksTTL + time.Second))
	}
	moved.Add(int64(24 * time.Hour)) // so old a set is waited for, but not for long
	patient, leave := context.WithTimeout(t.Context(), await.Patience)
	defer leave()
	if _, err := j.Authenticate(patient, rs256("one", one, claims(""))); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := j.Authenticate(ctx, rs256("two", one, claims(""))); Outcome(err) != Unavailable {
		t.Errorf("an unknown key waits for the provider: %v", err)
	}
}

func FuzzJWT(f *testing.F) {
	good := hs256(`{"alg":"HS256"}`, claims(""), secret)
	f.Add(good)
	f.Add("a.b.c")
	j, _ := NewJWT(JWTConfig{Secret: []byte(secret), Clock: clock})
	f.Fuzz(func(t *testing.T, token string) {
		if user, err := j.Authenticate(context.Background(), token); err == nil && token != good {
			t.Errorf("%q lets %q in", token, user)
		}
	})
}

func FuzzKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		keys, err := parseKeySet(raw)
		if err == nil && (len(keys) == 0 || !json.Valid(raw)) {
			t.Error("an unusable key set was accepted")
		}
	})
}
