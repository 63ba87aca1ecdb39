package signer

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"testing"

	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/signer/config"
)

// OSS signs any callback that an upload asks for, be it to a bucket of the attacker's own. A user whose ticket
// is real must not get an upload recorded that way which never happened, nor a hash of his choice.
func TestACallbackThatOSSSignedForAnotherObjectRecordsNothing(t *testing.T) {
	x := startConfigured(t, func(c *config.Config) { c.Grant.AllowPrefix = true })
	granted := x.grant("alice", content(1))
	folder := ask[api.PrefixGrant](x, "alice", http.MethodGet, "/v1/policy", nil)
	// What the policy of the folder does not name is the client's to choose, as it would be in a bucket of its own.
	wish, err := json.Marshal(map[string]any{
		"callbackUrl": "https://upload.example.com/family/album/callback", "callbackBodyType": "application/x-www-form-urlencoded",
		"callbackBody": fmt.Sprintf("bucket=family-album&object=%s&etag=00000000000000000000000000000000&size=%d&mimeType=text/plain&contentMd5=AAAAAAAAAAAAAAAAAAAAAA==&ticket=%s",
			granted.Key, len(content(1)), granted.Ticket),
	})
	if err != nil {
		t.Fatal(err)
	}
	fields := maps.Clone(folder.Fields)
	fields["key"], fields["x-oss-content-type"], fields["callback"] = folder.Dir+"bait.txt", "text/plain", base64.StdEncoding.EncodeToString(wish)
	if status, answer := x.post(folder.URL, form{fields, []byte("bait")}); status != http.StatusNonAuthoritativeInfo {
		t.Errorf("the callback was not refused: status %d: %s", status, answer)
	}
	if got := x.records("alice"); len(got) != 0 {
		t.Errorf("recorded %+v, and nothing of it is stored", got)
	}
	if status, answer := x.post(granted.URL, form{granted.Fields, content(1)}); status != http.StatusOK {
		t.Fatalf("status %d: %s", status, answer)
	}
	if got := x.records("alice"); len(got) != 1 || got[0].MD5 != hexMD5(content(1)) {
		t.Errorf("records %+v", got)
	}
}
