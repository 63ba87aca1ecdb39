package policy

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func jsonText(n int64) string { return strconv.FormatInt(n, 10) }

func unmarshalNumbers(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(into)
}

func TestKeyTemplate(t *testing.T) {
	at := time.Date(2026, 1, 2, 23, 59, 0, 0, time.FixedZone("", 8*3600))
	tests := map[string]struct {
		template, want string
		wantErr        bool
	}{
		"default":             {template: "{prefix}{user}/{yyyy}/{mm}/{dd}/{id}.{ext}", want: "album/u~40x/2026/01/02/id1.jpg"},
		"flat":                {template: "{prefix}{id}", want: "album/id1"},
		"literal text":        {template: "{prefix}photos/{id}-x.{ext}", want: "album/photos/id1-x.jpg"},
		"no prefix":           {template: "{user}/{id}", wantErr: true},
		"text before prefix":  {template: "x{prefix}{id}", wantErr: true},
		"no id":               {template: "{prefix}{user}.{ext}", wantErr: true},
		"unknown placeholder": {template: "{prefix}{name}{id}", wantErr: true},
		"open brace":          {template: "{prefix}{id", wantErr: true},
		"stray brace":         {template: "{prefix}}{id}", wantErr: true},
		"parent folder":       {template: "{prefix}../{id}", wantErr: true},
		"double slash":        {template: "{prefix}a//{id}", wantErr: true},
		"backslash":           {template: `{prefix}a\{id}`, wantErr: true},
		"control character":   {template: "{prefix}a\n{id}", wantErr: true},
		"empty":               {template: "", wantErr: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			template, err := ParseKeyTemplate(test.template)
			if (err != nil) != test.wantErr {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				return
			}
			if got := template.Build(KeyValues{Prefix: "album/", User: "u@x", ID: "id1", Ext: "jpg", Time: at}); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestSafeUserIsOneSafeSegmentPerUser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a~.%/A0-9]{0,12}`), rapid.StringMatching(`~~[0-9a-f]{64}`), rapid.StringMatching(`x{126,130}`))
		a, b := draw.Draw(t, "a"), draw.Draw(t, "b")
		safe := SafeUser(a)
		if err := CheckKey("p/" + safe + "/x"); err != nil || strings.Contains(safe, "/") {
			t.Fatalf("%q became %q: %v", a, safe, err)
		}
		if a != b && safe == SafeUser(b) {
			t.Fatalf("%q and %q share %q", a, b, safe)
		}
	})
}

func TestSafeUserExamples(t *testing.T) {
	for user, want := range map[string]string{
		"alice": "alice", "..": "~2E.", "a/../b": "a~2F..~2Fb", "a~2F": "a~7E2F", "张三": "~E5~BC~A0~E4~B8~89", "o.k": "o.k",
	} {
		if got := SafeUser(user); got != want {
			t.Errorf("SafeUser(%q) = %q, want %q", user, got, want)
		}
	}
}

// Every key stays below the prefix, whoever asks.
func TestKeysStayBelowThePrefix(t *testing.T) {
	template, err := ParseKeyTemplate("{prefix}{user}/{yyyy}/{mm}/{dd}/{id}.{ext}")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		key := template.Build(KeyValues{Prefix: "album/", User: rapid.String().Draw(t, "user"), ID: "i", Ext: "jpg", Time: time.Unix(0, 0)})
		if !strings.HasPrefix(key, "album/") || CheckKey(key) != nil {
			t.Fatalf("key %q", key)
		}
	})
}
