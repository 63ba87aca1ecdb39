package ticket

import (
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func keyring(t rapid.TB, uid, current string, keys map[string]byte) *Keyring {
	t.Helper()
	var list []string
	for id, fill := range keys {
		key := make([]byte, 32)
		key[0] = fill
		list = append(list, `"`+id+`":"`+base64.StdEncoding.EncodeToString(key)+`"`)
	}
	k, err := ParseKeyring([]byte(`{"current":"`+current+`","keys":{`+strings.Join(list, ",")+`}}`), uid)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestATicketOpensToWhatWasSealed(t *testing.T) {
	k := keyring(t, "uid", "k1", map[string]byte{"k1": 1})
	rapid.Check(t, func(t *rapid.T) {
		want := &Ticket{ID: rapid.StringMatching(`.+`).Draw(t, "id"), User: rapid.String().Draw(t, "user"), Key: rapid.StringMatching(`.+`).Draw(t, "key"),
			Name: rapid.String().Draw(t, "name"), Type: rapid.String().Draw(t, "type"), MD5: rapid.String().Draw(t, "md5"),
			Size: rapid.Int64Range(0, 5<<30).Draw(t, "size"), Issued: rapid.Int64Range(0, 1<<40).Draw(t, "issued"), Expires: rapid.Int64Range(0, 1<<40).Draw(t, "expires")}
		if metadata := rapid.SliceOf(rapid.Byte()).Draw(t, "metadata"); len(metadata) > 0 {
			want.Metadata = metadata
		}
		text := k.Seal(want)
		if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("the text %q does not fit into a URL or header", text)
		}
		got, err := k.Open(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-sealed +opened):\n%s", diff)
		}
	})
}

func TestTicketsOfOthersDoNotOpen(t *testing.T) {
	mine := keyring(t, "uid", "new", map[string]byte{"new": 2, "old": 1})
	ticket := &Ticket{ID: "id", User: "alice", Key: "key"}
	tests := map[string]struct {
		sealer *Keyring
		want   error
	}{
		"the current key":     {mine, nil},
		"the key before":      {keyring(t, "uid", "old", map[string]byte{"old": 1}), nil},
		"a dropped key":       {keyring(t, "uid", "gone", map[string]byte{"gone": 1}), ErrUnknownKey},
		"another key same id": {keyring(t, "uid", "new", map[string]byte{"new": 9}), ErrForged},
		"another tenant":      {keyring(t, "uid2", "new", map[string]byte{"new": 2}), ErrForged},
		"another key id":      {keyring(t, "uid", "old", map[string]byte{"old": 2}), ErrForged},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := mine.Open(test.sealer.Seal(ticket)); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestNoCharacterOfATicketMayChange(t *testing.T) {
	k := keyring(t, "uid", "k1", map[string]byte{"k1": 1})
	text := k.Seal(&Ticket{ID: "id", User: "alice", Key: "key"})
	for i := range text {
		for _, c := range []byte{'A', 'z', '-', '\n'} {
			if text[i] == c {
				continue
			}
			if _, err := k.Open(text[:i] + string(c) + text[i+1:]); err == nil {
				t.Fatalf("character %d may be %q", i, c)
			}
		}
		if _, err := k.Open(text[:i]); err == nil {
			t.Fatalf("the first %d characters open", i)
		}
	}
	if _, err := k.Open(text + "\n"); err == nil {
		t.Error("a newline at the end is ignored")
	}
}

func TestBadKeyFilesAreRefused(t *testing.T) {
	short := base64.StdEncoding.EncodeToString(make([]byte, 16))
	for name, file := range map[string]string{
		"empty": ``, "no keys": `{"current":"a","keys":{}}`, "current is missing": `{"current":"b","keys":{"a":"` + base64.StdEncoding.EncodeToString(make([]byte, 32)) + `"}}`,
		"short key": `{"current":"a","keys":{"a":"` + short + `"}}`, "not base64": `{"current":"a","keys":{"a":"SECRET!"}}`,
	} {
		_, err := ParseKeyring([]byte(file), "uid")
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), short) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

func TestIDsSortByTimeAndDiffer(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	seen := map[string]bool{}
	last := ""
	for i := range 1000 {
		id := NewID(at.Add(time.Duration(i) * time.Millisecond))
		if !ValidID(id) || seen[id] || id <= last {
			t.Fatalf("id %q after %q", id, last)
		}
		seen[id], last = true, id
	}
	for _, bad := range []string{"", "x", strings.Repeat("u", IDLength), strings.Repeat("A", IDLength), "../../../../../../../../etc"} {
		if ValidID(bad) {
			t.Errorf("%q is valid", bad)
		}
	}
}

func TestKeyIDNamesTheSealingKey(t *testing.T) {
	k := keyring(t, "uid", "new", map[string]byte{"new": 2, "old": 1})
	if diff := cmp.Diff([]string{"new", "old"}, k.IDs()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for text, want := range map[string]string{
		k.Seal(&Ticket{ID: "id", Key: "key"}): "new",
		"":                                    "", "!": "", "AQ": "", "AQJr": "", "AgFr": "", "AQFr": "k", strings.Repeat("A", MaxText+1): "",
	} {
		if got := KeyID(text); got != want {
			t.Errorf("%.20q: %q, want %q", text, got, want)
		}
	}
}

func FuzzOpen(f *testing.F) {
	k := keyring(f, "uid", "k1", map[string]byte{"k1": 1})
	f.Add(k.Seal(&Ticket{ID: "id", Key: "key"}))
	f.Add("AQJrMQ")
	f.Fuzz(func(t *testing.T, text string) {
		ticket, err := k.Open(text)
		if err == nil && k.Seal(ticket) == text {
			t.Error("a nonce repeats")
		}
		if known := KeyID(text) == "k1"; known == errors.Is(err, ErrUnknownKey) && err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("key id %q, but %v", KeyID(text), err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add((&Ticket{ID: "id", User: "alice", Key: "key", Size: 5}).append(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if ticket, err := parse(raw); err == nil && (ticket.Size < 0 || ticket.ID == "" || ticket.Key == "") {
			t.Errorf("accepted %+v", ticket)
		}
	})
}

func TestTicketsThatAreSealedAtOnceDoNotMix(t *testing.T) {
	k := keyring(t, "uid", "k1", map[string]byte{"k1": 1})
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for n := range 200 {
				want := &Ticket{ID: NewID(time.Unix(int64(n), 0)), User: strings.Repeat("u", worker+1), Key: "key", Size: int64(n)}
				got, err := k.Open(k.Seal(want))
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("error %v (-sealed +opened):\n%s", err, diff)
				}
			}
		})
	}
	wg.Wait()
}
