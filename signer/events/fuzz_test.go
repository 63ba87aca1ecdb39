package events

import (
	"strings"
	"testing"
	"time"
)

// Whatever a Secret holds, it either signs once per secret or is refused without being quoted.
func FuzzParseSecrets(f *testing.F) {
	f.Add(testSecret("a") + "\n" + testSecret("b"))
	f.Add("whsec_c2hvcnQ=")
	f.Fuzz(func(t *testing.T, text string) {
		secrets, err := ParseSecrets(text)
		if err != nil {
			if len(text) > 8 && strings.Contains(err.Error(), text) {
				t.Error("the error quotes the secret")
			}
			return
		}
		if n := strings.Count(secrets.Sign("id", time.Unix(1, 0), nil), "v1,"); n != len(strings.Fields(text)) {
			t.Errorf("%d signatures of %d secrets", n, len(strings.Fields(text)))
		}
	})
}
