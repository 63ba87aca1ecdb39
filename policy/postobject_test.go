package policy

import (
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The vectors come from running the official samples' algorithm; see the protocol notes §1.3.
func TestSignerV4MatchesTheWorkedVectors(t *testing.T) {
	tests := map[string]struct {
		ak, sk, policy, want, wantCredential string
		at                                   time.Time
	}{
		"long-lived key": {
			ak: "LTAI5tEXAMPLEKEYID00001", sk: "ExampleSecretKey0000000000001", at: time.Date(2023, 12, 3, 12, 12, 12, 0, time.UTC),
			policy:         `{"expiration":"2023-12-03T13:00:00.000Z","conditions":[{"bucket":"examplebucket"},{"x-oss-signature-version":"OSS4-HMAC-SHA256"},{"x-oss-credential":"LTAI5tEXAMPLEKEYID00001/20231203/cn-hangzhou/oss/aliyun_v4_request"},{"x-oss-date":"20231203T121212Z"},["content-length-range",1,10],["eq","$success_action_status","201"],["starts-with","$key","user/eric/"],["in","$content-type",["image/jpg","image/png"]],["not-in","$cache-control",["no-cache"]]]}`,
			want:           "d246617cd04190f440f622b9d5ce93dfbaaf3c746994b84a22eff3749ecb738f",
			wantCredential: "LTAI5tEXAMPLEKEYID00001/20231203/cn-hangzhou/oss/aliyun_v4_request",
		},
		"STS": {
			ak: "STS.NExampleAK0001", sk: "ExampleStsSecret0000000000002", at: time.Date(2025, 4, 1, 8, 0, 0, 0, time.UTC),
			policy:         `{"expiration":"2025-04-01T08:10:00.000Z","conditions":[{"bucket":"examplebucket"},{"x-oss-signature-version":"OSS4-HMAC-SHA256"},{"x-oss-credential":"STS.NExampleAK0001/20250401/cn-hangzhou/oss/aliyun_v4_request"},{"x-oss-date":"20250401T080000Z"},{"x-oss-security-token":"CAISexampletoken"},["eq","$key","t/a.png"],["content-length-range",1,1048576]]}`,
			want:           "95e9d0553b89093014fcda5b788126c763d33c2a31bab252ac1d19c0b95c8bf6",
			wantCredential: "STS.NExampleAK0001/20250401/cn-hangzhou/oss/aliyun_v4_request",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := NewSignerV4(test.ak, test.sk, "cn-hangzhou", test.at)
			text := []byte(base64.StdEncoding.EncodeToString([]byte(test.policy)))
			for range 2 { // the second use takes a pooled MAC
				if got := string(s.AppendSignature(nil, text)); got != test.want {
					t.Errorf("signature %s, want %s", got, test.want)
				}
			}
			if s.Credential != test.wantCredential {
				t.Errorf("credential %s", s.Credential)
			}
			if !s.Covers(test.at) || s.Covers(test.at.Add(24*time.Hour)) {
				t.Error("the key covers the wrong day")
			}
		})
	}
}

func TestSignV1MatchesTheWorkedVector(t *testing.T) {
	const policy = `eyJleHBpcmF0aW9uIjoiMjAxMy0xMi0wMVQxMjowMDowMFoiLCJjb25kaXRpb25zIjpbWyJjb250ZW50LWxlbmd0aC1yYW5nZSIsIDAsIDEwNDg1NzYwXSx7ImJ1Y2tldCI6ImFoYWhhIn0sIHsiQSI6ICJhIn0seyJrZXkiOiAiQUJDIn1dfQ==`
	if got, want := SignV1("ExampleSecretKey0000000000001", []byte(policy)), "UQJ88CQvUEri4DKpnic+g/SlNhI="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Whatever the values are, the document parses to exactly the conditions that were asked for.
func TestPolicyHoldsExactlyTheGivenConditions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := PostObject{Bucket: rapid.String().Draw(t, "bucket"), MinSize: rapid.Int64Min(0).Draw(t, "min"), MaxSize: rapid.Int64Min(0).Draw(t, "max"),
			KeyPrefix: rapid.String().Draw(t, "prefix"), Expires: time.Unix(1700000000, 0)}
		want := []any{map[string]any{"bucket": p.Bucket}}
		for range rapid.IntRange(0, 4).Draw(t, "fields") {
			f := Field{rapid.String().Draw(t, "name"), rapid.String().Draw(t, "value")}
			p.Fields = append(p.Fields, f)
			want = append(want, map[string]any{f.Name: f.Value})
		}
		if p.KeyPrefix != "" {
			want = append(want, []any{"starts-with", "$key", p.KeyPrefix})
		}
		want = append(want, []any{"content-length-range", json.Number(jsonText(p.MinSize)), json.Number(jsonText(p.MaxSize))})
		var got struct {
			Expiration string
			Conditions []any
		}
		raw := p.AppendPolicy([]byte("x"))
		if err := unmarshalNumbers(raw[1:], &got); err != nil {
			t.Fatalf("%v in %s", err, raw)
		}
		if diff := cmp.Diff(want, got.Conditions); diff != "" || got.Expiration != "2023-11-14T22:13:20.000Z" {
			t.Errorf("expiration %s, conditions (-want +got):\n%s", got.Expiration, diff)
		}
	})
}

func TestAppendJSONStringNeverLeavesADollarOrControlCharacter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		raw := AppendJSONString(nil, s)
		for _, c := range raw {
			if c == '$' || c < 0x20 {
				t.Fatalf("%q in %s", c, raw)
			}
		}
		var want string
		encoded, _ := json.Marshal(s)
		if err := json.Unmarshal(encoded, &want); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := json.Unmarshal(raw, &got); err != nil || got != want {
			t.Fatalf("%q became %q: %v", s, got, err)
		}
	})
}

// A text may be cut anywhere between its beginning and its rest.
func TestSignatureAfterABeginningIsTheSignatureOfTheWhole(t *testing.T) {
	s := NewSignerV4("ak", "sk", "cn-hangzhou", time.Unix(0, 0))
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "text")
		cut := rapid.IntRange(0, len(text)).Draw(t, "cut")
		want := string(s.AppendSignature(nil, text))
		if got := string(s.AppendSignatureAfter([]byte("x"), s.Begin(text[:cut]), text[cut:])); got != "x"+want {
			t.Fatalf("got %s, want x%s", got, want)
		}
	})
}
