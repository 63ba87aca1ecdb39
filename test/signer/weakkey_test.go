package signer

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"crypto/rand"
	"encoding/asn1"

	"github.com/uploadtenant/uploadtenant/signer/config"
)

// weakKey is an RSA key of 512 bits, like the one that OSS publishes, in the hands of whoever factored it.
type weakKey struct{ n, d *big.Int }

func newWeakKey(t *testing.T) *weakKey {
	t.Helper()
	e := big.NewInt(65537)
	for {
		p, err := rand.Prime(rand.Reader, 256)
		if err != nil {
			t.Fatal(err)
		}
		q, err := rand.Prime(rand.Reader, 256)
		if err != nil {
			t.Fatal(err)
		}
		one := big.NewInt(1)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		if d := new(big.Int).ModInverse(e, phi); d != nil && p.Cmp(q) != 0 {
			return &weakKey{new(big.Int).Mul(p, q), d}
		}
	}
}

func (k *weakKey) pem() []byte {
	der, _ := asn1.Marshal(struct {
		N *big.Int
		E int
	}{k.n, 65537})
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: der})
}

func (k *weakKey) sign(text []byte) string {
	digest := md5.Sum(text)
	block := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, 64-3-18-16)...)
	block = append(append(append(block, 0), "\x30\x20\x30\x0c\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x05\x05\x00\x04\x10"...), digest[:]...)
	s := new(big.Int).Exp(new(big.Int).SetBytes(block), k.d, k.n)
	return base64.StdEncoding.EncodeToString(s.FillBytes(make([]byte, 64)))
}

// Who factored the key can sign callbacks, and as a user has a ticket. Still, what is not stored is not recorded.
func TestAForgedKeyRecordsNothingThatIsNotStored(t *testing.T) {
	key := newWeakKey(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(key.pem()) }))
	defer server.Close()
	x := startConfigured(t, func(c *config.Config) {
		c.Callback.KeyURLPrefixes = append(c.Callback.KeyURLPrefixes, server.URL+"/")
	})
	send := func(ticket, object, etag string) int {
		t.Helper()
		body := url.Values{"ticket": {ticket}, "bucket": {"family-album"}, "object": {object}, "size": {fmt.Sprint(len(content(1)))}, "mimeType": {"text/plain"}, "etag": {etag}}.Encode()
		req, err := http.NewRequest(http.MethodPost, x.SignerURL+"/family/album/callback", bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", key.sign([]byte("/family/album/callback\n"+body)))
		req.Header.Set("x-oss-pub-key-url", base64.StdEncoding.EncodeToString([]byte(server.URL+"/key.pem")))
		status, _ := x.send(req)
		return status
	}
	granted := x.grant("alice", content(1))
	if status := send(granted.Ticket, granted.Key, "D41D8CD98F00B204E9800998ECF8427E"); status != http.StatusForbidden {
		t.Errorf("no object: status %d", status)
	}
	if got := x.records("alice"); len(got) != 0 {
		t.Fatalf("recorded %+v", got)
	}
	x.faults(map[string]any{"seed": 1, "callbackDrop": 1.0})
	if status, answer := x.post(granted.URL, form{granted.Fields, content(1)}); status != http.StatusNonAuthoritativeInfo {
		t.Fatalf("status %d: %s", status, answer)
	}
	if status := send(granted.Ticket, granted.Key, "D41D8CD98F00B204E9800998ECF8427E"); status != http.StatusForbidden {
		t.Errorf("another content: status %d", status)
	}
	if status := send(granted.Ticket, granted.Key, ""); status != http.StatusOK {
		t.Errorf("the stored object: status %d", status)
	}
	if got := x.records("alice"); len(got) != 1 || got[0].MD5 != hexMD5(content(1)) {
		t.Errorf("records %+v", got)
	}
}
