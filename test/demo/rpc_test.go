package demo

import "testing"

// The example of the RPC signature in Alibaba Cloud's documentation has this shape; the value was computed
// once with openssl over the string to sign that the documentation prescribes.
func TestPercentEncodesAsRFC3986(t *testing.T) {
	tests := map[string]string{
		"plain":         "plain",
		"a b":           "a%20b",
		"*":             "%2A",
		"~-_.":          "~-_.",
		"2026-01-01T:+": "2026-01-01T%3A%2B",
		"相册":            "%E7%9B%B8%E5%86%8C",
	}
	for in, want := range tests {
		if got := percent(in); got != want {
			t.Errorf("percent(%q) = %q, want %q", in, got, want)
		}
	}
}
