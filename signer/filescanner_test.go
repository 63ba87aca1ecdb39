package signer

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the scanner accepts, encoding/json accepts with the same result.
func FuzzFileScannerAgreesWithEncodingJSON(f *testing.F) {
	for _, body := range []string{
		`{"files":[{"name":"a.jpg","size":12345,"contentType":"image/jpeg","md5":"00","metadata":{"a":"b","n":1}}]}`,
		` { "files" : [ { "size" : 0 } , {"name":""} ] } `, `{"files":[{"size":01}]}`, `{"files":[{"size":1.5}]}`, `{"files":[{"size":1,"size":2}]}`,
		`{"files":[{"metadata":{"a":{}}}]}`, `{"files":[{"metadata":{"a":}}]}`, `{"files":[{"metadata":{"}":1}}]}`, `{"files":[{"x":1}]}`, `{"files":[]}`, `{"files":[{}]}`,
		`{"files":[{"name":"\u0041"}]}`, `{"files":[{"name":"é"}]}`, `{"files":[{"size":1}]}x`, `{"files":[{"size":1},]}`, `{"FILES":[{"size":1}]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var scan fileScanner
		got := scan.request(string(body))
		if got == nil {
			return
		}
		want := &UploadsRequest{}
		if err := decodeStrict(body, want); err != nil {
			t.Fatalf("the scanner accepts %q, encoding/json says %v", body, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-encoding/json +scanner):\n%s", body, diff)
		}
	})
}

func TestFileScannerTakesTheUsualRequest(t *testing.T) {
	var scan fileScanner
	if scan.request(`{"files":[{"name":"IMG_0001.jpg","size":2345678,"contentType":"image/jpeg","metadata":{"album":"42"}}]}`) == nil {
		t.Error("it gave up")
	}
}
