package guard

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/uploadtenant/uploadtenant/test/await"
)

func TestLevels(t *testing.T) {
	tests := map[string]struct{ public, private bool }{
		"8.8.8.8": {true, true}, "2400:3200::1": {true, true},
		"10.0.0.1": {false, true}, "192.168.1.1": {false, true}, "172.16.0.1": {false, true}, "127.0.0.1": {false, true}, "::1": {false, true}, "fd00::1": {false, true},
		"100.64.0.1": {false, true}, "::ffff:10.0.0.1": {false, true}, "64:ff9b::a00:1": {false, true},
		"169.254.169.254": {false, false}, "100.100.100.200": {false, false}, "::ffff:100.100.100.200": {false, false}, "fe80::1": {false, false},
		"0.0.0.0": {false, false}, "::": {false, false}, "224.0.0.1": {false, false}, "255.255.255.255": {false, false},
	}
	for text, want := range tests {
		addr := netip.MustParseAddr(text)
		if Public.Allows(addr) != want.public || Private.Allows(addr) != want.private || !Any.Allows(addr) {
			t.Errorf("%s: public %v, private %v", text, Public.Allows(addr), Private.Allows(addr))
		}
	}
}

func TestTheClientChecksWhatANameResolvesTo(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound))
	defer server.Close()
	if _, err := Client(Public, await.Patience).Get(server.URL); err == nil {
		t.Fatal("a loopback address was reached")
	} else if refused := new(Error); !errors.As(err, &refused) {
		t.Fatalf("got %v", err)
	}
	resp, err := Client(Any, await.Patience).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusFound {
		t.Errorf("the redirect was followed: %d", resp.StatusCode)
	}
}
