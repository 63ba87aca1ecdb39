package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func key(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func sessionConfig() SessionConfig {
	return SessionConfig{Keys: map[string][]byte{"k1": key(1)}, Current: "k1", Tenant: "family/album", Realm: "wechat/wx1/OpenID", Duration: time.Hour, Clock: clock}
}

func sessions(t testing.TB, change ...func(*SessionConfig)) *Sessions {
	t.Helper()
	cfg := sessionConfig()
	for _, c := range change {
		c(&cfg)
	}
	s, err := NewSessions(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func issue(t testing.TB, s *Sessions, user string) string {
	t.Helper()
	token, duration, err := s.Issue(user)
	if err != nil || duration != s.cfg.Duration {
		t.Fatalf("issue: %v, good for %v", err, duration)
	}
	return token
}

func TestSessionsAreGoodForOneTenantAndLoginOnly(t *testing.T) {
	token := issue(t, sessions(t), "oAlice")
	tests := map[string]struct {
		change func(*SessionConfig)
		want   error
	}{
		"another replica":          {func(*SessionConfig) {}, nil},
		"another tenant, same key": {func(c *SessionConfig) { c.Tenant = "family/album2" }, ErrInvalid},
		"boundary moved":           {func(c *SessionConfig) { c.Tenant, c.Realm = "family/albumw", "echat/wx1/OpenID" }, ErrInvalid},
		"another mini-program":     {func(c *SessionConfig) { c.Realm = "wechat/wx2/OpenID" }, ErrInvalid},
		"another choice of user":   {func(c *SessionConfig) { c.Realm = "wechat/wx1/UnionID" }, ErrInvalid},
		"another key, same id":     {func(c *SessionConfig) { c.Keys = map[string][]byte{"k1": key(2)} }, ErrInvalid},
		"rotated, old key kept":    {func(c *SessionConfig) { c.Keys, c.Current = map[string][]byte{"k1": key(1), "k2": key(2)}, "k2" }, nil},
		"rotated, old key gone":    {func(c *SessionConfig) { c.Keys, c.Current = map[string][]byte{"k2": key(2)}, "k2" }, ErrInvalid},
		"a second before the end":  {func(c *SessionConfig) { c.Clock = func() time.Time { return now.Add(time.Hour - time.Second) } }, nil},
		"the end":                  {func(c *SessionConfig) { c.Clock = func() time.Time { return now.Add(time.Hour) } }, ErrExpired},
		"shortened meanwhile": {func(c *SessionConfig) {
			c.Duration, c.Clock = 10*time.Minute, func() time.Time { return now.Add(11 * time.Minute) }
		}, ErrExpired},
		"prolonged meanwhile": {func(c *SessionConfig) {
			c.Duration, c.Clock = 3*time.Hour, func() time.Time { return now.Add(2 * time.Hour) }
		}, ErrExpired},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			user, err := sessions(t, test.change).Authenticate(t.Context(), token)
			if !errors.Is(err, test.want) || (err == nil) != (user == "oAlice") {
				t.Errorf("user %q, error %v, want %v", user, err, test.want)
			}
		})
	}
}

// Every byte of a token counts: whatever is changed, cut or added, nobody gets in.
func TestTamperedSessionsAreRefused(t *testing.T) {
	s := sessions(t, func(c *SessionConfig) { c.Keys["k2"] = key(2) })
	token := issue(t, s, "oAlice")
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, SessionPrefix))
	if err != nil {
		t.Fatal(err)
	}
	refused := func(name, forged string) {
		t.Helper()
		if user, err := s.Authenticate(t.Context(), forged); !errors.Is(err, ErrInvalid) || user != "" {
			t.Errorf("%s: user %q, error %v", name, user, err)
		}
	}
	for i := range raw {
		for bit := range 8 {
			changed := bytes.Clone(raw)
			changed[i] ^= 1 << bit
			refused("changed bit", SessionPrefix+base64.RawURLEncoding.EncodeToString(changed))
		}
		refused("cut", SessionPrefix+base64.RawURLEncoding.EncodeToString(raw[:i]))
	}
	refused("longer", token+"AAAA")
	refused("padded", token+"=")
	refused("in lines", token[:20]+"\n"+token[20:])
	refused("without prefix", strings.TrimPrefix(token, SessionPrefix))
	refused("other prefix", "utx_"+strings.TrimPrefix(token, SessionPrefix))
	refused("key of another id", SessionPrefix+base64.RawURLEncoding.EncodeToString(bytes.Replace(raw, []byte("k1"), []byte("k2"), 1)))
	refused("endless", SessionPrefix+strings.Repeat("A", 1<<16))
	refused("empty", "")
}

// earlier was made by the first version with sessionConfig: an update of the signer ends no session.
const earlier = "uts_AQJrMQR4pFnh2HbqDdiVtHpqlAETHeTadzSdz6JqtPnqu2uLjb2curkxVu-r2M6S"

func TestSessionsOfEarlierVersionsStayGood(t *testing.T) {
	if user, err := sessions(t).Authenticate(t.Context(), earlier); err != nil || user != "oAlice" {
		t.Errorf("user %q, error %v", user, err)
	}
}

func TestSessionsHideTheUserAndNeverRepeat(t *testing.T) {
	s := sessions(t)
	one, two := issue(t, s, "oAlice"), issue(t, s, "oAlice")
	raw, _ := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(one, SessionPrefix))
	if one == two || bytes.Contains(raw, []byte("oAlice")) {
		t.Error("a token shows its user or repeats")
	}
}

func TestSessionsOfBadSettingsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*SessionConfig){
		"no tenant": func(c *SessionConfig) { c.Tenant = "" }, "no duration": func(c *SessionConfig) { c.Duration = 0 },
		"no current key": func(c *SessionConfig) { c.Current = "k9" }, "short key": func(c *SessionConfig) { c.Keys["k1"] = key(1)[:31] },
	} {
		cfg := sessionConfig()
		change(&cfg)
		if _, err := NewSessions(cfg); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	for _, user := range []string{"", "a\nb", strings.Repeat("x", maxUser+1), "\xff"} {
		if _, _, err := sessions(t).Issue(user); err == nil {
			t.Errorf("a session of %.10q", user)
		}
	}
}

func TestEverySessionOpensAsItWasMade(t *testing.T) {
	s := sessions(t)
	rapid.Check(t, func(rt *rapid.T) {
		user := rapid.StringN(1, 60, maxUser).Filter(func(u string) bool { return CheckUser(u) == nil }).Draw(rt, "user")
		if got, err := s.Authenticate(context.Background(), issue(t, s, user)); err != nil || got != user {
			rt.Errorf("%q came back as %q, %v", user, got, err)
		}
	})
}

func TestSplitNeverShowsASessionToTheApplication(t *testing.T) {
	s := sessions(t)
	next := &countingAuth{until: now.Add(time.Hour)}
	split := Split{Sessions: s, Next: NewCache(next, CacheTTL, clock)}
	for token, wantCalls := range map[string]int{issue(t, s, "oAlice"): 0, SessionPrefix + "forged": 0, "a.b.c": 1} {
		next.calls = 0
		if _, err := split.Authenticate(t.Context(), token); next.calls != wantCalls || (token == SessionPrefix+"forged") != errors.Is(err, ErrInvalid) {
			t.Errorf("%.12q: %v after %d calls, want %d", token, err, next.calls, wantCalls)
		}
	}
}

func FuzzSession(f *testing.F) {
	s := sessions(f)
	f.Add(earlier)
	f.Add(SessionPrefix + "AQJrMQ")
	f.Fuzz(func(t *testing.T, token string) {
		if user, err := s.Authenticate(context.Background(), token); err == nil && token != earlier {
			t.Errorf("%q lets %q in", token, user)
		}
	})
}

// What is sealed is made here only, but a bug there must not become a panic here.
func FuzzSessionContent(f *testing.F) {
	s := sessions(f)
	f.Add([]byte{1, 2, 'a'})
	f.Fuzz(func(t *testing.T, plain []byte) {
		if user, err := s.user(plain); err == nil && CheckUser(user) != nil {
			t.Errorf("%q is a user", user)
		}
	})
}
